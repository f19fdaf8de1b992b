"""Indexing: bringing the index of a folder up to date with the clips in it."""

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from v2t_lib.clips.decode import Clip
from v2t_lib.clips.files import folder_clips
from v2t_lib.errors import ClipError
from v2t_lib.fetching.download import decode_source
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.compiled import filled_up
from v2t_lib.models.word_lifts import WordLifts
from v2t_lib.progress import Progress, log
from v2t_lib.search.near_duplicates import thumbprint
from v2t_lib.search.store import IndexedClip, Store
from v2t_lib.shards.workers import Workers

#: Where the index lies in the folder, unless another place is named.
INDEX_FILE = ".v2t-search.sqlite"
#: Clips that are encoded at once, and kept at once: so many are lost at most by a kill.
BATCH = 16
#: Kinds of failure that another day may change: such clips are tried again each time.
PASSING = ("gone", "unreachable")
#: Steps a nat of lifts kept in 8 bits, which reach to almost 8 nats.
STEPS = 16


def quantised(lifts: np.ndarray) -> np.ndarray:
    """float32 lifts in nats to int8, `STEPS` a nat."""
    return np.clip(np.round(STEPS * lifts), -127, 127).astype(np.int8)


def fingerprint(captioner: Captioner) -> str:
    """What tells a model, null memory included, from every other: 64 hexadecimal digits."""
    digest = hashlib.sha256(json.dumps(captioner.vocabulary.words).encode())
    digest.update(repr((captioner.clip_spec, captioner.caption_spec)).encode())
    for weight in captioner.get_weights() + captioner.require_null_memory().get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def open_index(captioner: Captioner, path: str | Path) -> Store:
    """The index in a file, emptied where it was another model's.

    Raises:
        DataError: The file is no index, or can't be written.
        ModelError: The model has no null memory.
    """
    store = Store(path, fingerprint(captioner))
    if store.emptied:
        log.info("%s: was another model's index, and is made anew", path)
    return store


def update(
    captioner: Captioner, folder: str | Path, store: Store, workers: int | None = None
) -> dict[str, str]:
    """Brings an index up to date: new and changed clips are added, those that are gone dropped.

    Interrupted, the next call continues. A clip that can't be decoded stops nothing and is tried
    again once its file changes.

    Args:
        captioner: The model that the index was opened for.
        folder: The clips.
        store: The index.
        workers: Decoding processes; as many as there are cores when left out.

    Returns:
        Why clips of the folder can't be searched, by file.

    Raises:
        DataError: No folder of clips, or an index that can't be written.
    """
    states = _states(folder, folder_clips(folder))
    known = store.states()
    store.drop(known.keys() - states.keys())
    wanted = {file: state for file, state in states.items() if known.get(file) != state}
    passing = {}
    if wanted:
        paths = [os.path.join(folder, file) for file in wanted]
        count = min(workers or os.cpu_count() or 1, len(paths))
        with contextlib.closing(Workers(count, decode_source)) as crew:
            jobs = [(path, captioner.clip_spec) for path in paths]
            decoded = zip(wanted.items(), crew.run(jobs), strict=True)
            passing = _add(captioner, decoded, len(wanted), store)
    return store.errors() | passing


def _states(folder: str | Path, files: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Each file's size and time of last change; those that vanish meanwhile are left out."""
    states = {}
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            about = os.stat(os.path.join(folder, file))
            states[file] = (about.st_size, about.st_mtime_ns)
    return states


def _add(captioner: Captioner, decoded: Iterator, total: int, store: Store) -> Mapping[str, str]:
    """Adds clips as they are decoded; returns why some are not even kept as failed."""
    word_lifts, passing = WordLifts(captioner), {}
    good: list[tuple[IndexedClip, Clip]] = []
    bad: list[IndexedClip] = []
    with Progress(total=total, unit="clip", desc="index") as progress:
        for (file, state), clip in decoded:
            progress.update()
            if isinstance(clip, Clip):
                good.append((IndexedClip(file, state, seconds=clip.seconds), clip))
            elif clip[0] in PASSING:
                passing[file] = str(ClipError(*clip))
            else:
                bad.append(IndexedClip(file, state, str(ClipError(*clip))))
            if len(good) + len(bad) >= BATCH:
                store.add(_encoded(captioner, word_lifts, good) + bad)
                good, bad = [], []
        store.add(_encoded(captioner, word_lifts, good) + bad)
    return passing


def _encoded(
    captioner: Captioner, word_lifts: WordLifts, clips: list[tuple[IndexedClip, Clip]]
) -> list[IndexedClip]:
    """Clips with all that the index holds of them."""
    if not clips:
        return []
    frames = filled_up([clip.frames for _, clip in clips], BATCH)
    features = captioner.features(np.stack(frames))
    lifts = quantised(word_lifts(captioner.encode(features)))
    kept = features if features.dtype == np.int8 else [None] * BATCH
    return [
        dataclasses.replace(
            indexed, thumbprint=thumbprint(clip.frames), lifts=lifts[row], features=kept[row]
        )
        for row, (indexed, clip) in enumerate(clips)
    ]
