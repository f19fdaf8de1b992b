"""Searching: the clips of an index that support a sentence best, best first."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from v2t_lib.errors import SentenceError, V2TError
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.compiled import filled_up
from v2t_lib.models.verification import Verification, words_of
from v2t_lib.progress import log
from v2t_lib.search.near_duplicates import groups
from v2t_lib.search.store import Searchable, Store

#: Groups of near-duplicates that the first stage leaves to the second; and clips, at most.
GROUPS, CLIPS = 50, 200
#: Clips that are scored at once.
BATCH = 16


@dataclasses.dataclass(frozen=True)
class Match:
    """A clip that was found.

    Attributes:
        file: Its path relative to the folder.
        score: The mean lift of the sentence's words that the model knows, in nats; where it knows
            all of them, `verification.score`.
        verification: Whether the clip supports the sentence, with the evidence; without `caption`.
        near_duplicates: Files of clips that show almost the same, best first.
    """

    file: str
    score: float
    verification: Verification
    near_duplicates: tuple[str, ...] = ()


def known_words(captioner: Captioner, sentence: str) -> tuple[list[str], list[str]]:
    """The words of a sentence that the model knows, and those it doesn't.

    Raises:
        SentenceError: It knows none, or the sentence has none, or more than the model writes.
    """
    words = words_of(sentence, captioner.caption_spec)
    known = [word for word in words if word in captioner.vocabulary]
    if not known:
        raise SentenceError(
            f"expected a sentence with a word that the model knows. Received: {sentence!r}; "
            "say it in words of the captions that the model was trained on"
        )
    return known, [word for word in words if word not in captioner.vocabulary]


def first_stage(captioner: Captioner, lifts: np.ndarray, sentence: str) -> np.ndarray:
    """float32 `(clips,)`: how well clips fit a sentence by its words alone, whatever their order.

    Args:
        captioner: The model of the lifts.
        lifts: int8 `(clips, vocabulary_size)`, see `WordLifts`.
        sentence: What is looked for.

    Raises:
        SentenceError: As `known_words`.
    """
    known, _ = known_words(captioner, sentence)
    tokens = [captioner.vocabulary.words.index(word) for word in known]
    return lifts[:, tokens].mean(axis=1, dtype=np.float32)


def search(
    captioner: Captioner,
    folder: str | Path,
    store: Store,
    sentence: str,
    top: int = 10,
    clips: Searchable | None = None,
) -> list[Match]:
    """Finds the clips of an index that support a sentence best.

    A first stage compares the sentence with the word lifts that the index holds. A second one ranks
    the best by the lift a word, as `Captioner.verify` has it.

    Args:
        captioner: The model that the index was opened for.
        folder: The clips, in the state in which they were indexed.
        store: The index.
        sentence: What is looked for.
        top: How many clips to find, near-duplicates of one that is found not counted.
        clips: What `store.searchable()` gave, for more than one search.

    Returns:
        Best first.

    Raises:
        SentenceError: As `known_words`.
        DataError: The index can't be read.
    """
    known_words(captioner, sentence)
    clips = clips or store.searchable()
    if not clips.files:
        return []
    rough = first_stage(captioner, clips.lifts, sentence)
    order = np.argsort(-rough, kind="stable")[:CLIPS].tolist()
    grouped = groups(clips.thumbprints, order, GROUPS)
    chosen = [clip for group in grouped for clip in group]
    found = _verified(captioner, folder, store, sentence, clips, chosen)
    matches = []
    for group in grouped:
        rated = sorted(((_score(found[n]), n) for n in group if n in found), key=lambda r: -r[0])
        if rated:
            score, best = rated[0]
            others = tuple(clips.files[number] for _, number in rated[1:])
            matches.append(Match(clips.files[best], score, found[best], others))
    return sorted(matches, key=lambda match: -match.score)[:top]


def _score(found: Verification) -> float:
    return float(np.mean([word.lift for word in found.words if word.lift is not None]))


def _verified(
    captioner: Captioner,
    folder: str | Path,
    store: Store,
    sentence: str,
    clips: Searchable,
    chosen: Sequence[int],
) -> dict[int, Verification]:
    """The sentence's verification for each of the chosen clips that can still be read."""
    found = {}
    for first in range(0, len(chosen), BATCH):
        rows = list(chosen[first : first + BATCH])
        inputs = _inputs(captioner, folder, store, clips, rows)
        rows = [row for row in rows if row in inputs]
        if not rows:
            continue
        batch = filled_up(rows, BATCH)
        memory = captioner.encode(np.stack([inputs[row] for row in batch]))
        # Of frames only the shape counts here.
        frames = np.broadcast_to(np.uint8(0), (BATCH, *captioner.clip_spec.shape))
        verified = captioner.verify_frames(frames, [sentence] * BATCH, clips.seconds[batch], memory)
        for row, of_clip in zip(rows, verified, strict=False):
            found[row] = dataclasses.replace(of_clip, source=clips.files[row], caption=None)
    return found


def _inputs(
    captioner: Captioner, folder: str | Path, store: Store, clips: Searchable, rows: Sequence[int]
) -> Mapping[int, np.ndarray]:
    """Each clip's features as the index has them, or computed where it has none."""
    shape = getattr(captioner.encoder, "feature_shape", captioner.clip_spec.shape)
    kept = store.features([clips.ids[row] for row in rows], tuple(shape))
    inputs = {row: kept[clips.ids[row]] for row in rows if clips.ids[row] in kept}
    frames = {}
    for row in rows:
        if row not in inputs:
            try:
                path = os.path.join(folder, clips.files[row])
                frames[row] = captioner.decode(path).frames
            except V2TError as error:
                log.warning("%s: %s", clips.files[row], error)
    if frames:
        features = captioner.features(np.stack(list(frames.values())))
        inputs |= dict(zip(frames, features, strict=True))
    return inputs
