"""The manifest: a table with one row a source, which says what became of it.

Rows are appended, so that a kill loses none. The file can therefore end in half a row, have two
rows for a source, or name shards that are gone: the next run's `forget` and `tidy` remove those.
"""

import dataclasses
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from v2t_lib.errors import VERDICTS, DataError, writing
from v2t_lib.files import replacing

MANIFEST_FILE = "manifest.tsv"


@dataclasses.dataclass(frozen=True)
class Row:
    """What became of one source; columns that the verdict leaves without a value are "" or 0.

    Attributes:
        source: As the captions file has it.
        split: The split it was fetched for, or "".
        verdict: One of `VERDICTS`.
        bytes: Size of the original file.
        sha256: Of the original file.
        frames: Number of frames of the original.
        seconds: Duration of the original, without repeats.
        width: Of the original, in pixels.
        height: Of the original, in pixels.
        final_url: Where redirects led; "" for a local file.
        attempts: Requests made, without redirects; 0 for a file that was there already.
        shard: The shard that holds the clip, relative to the manifest's folder.
        file: The original if it is kept, relative to the manifest's folder.
        why: The reason for any verdict but "ok".
    """

    source: str
    split: str
    verdict: str
    bytes: int = 0
    sha256: str = ""
    frames: int = 0
    seconds: float = 0.0
    width: int = 0
    height: int = 0
    final_url: str = ""
    attempts: int = 0
    shard: str = ""
    file: str = ""
    why: str = ""


class Known(NamedTuple):
    """The columns of a row that a run needs in memory."""

    verdict: str
    shard: str
    file: str
    bytes: int


_FIELDS = dataclasses.fields(Row)
HEADER = "\t".join(field.name for field in _FIELDS)
#: Characters that would end a column or a row.
_BLANKS = str.maketrans(dict.fromkeys("\t\n\r", " "))


def line_of(row: Row) -> bytes:
    """A row as the manifest has it."""
    columns = [str(value).translate(_BLANKS) for value in dataclasses.astuple(row)]
    return "\t".join(columns).encode(errors="replace") + b"\n"


def _row(line: str) -> Row | None:
    columns = line.split("\t")
    if len(columns) != len(_FIELDS) or columns[2] not in VERDICTS:
        return None
    try:
        return Row(*(field.type(text) for field, text in zip(_FIELDS, columns, strict=True)))
    except ValueError:
        return None


def _lines(path: Path) -> Iterator[str]:
    """Yields the lines after the header, without the last if a kill cut it off."""
    try:
        file = open(path, encoding="utf-8", errors="replace", newline="\n")  # noqa: SIM115
    except FileNotFoundError:
        return
    with file:
        header = file.readline()
        if header.endswith("\n") and header != HEADER + "\n":
            raise DataError(
                f"{path}: expected a manifest, whose first line begins {HEADER[:20]!r}. "
                f"Received: {header[:60]!r}"
            )
        yield from (line[:-1] for line in file if line.endswith("\n"))


def read_rows(path: str | Path) -> Iterator[Row]:
    """Yields the whole rows of a manifest in file order; none if there is no such file.

    Raises:
        DataError: The file isn't a manifest.
    """
    yield from (row for row in map(_row, _lines(Path(path))) if row)


class Manifest:
    """A manifest that rows are appended to.

    Args:
        path: The file; the first `append` creates it.

    Attributes:
        known: The last row of each source, by source.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.known: dict[str, Known] = {}
        self._file, self._lines = None, 0
        for line in _lines(self.path):
            self._note(_row(line))

    def _note(self, row: Row | None) -> None:
        self._lines += 1
        if row is None:
            return
        verdict, shard = sys.intern(row.verdict), sys.intern(row.shard)
        self.known[row.source] = Known(verdict, shard, row.file, row.bytes)

    def forget(self, sources: Iterable[str]) -> None:
        """Drops the rows of these sources; `tidy` then removes them from the file."""
        for source in sources:
            self.known.pop(source, None)

    def tidy(self) -> None:
        """Rewrites the file, if it has to be, with just one row for each source in `known`.

        Raises:
            DataError: The disk is full.
        """
        self.close()
        if self._lines == len(self.known) and self._ends_whole():
            return
        last = {}
        for number, line in enumerate(_lines(self.path)):
            if row := _row(line):
                last[row.source] = number
        wanted = {number for source, number in last.items() if source in self.known}
        with (
            writing(self.path),
            replacing(self.path) as temporary,
            open(temporary, "w", encoding="utf-8", newline="\n") as file,
        ):
            file.write(HEADER + "\n")
            lines = enumerate(_lines(self.path))
            file.writelines(line + "\n" for number, line in lines if number in wanted)
            file.flush()
            os.fsync(file.fileno())
        self._lines = len(wanted)

    def _ends_whole(self) -> bool:
        if not self.path.exists():
            return True
        with open(self.path, "rb") as file:
            file.seek(-min(1, os.fstat(file.fileno()).st_size), os.SEEK_END)
            return file.read(1) == b"\n"

    def append(self, row: Row) -> None:
        """Writes one row, which a kill of this process can no longer lose.

        Raises:
            DataError: The disk is full.
        """
        with writing(self.path):
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                # Unbuffered, so that a row is written at once.
                self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115
                if not self._file.tell():
                    self._write(HEADER.encode() + b"\n")
            self._write(line_of(row))
        self._note(row)

    def _write(self, data: bytes) -> None:
        while data:
            data = data[self._file.write(data) :]

    def close(self) -> None:
        """Closes the file, which makes mounted drives upload it; `append` opens it again."""
        if self._file is not None:
            with writing(self.path):
                os.fsync(self._file.fileno())
                self._file.close()
            self._file = None
