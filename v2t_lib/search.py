"""Searching a folder of clips by a sentence: an index of vectors on disk, then a ranking.

Two towers rank by cosine, in one product of matrices. A captioner's word lifts give a rough order,
whose best clips are ranked anew as verification rates them.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence

import numpy as np
from PIL import Image

from v2t_lib.captions_file import cell
from v2t_lib.clips.decode import Clip
from v2t_lib.clips.files import shown
from v2t_lib.errors import ClipError, SentenceError
from v2t_lib.folder_index import Index
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.compiled import filled_up
from v2t_lib.models.over_clips import BATCH, Batch, decode_all, over_clips
from v2t_lib.models.towers.registry import Towers, unit
from v2t_lib.models.verification import Verification, words_of
from v2t_lib.progress import log
from v2t_lib.specs import ClipSpec
from v2t_lib.text.content import content_words

#: Lifts are kept in 8 bits, so many steps a nat, which reach to almost 8 nats.
STEPS = 16
#: Groups of near-duplicates that word lifts leave to verification; and clips, at most.
GROUPS, CLIPS = 30, 200
#: Rows and columns of a thumbprint.
SIDE = 8
#: The least cosine of near-duplicates. Two copies of MSR-VTT's test clips have 0.9998 by their
#: thumbprints, the next two clips 0.95.
ALIKE = 0.97


@dataclasses.dataclass(frozen=True)
class Match:
    """A clip that was found."""

    file: str  # its path relative to the folder
    score: float  # the towers' cosine, or the mean lift of the words the captioner knows, in nats
    frame: int  # the number of the frame that shows it best
    seconds: float  # that frame's time in the clip
    cosine: float | None = None  # the towers'
    verification: Verification | None = None  # what a captioner says of the sentence
    near_duplicates: tuple[str, ...] = ()  # files that show almost the same, best first


class TowerSearch:
    """Search by the cosine of two towers' vectors."""

    batch = 4

    def __init__(self, towers: Towers):
        self.towers = towers
        self.spec: ClipSpec = towers.spec
        self.name = f"towers-{os.path.basename(os.path.abspath(towers.name))}"

    def digest(self) -> str:
        return self.towers.digest()

    def rows(self, clips: list[Clip]) -> dict[str, np.ndarray]:
        return {"vectors": self.towers.clip_vectors([clip.frames for clip in clips])}

    def search(self, index: Index, sentence: str, top: int = 10) -> list[Match]:
        """The `top` clips that match best, best first; near-duplicates count as one."""
        query = self.towers.text_vectors([sentence])[0]
        if not index.files:
            return []
        scores = index.arrays["vectors"] @ query
        order = np.argsort(-scores, kind="stable")[: max(CLIPS, 4 * top)].tolist()
        found = []
        for group in near_duplicates(index.arrays["vectors"][order], order, top):
            others = tuple(index.files[number] for number in group[1:])
            found.append((index.files[group[0]], float(scores[group[0]]), others))
        matches = []
        paths = [os.path.join(index.folder, file) for file, _, _ in found]
        for (file, score, others), (_, clip) in zip(
            found, decode_all(paths, self.spec), strict=True
        ):
            if isinstance(clip, ClipError):
                log.warning("%s: %s", cell(shown(file)), clip)
                continue
            frame = int((self.towers.see([clip.frames])[0].frames @ query).argmax())
            seconds = float(clip.seconds[frame])
            matches.append(Match(file, score, frame, seconds, score, near_duplicates=others))
        return matches


class LiftSearch:
    """Search by the lift of a sentence's words, for a captioner with its null memory.

    Raises:
        ModelError: It has none.
    """

    name, batch = "model", BATCH

    def __init__(self, captioner: Captioner):
        self.captioner, self.spec = captioner, captioner.clip_spec
        captioner.require_null_memory()

    def digest(self) -> str:
        captioner = self.captioner
        digest = hashlib.sha256(json.dumps(captioner.vocabulary.words).encode())
        digest.update(repr((captioner.clip_spec, captioner.caption_spec)).encode())
        for weight in captioner.get_weights() + captioner.require_null_memory().get_weights():
            digest.update(np.ascontiguousarray(weight).tobytes())
        return digest.hexdigest()

    def rows(self, clips: list[Clip]) -> dict[str, np.ndarray]:
        frames = np.stack([clip.frames for clip in filled_up(clips, self.batch)])
        lifts = self.captioner.word_lifts(self.captioner.encode(frames))[: len(clips)]
        prints = np.stack([thumbprint(clip.frames) for clip in clips])
        return {"thumbprints": prints, "lifts": in_8_bits(lifts)}

    def search(self, index: Index, sentence: str, top: int = 10) -> list[Match]:
        """The `top` clips that support a sentence best, best first; near-duplicates are one."""
        known_words(self.captioner, sentence)
        if not index.files:
            return []
        rough = first_stage(self.captioner, index.arrays["lifts"], sentence)
        order = np.argsort(-rough, kind="stable")[:CLIPS].tolist()
        grouped = near_duplicates(looks(index.arrays["thumbprints"][order]), order, GROUPS)
        files = [index.files[number] for group in grouped for number in group]
        found = {
            file: Match(file, mean_lift(rated), rated.frame, rated.seconds, verification=rated)
            for file, rated in verified(self.captioner, index, sentence, files).items()
        }
        best = []
        for group in grouped:
            named = [found[file] for file in (index.files[n] for n in group) if file in found]
            if named:
                first, *others = sorted(named, key=lambda match: -match.score)
                alike = tuple(match.file for match in others)
                best.append(dataclasses.replace(first, near_duplicates=alike))
        return sorted(best, key=lambda match: -match.score)[:top]


def first_stage(captioner: Captioner, lifts: np.ndarray, sentence: str) -> np.ndarray:
    """float32 `(clips,)`: the mean of the content words' lifts, int8 as the index has them."""
    known, _ = known_words(captioner, sentence)
    known = content_words(known) or known
    tokens = [captioner.vocabulary.words.index(word) for word in known]
    return lifts[:, tokens].mean(axis=1, dtype=np.float32)


def mean_lift(found: Verification) -> float:
    """The score, or that of the words that the captioner knows; NaN where it knows none."""
    if found.score is not None:
        return found.score
    lifts = [word.lift for word in found.words if word.lift is not None]
    return float(np.mean(lifts)) if lifts else float("nan")


def verified(
    captioner: Captioner, index: Index, sentence: str, files: Sequence[str]
) -> dict[str, Verification]:
    """What a captioner says of a sentence for some files of an index, those that can be read."""

    def verify(batch: Batch) -> list[Verification]:
        sentences = [sentence] * len(batch.memory)
        return captioner.verify_frames(batch.frames, sentences, batch.seconds, batch.memory)

    decoded = decode_all([os.path.join(index.folder, file) for file in files], captioner.clip_spec)
    clips = zip(files, (clip for _, clip in decoded), strict=True)
    found = {}
    for file, rated in over_clips(captioner, clips, verify):
        if isinstance(rated, ClipError):
            log.warning("%s: %s", cell(shown(file)), rated)
        else:
            found[file] = dataclasses.replace(rated, source=file, caption=None)
    return found


def known_words(captioner: Captioner, sentence: str) -> tuple[list[str], list[str]]:
    """The words of a sentence that the model knows, and those it doesn't.

    Raises:
        SentenceError: It knows none, or the sentence has none, or more than 100.
    """
    words = words_of(sentence, captioner.caption_spec)
    known = [word for word in words if word in captioner.vocabulary]
    if not known:
        raise SentenceError(
            f"expected a sentence with a word that the model knows. Received: {sentence!r}; "
            "say it in words of the captions that the model was trained on"
        )
    return known, [word for word in words if word not in captioner.vocabulary]


def in_8_bits(lifts: np.ndarray) -> np.ndarray:
    """float32 lifts in nats to int8, `STEPS` a nat."""
    return np.clip(np.round(STEPS * lifts), -127, 127).astype(np.int8)


def thumbprint(frames: np.ndarray) -> np.ndarray:
    """uint8 `(T, H, W, 3)` to uint8 `(T * SIDE * SIDE * 3,)`: each frame's mean colours in a grid.

    Another size, another compression or slightly different colours change it little.
    """
    box = Image.Resampling.BOX
    small = [Image.fromarray(frame).resize((SIDE, SIDE), box) for frame in frames]
    return np.stack([np.asarray(picture) for picture in small]).ravel()


def looks(thumbprints: np.ndarray) -> np.ndarray:
    """Thumbprints as vectors of unit length, without their brightness."""
    prints = thumbprints.astype(np.float32)
    return unit(prints - prints.mean(axis=1, keepdims=True) + 1e-6)


def near_duplicates(vectors: np.ndarray, order: Sequence[int], count: int) -> list[list[int]]:
    """At most `count` groups of clips that show almost the same, of clips best first.

    Each clip joins the first group whose best clip it resembles, by the cosine of their vectors,
    of unit length and in that order.
    """
    found: list[list[int]] = []
    leaders: list[int] = []
    for row, clip in enumerate(order):
        alike = vectors[np.array(leaders, int)] @ vectors[row] >= ALIKE
        if alike.any():
            found[int(alike.argmax())].append(clip)
        elif len(found) < count:
            found.append([clip])
            leaders.append(row)
    return found
