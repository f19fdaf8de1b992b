"""The index of a folder of clips: one file, with what is computed for each clip."""

import contextlib
import dataclasses
import json
import os
import time
import zipfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from v2t_lib.captions_file import cell
from v2t_lib.clips.decode import Clip
from v2t_lib.clips.files import folder_clips, shown
from v2t_lib.errors import ClipError, writing
from v2t_lib.files import locked, replacing
from v2t_lib.models.over_clips import decode_all
from v2t_lib.progress import Progress, log
from v2t_lib.specs import ClipSpec

#: Where the index lies in the folder, unless another place is named.
INDEX_FOLDER = ".v2t-search"
#: Changes when an older index has to be made anew.
FORMAT = 3
#: Seconds of work after which an index is written, which is what a kill costs at most.
SECONDS = 60
#: Kinds of failure that another day may change: such clips are tried again each time.
PASSING = ("gone", "unreachable")


@dataclasses.dataclass(frozen=True)
class Index:
    """What is known of a folder's clips, a row for each that can be searched."""

    folder: str | Path
    files: list[str]  # relative to the folder
    arrays: dict[str, np.ndarray]  # by name, with a row for each file
    errors: dict[str, str]  # why clips can't be searched, by file


class Searcher(Protocol):
    """What clips are indexed for, see `v2t_lib.search`."""

    name: str  # of the index's file
    spec: ClipSpec  # what clips are decoded to
    batch: int  # clips at a time

    def digest(self) -> str:
        """What tells its index from that of other weights."""
        ...

    def rows(self, clips: list[Clip]) -> dict[str, np.ndarray]:
        """What the index keeps of clips, arrays with a row for each."""
        ...


def open_index(searcher: Searcher, folder: str | Path, place: str | Path | None = None) -> Index:
    """The index of a folder, one file, brought up to date.

    New and changed clips are added, those that are gone dropped. Interrupted, the next call
    continues. A clip that can't be decoded is logged, and tried again once its file changes.

    Args:
        searcher: What searches. That of other weights is made anew.
        folder: The clips.
        place: The index's folder; `.v2t-search` in `folder` when left out.

    Raises:
        DataError: No folder of clips, or a place that can't be written.
    """
    place, states = Path(place or Path(folder) / INDEX_FOLDER), _states(folder)
    path, digest = place / f"{searcher.name}.npz", f"{FORMAT}-{searcher.digest()}"
    passing: dict[str, str] = {}
    with locked(place), writing(place):
        files, arrays = read_index(path, digest, states)
        parts, saved, new = [arrays], time.monotonic(), sorted(states.keys() - files.keys())
        for chunk, rows in _computed(searcher, folder, new):
            parts.append(rows)
            for name, error in chunk:
                if error and error.kind in PASSING:
                    passing[name] = str(error)
                else:
                    files[name] = states[name], str(error or "")
            if time.monotonic() > saved + SECONDS:
                parts, saved = [write_index(path, digest, files, parts)], time.monotonic()
        arrays = write_index(path, digest, files, parts) if new else arrays
    errors = {name: error for name, (_, error) in files.items() if error}
    good = [name for name in files if name not in errors]
    return Index(folder, good, arrays, errors | passing)


def _states(folder: str | Path) -> dict[str, list[int]]:
    """Each clip's size and time of last change; without those that vanish meanwhile."""
    states = {}
    for file in folder_clips(folder):
        path = os.path.join(folder, file)
        with contextlib.suppress(FileNotFoundError):
            about = os.stat(path) if os.path.exists(path) else os.lstat(path)
            states[file] = [about.st_size, about.st_mtime_ns]
    return states


def read_index(path: Path, digest: str, states: dict[str, list[int]]) -> tuple[dict, dict]:
    """A file's clips that haven't changed, each with state and error or "", and their arrays."""
    if not path.exists():
        return {}, {}
    try:
        with open(path, "rb") as file, np.load(file) as kept:
            arrays = {name: kept[name] for name in kept.files}
        about: Any = json.loads(bytes(arrays.pop("about")))
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile):
        about = {"digest": "", "files": {}}
    if about["digest"] != digest:
        log.info("%s: was another model's or damaged, and is made anew", path)
        return {}, {}
    good = [name for name, (_, error) in about["files"].items() if not error]
    files = {name: row for name, row in about["files"].items() if states.get(name) == row[0]}
    rows = [row for row, name in enumerate(good) if name in files]
    if len(rows) < len(good):
        arrays = {name: array[rows] for name, array in arrays.items()}
    return files, arrays


def write_index(path: Path, digest: str, files: dict, parts: list[dict]) -> dict[str, np.ndarray]:
    """Writes an index whose arrays come in parts; returns them whole."""
    parts = [part for part in parts if part]
    arrays: Any = {name: np.concatenate([p[name] for p in parts]) for name in (parts or [{}])[0]}
    about = np.frombuffer(json.dumps({"digest": digest, "files": files}).encode(), np.uint8)
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, about=about, **arrays)
    return arrays


def _computed(searcher: Searcher, folder: str | Path, names: list[str]) -> Iterator[tuple]:
    """Yields chunks of clips, each `(name, error or None)`, with the rows of those without."""
    decoded = decode_all([os.path.join(folder, name) for name in names], searcher.spec)
    named = zip(names, Progress(decoded, "index", len(names), unit="clip"), strict=True)
    while chunk := list(islice(named, searcher.batch)):
        errors = [(name, c if isinstance(c, ClipError) else None) for name, (_, c) in chunk]
        for name, error in errors:
            if error:
                log.warning("%s: %s", cell(shown(name)), error)
        clips = [clip for _, (_, clip) in chunk if not isinstance(clip, ClipError)]
        yield errors, searcher.rows(clips) if clips else {}
