"""The index on disk: what search knows of each clip, in one SQLite file."""

import contextlib
import dataclasses
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from v2t_lib.errors import DataError, advice

#: SQLite's numbers for whose file it is ("v2ts"), and in which form.
APPLICATION, FORMAT = 0x76327473, 1
_TABLES = (
    "CREATE TABLE about (model TEXT)",
    """CREATE TABLE clips (
        id INTEGER PRIMARY KEY, file BLOB UNIQUE, size INTEGER, changed INTEGER, error TEXT,
        seconds BLOB, thumbprint BLOB, lifts BLOB)""",
    # Apart from the rest, which the first stage reads of all clips.
    """CREATE TABLE features (
        id INTEGER PRIMARY KEY REFERENCES clips ON DELETE CASCADE, features BLOB)""",
)


@dataclasses.dataclass(frozen=True)
class IndexedClip:
    """What the index holds of a clip.

    Attributes:
        file: Its path relative to the folder.
        state: Its size in bytes and the time of its last change in nanoseconds.
        error: Why it can't be searched; "" where it can.
        seconds: float64 `(T,)`, the times at which its frames were sampled.
        thumbprint: uint8, see `near_duplicates.thumbprint`.
        lifts: int8 `(vocabulary_size,)`, see `WordLifts`.
        features: int8 `(T, h', w', C)` of an image network whose features are kept; else None.
    """

    file: str
    state: tuple[int, int]
    error: str = ""
    seconds: np.ndarray | None = None
    thumbprint: np.ndarray | None = None
    lifts: np.ndarray | None = None
    features: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Searchable:
    """The clips that can be searched, one a row.

    Attributes:
        ids: Their numbers in the index.
        files: Their paths relative to the folder.
        seconds: float64 `(clips, T)`.
        thumbprints: uint8 `(clips, F)`.
        lifts: int8 `(clips, vocabulary_size)`.
    """

    ids: list[int]
    files: list[str]
    seconds: np.ndarray
    thumbprints: np.ndarray
    lifts: np.ndarray


class Store:
    """An index's file. Each method is one transaction: a process that is killed leaves it whole.

    Args:
        path: The file; made where there is none. One of another model is emptied.
        model: What identifies the model whose features and lifts it holds.

    Raises:
        DataError: From every method, where the file can't be read or written.
    """

    def __init__(self, path: str | Path, model: str):
        self.path = Path(path)
        with self._telling():
            self._base = sqlite3.connect(self.path, timeout=10)
            self._base.execute("PRAGMA foreign_keys = ON")
            owner, tables = self._number("application_id"), self._number("schema_version")
            if tables and owner != APPLICATION:
                raise sqlite3.DatabaseError("another program's database")
            before = None
            if tables and self._number("user_version") == FORMAT:
                before = self._base.execute("SELECT model FROM about").fetchone()
            if before != (model,):
                self._start(model)
        #: Whether it held another model's features and lifts.
        self.emptied = bool(tables) and before != (model,)

    def _number(self, pragma: str) -> int:
        return self._base.execute(f"PRAGMA {pragma}").fetchone()[0]

    def _start(self, model: str) -> None:
        with self._base as base:
            base.execute("BEGIN")
            for table in ("features", "clips", "about"):
                base.execute(f"DROP TABLE IF EXISTS {table}")
            for table in _TABLES:
                base.execute(table)
            base.execute("INSERT INTO about VALUES (?)", (model,))
            base.execute(f"PRAGMA application_id = {APPLICATION}")
            base.execute(f"PRAGMA user_version = {FORMAT}")
        self._base.execute("VACUUM")

    def close(self) -> None:
        """Closes the file."""
        self._base.close()

    def states(self) -> dict[str, tuple[int, int]]:
        """The `IndexedClip.state` of every clip, by file."""
        rows = self._rows("SELECT file, size, changed FROM clips")
        return {os.fsdecode(file): (size, changed) for file, size, changed in rows}

    def errors(self) -> dict[str, str]:
        """Why clips can't be searched, by file."""
        rows = self._rows("SELECT file, error FROM clips WHERE error != '' ORDER BY file")
        return {os.fsdecode(file): error for file, error in rows}

    def add(self, clips: Iterable[IndexedClip]) -> None:
        """Adds clips, in place of what it held of their files."""
        with self._telling(), self._base as base:
            for clip in clips:
                file = os.fsencode(clip.file)
                base.execute("DELETE FROM clips WHERE file = ?", (file,))
                arrays = (clip.seconds, clip.thumbprint, clip.lifts)
                row = (file, *clip.state, clip.error, *map(_bytes, arrays))
                number = base.execute(
                    "INSERT INTO clips VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", row
                ).lastrowid
                if clip.features is not None:
                    base.execute(
                        "INSERT INTO features VALUES (?, ?)", (number, _bytes(clip.features))
                    )

    def drop(self, files: Iterable[str]) -> None:
        """Removes clips."""
        with self._telling(), self._base as base:
            names = [(os.fsencode(file),) for file in files]
            base.executemany("DELETE FROM clips WHERE file = ?", names)

    def searchable(self) -> Searchable:
        """All clips that can be searched, without their features."""
        columns = "id, file, seconds, thumbprint, lifts"
        rows = self._rows(f"SELECT {columns} FROM clips WHERE error = '' ORDER BY file")
        ids, files, *arrays = zip(*rows, strict=True) if rows else [[]] * 5
        types = (np.float64, np.uint8, np.int8)
        return Searchable(
            list(ids),
            list(map(os.fsdecode, files)),
            *(
                np.frombuffer(b"".join(of), kind).reshape(len(ids), -1 if ids else 0)
                for of, kind in zip(arrays, types, strict=True)
            ),
        )

    def features(self, ids: Sequence[int], shape: tuple[int, ...]) -> Mapping[int, np.ndarray]:
        """The features, int8 of `shape`, of those of these clips that have some."""
        marks = ",".join("?" * len(ids))
        rows = self._rows(f"SELECT id, features FROM features WHERE id IN ({marks})", ids)
        return {number: np.frombuffer(data, np.int8).reshape(shape) for number, data in rows}

    def _rows(self, query: str, values: Sequence = ()) -> list[tuple]:
        with self._telling():
            return self._base.execute(query, values).fetchall()

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """Turns SQLite's errors into one that says what to do."""
        try:
            yield
        except sqlite3.Error as error:
            raise DataError(
                f"expected to read and write the index {self.path}. Received: {error}; "
                f"{_what_to_do(str(error))}"
            ) from None


def _bytes(array: np.ndarray | None) -> bytes | None:
    return None if array is None else array.tobytes()


def _what_to_do(why: str) -> str:
    if "another program" in why:
        return "name another file: --index FILE"
    if "not a database" in why or "malformed" in why:
        return "delete it if it was an index, which is made anew; else name another: --index FILE"
    if "full" in why or "disk I/O" in why:
        return f"if the disk is full, {advice('No space left')}"
    if "locked" in why:
        return "another command is writing it; wait until it has ended"
    return "name a place that may be written to: --index FILE"
