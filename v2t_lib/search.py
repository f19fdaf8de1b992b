"""Searching a folder of clips by a sentence: an index on disk, then a ranking by lift.

The index is a folder of chunks of clips, each written once, whole or not at all: `00003.npz` has
their files and what the first stage needs, `00003.npy` the features of an image network.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from v2t_lib.captions_file import cell
from v2t_lib.clips.files import folder_clips, shown
from v2t_lib.errors import ClipError, DataError, SentenceError, writing
from v2t_lib.files import LOCK_FILE, locked, replacing
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.compiled import filled_up
from v2t_lib.models.over_clips import BATCH, Batch, decode_all, over_clips
from v2t_lib.models.verification import Verification, words_of
from v2t_lib.models.word_lifts import WordLifts
from v2t_lib.progress import Progress, log

#: Where the index lies in the folder, unless another place is named; and the file that marks one.
INDEX_FOLDER, MARKER = ".v2t-search", "v2t-search.json"
#: Changes when an older index has to be made anew.
FORMAT = 2
#: Clips a chunk, which is what a kill costs at most.
CHUNK = 256
#: Kinds of failure that another day may change: such clips are tried again each time.
PASSING = ("gone", "unreachable")
#: Lifts are kept in 8 bits, so many steps a nat, which reach to almost 8 nats.
STEPS = 16
ARRAYS = ("seconds", "thumbprints", "lifts")
#: Groups of near-duplicates that the first stage leaves to the second; and clips, at most.
GROUPS, CLIPS = 50, 200
#: Rows and columns of a thumbprint.
SIDE = 8
#: Near-duplicates are clips whose thumbprints differ by at most this share of their contrast. Of
#: MSR-VTT's test clips two copies differ by 0.02, the next two clips by 0.33.
DIFFERENCE = 0.25


@dataclasses.dataclass(frozen=True)
class Index:
    """What is known of a folder's clips, one that can be searched a row.

    Attributes:
        folder: The clips.
        files: Their paths relative to the folder.
        seconds: float64 `(clips, T)`, the times of the frames.
        thumbprints: uint8 `(clips, F)`.
        lifts: int8 `(clips, vocabulary_size)`, see `WordLifts`, `STEPS` a nat.
        features: For each clip int8 `(T, h', w', C)` where an image network's are kept, or None.
        errors: Why clips can't be searched, by file.
    """

    folder: str | Path
    files: list[str]
    seconds: np.ndarray
    thumbprints: np.ndarray
    lifts: np.ndarray
    features: list[np.ndarray | None]
    errors: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Match:
    """A clip that was found.

    Attributes:
        file: Its path relative to the folder.
        score: The mean lift of the sentence's words that the model knows, in nats.
        verification: Whether the clip supports the sentence, with the evidence; without `caption`.
        near_duplicates: Files of clips that show almost the same, best first.
    """

    file: str
    score: float
    verification: Verification
    near_duplicates: tuple[str, ...] = ()


def open_index(captioner: Captioner, folder: str | Path, place: str | Path | None = None) -> Index:
    """The index of a folder, brought up to date.

    New and changed clips are added, those that are gone dropped. Interrupted, the next call
    continues. A clip that can't be decoded is logged, and tried again once its file changes.

    Args:
        captioner: A model with its null memory. Another model's index is made anew.
        folder: The clips.
        place: The index's folder; `.v2t-search` in `folder` when left out.

    Raises:
        DataError: No folder of clips, or a place that is no index or can't be written.
        ModelError: The model has no null memory.
    """
    place, states = Path(place or Path(folder) / INDEX_FOLDER), _states(folder)
    model = json.dumps({"model": _digest(captioner)})
    names = {*os.listdir(place)} - {LOCK_FILE} if place.is_dir() else place.exists()
    if names and not (place / MARKER).is_file():
        raise DataError(
            f"expected an index or nothing at {place}. Received: other files; name another folder "
            "for it (--index DIR)"
        )
    with locked(place), writing(place):
        if (place / MARKER).exists() and (place / MARKER).read_text() != model:
            log.info("%s: was another model's index, and is made anew", place)
            for chunk in _chunks(place):
                _delete(chunk)
        with replacing(place / MARKER) as file:
            file.write_text(model)
        index = load(folder, place, states)
        new = {name: states[name] for name in states.keys() - {*index.files, *index.errors}}
        if new:
            passing = _add(captioner, folder, place, dict(sorted(new.items())))
            index = load(folder, place, states)
            index.errors.update(passing)
        return index


def _states(folder: str | Path) -> dict[str, list[int]]:
    """Each clip's size and time of last change; without those that vanish meanwhile."""
    states = {}
    for file in folder_clips(folder):
        with contextlib.suppress(FileNotFoundError):
            about = os.stat(os.path.join(folder, file))
            states[file] = [about.st_size, about.st_mtime_ns]
    return states


def _digest(captioner: Captioner) -> str:
    """What tells a model, null memory included, from every other."""
    digest = hashlib.sha256(json.dumps([FORMAT, captioner.vocabulary.words]).encode())
    digest.update(repr((captioner.clip_spec, captioner.caption_spec)).encode())
    for weight in captioner.get_weights() + captioner.require_null_memory().get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def _chunks(place: Path) -> list[Path]:
    return sorted(place.glob("[0-9]" * 5 + ".npz"))


def _delete(chunk: Path) -> None:
    chunk.unlink()
    chunk.with_suffix(".npy").unlink(missing_ok=True)


def _add(captioner: Captioner, folder: str | Path, place: Path, new: Mapping) -> dict[str, str]:
    """Writes chunks of new clips, given with their states; returns errors that aren't kept."""
    word_lifts, passing = WordLifts(captioner), {}

    def work(batch: Batch) -> list[tuple]:
        lifts = in_8_bits(word_lifts(batch.memory))
        prints = map(thumbprint, batch.frames)
        return list(zip(batch.seconds, prints, lifts, batch.features, strict=True))

    paths = [os.path.join(folder, name) for name in new]
    found = over_clips(captioner, decode_all(paths, captioner.clip_spec), work)
    named = zip(new, Progress(found, "index", len(paths), unit="clip"), strict=True)
    number = max((int(chunk.stem) for chunk in _chunks(place)), default=-1)
    while chunk := list(islice(named, CHUNK)):
        rows = [result for _, (_, result) in chunk if not isinstance(result, ClipError)]
        errors = {name: error for name, (_, error) in chunk if isinstance(error, ClipError)}
        for name, error in errors.items():
            log.warning("%s: %s", cell(shown(name)), error)
        passing |= {name: str(e) for name, e in errors.items() if e.kind in PASSING}
        kept = [name for name, _ in chunk if name not in passing]
        number += 1
        files = [(name, new[name], str(errors.get(name, ""))) for name in kept]
        write_chunk(place / f"{number:05}.npz", files, rows)
    return passing


def in_8_bits(lifts: np.ndarray) -> np.ndarray:
    """float32 lifts in nats to int8, `STEPS` a nat."""
    return np.clip(np.round(STEPS * lifts), -127, 127).astype(np.int8)


def write_chunk(path: Path, files: Sequence[tuple], rows: Sequence[tuple]) -> None:
    """Writes a chunk: each clip's path, state and error or ""; the arrays of those without one."""
    *parts, features = list(zip(*rows, strict=True)) or [()] * 4
    if features and features[0].dtype == np.int8:
        with replacing(path.with_suffix(".npy")) as file, open(file, "wb") as opened:
            np.save(opened, np.stack(features))
    arrays: dict[str, Any] = dict(zip(ARRAYS, parts, strict=True))
    about = np.frombuffer(json.dumps(files).encode(), np.uint8)
    with replacing(path) as file, open(file, "wb") as opened:
        np.savez(opened, files=about, **arrays)


def load(folder: str | Path, place: Path, states: Mapping[str, list[int]]) -> Index:
    """Reads the rows of clips whose size and time of last change are those of `states`.

    Chunks that can't be read, or have few such rows, are deleted: their clips are indexed anew.
    """
    errors: dict[str, str] = {}
    names, parts, features = [], [], []
    for path in _chunks(place):
        try:
            with np.load(path) as chunk:
                files = json.loads(bytes(chunk["files"]))
                arrays = [chunk[name] for name in ARRAYS]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            files = []
        current = {name for name, state, _ in files if states.get(name) == state}
        if 2 * len(current) <= len(files):
            _delete(path)
            continue
        errors |= {name: error for name, _, error in files if error and name in current}
        good = [name for name, _, error in files if not error]
        rows = [row for row, name in enumerate(good) if name in current]
        kept = path.with_suffix(".npy")
        memory = np.load(kept, mmap_mode="r") if kept.exists() else [None] * len(good)
        names += [good[row] for row in rows]
        features += [memory[row] for row in rows]
        parts += [[array[rows] for array in arrays]] if rows else []
    nothing = np.empty((len(ARRAYS), 0, 0))
    seconds, prints, lifts = map(np.concatenate, zip(*parts, strict=True)) if parts else nothing
    return Index(folder, names, seconds, prints, lifts, features, errors)


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
    """float32 `(clips,)`: the mean of a sentence's word lifts, int8 as `Index` has them."""
    known, _ = known_words(captioner, sentence)
    tokens = [captioner.vocabulary.words.index(word) for word in known]
    return lifts[:, tokens].mean(axis=1, dtype=np.float32)


def search(captioner: Captioner, index: Index, sentence: str, top: int = 10) -> list[Match]:
    """Finds the `top` clips of an index that support a sentence best, best first.

    A first stage compares the sentence with the word lifts that the index holds. A second one ranks
    the best by the lift a word, as `Captioner.verify` has it. Near-duplicates count as one clip.

    Raises:
        SentenceError: As `known_words`.
    """
    known_words(captioner, sentence)
    if not index.files:
        return []
    rough = first_stage(captioner, index.lifts, sentence)
    order = np.argsort(-rough, kind="stable")[:CLIPS].tolist()
    grouped = near_duplicates(index.thumbprints, order, GROUPS)
    matches = _verified(captioner, index, sentence, [clip for group in grouped for clip in group])
    best = []
    for group in grouped:
        rated = sorted((matches[n] for n in group if n in matches), key=lambda m: -m.score)
        if rated:
            others = tuple(match.file for match in rated[1:])
            best.append(dataclasses.replace(rated[0], near_duplicates=others))
    return sorted(best, key=lambda match: -match.score)[:top]


def _verified(
    captioner: Captioner, index: Index, sentence: str, clips: Sequence[int]
) -> dict[int, Match]:
    """Some clips by number, as the sentence's verification rates them, that can still be read."""

    def verify(frames, seconds, memory):
        return captioner.verify_frames(frames, [sentence] * len(memory), seconds, memory)

    found: dict[int, Verification] = {}
    kept = [clip for clip in clips if index.features[clip] is not None]
    for start in range(0, len(kept), BATCH):
        rows = filled_up(kept[start : start + BATCH], BATCH)
        memory = captioner.encode(np.stack([index.features[row] for row in rows]))
        # Of frames only the shape counts here.
        frames = np.broadcast_to(np.uint8(0), (BATCH, *captioner.clip_spec.shape))
        found |= zip(rows, verify(frames, index.seconds[rows], memory), strict=True)
    paths = {os.path.join(index.folder, index.files[n]): n for n in clips if n not in found}
    decoded = decode_all(list(paths), captioner.clip_spec)
    for path, result in over_clips(
        captioner, decoded, lambda batch: verify(batch.frames, batch.seconds, batch.memory)
    ):
        if isinstance(result, ClipError):
            log.warning("%s: %s", cell(shown(path)), result)
        else:
            found[paths[path]] = result
    matches = {}
    for number, rated in found.items():
        rated = dataclasses.replace(rated, source=index.files[number], caption=None)
        score = np.mean([word.lift for word in rated.words if word.lift is not None])
        matches[number] = Match(rated.source, float(score), rated)
    return matches


def thumbprint(frames: np.ndarray) -> np.ndarray:
    """uint8 `(T, H, W, 3)` to uint8 `(T * SIDE * SIDE * 3,)`: each frame's mean colours in a grid.

    Another size, another compression or slightly different colours change it little.
    """
    box = Image.Resampling.BOX
    small = [Image.fromarray(frame).resize((SIDE, SIDE), box) for frame in frames]
    return np.stack([np.asarray(picture) for picture in small]).ravel()


def near_duplicates(thumbprints: np.ndarray, order: Sequence[int], count: int) -> list[list[int]]:
    """At most `count` groups of clips that show almost the same, of clips best first.

    Each clip joins the first group whose best clip it resembles.
    """
    found, leaders = [], np.empty((0, thumbprints.shape[1]), np.float32)
    for clip in order:
        centred = thumbprints[clip].astype(np.float32)
        centred -= centred.mean()
        contrasts = np.linalg.norm(leaders, axis=1)
        differences = np.linalg.norm(leaders - centred, axis=1)
        alike = differences <= DIFFERENCE * np.maximum(contrasts, np.linalg.norm(centred))
        if alike.any():
            found[int(alike.argmax())].append(clip)
        elif len(found) < count:
            found.append([clip])
            leaders = np.concatenate([leaders, centred[None]])
    return found
