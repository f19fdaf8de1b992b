"""The manifest: one row a source, what became of it. Rows are appended, so a kill loses none.

A file that only grows can still end in half a line, hold rows that later ones replace, or speak of
shards that a machine took with it. Whoever goes on with a folder reads the rows, forgets those
that it doesn't believe, and `tidy` leaves exactly the rest, one row a source, written under another
name and then renamed: the one step that is whole or not at all on every file system.
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
    """What became of one source; empty or 0 where a verdict leaves nothing to say.

    Attributes:
        source: As the captions file has it.
        split: The split it was fetched for, or "".
        verdict: One of `VERDICTS`.
        bytes: Of the original.
        sha256: Of the original.
        frames: Of the original.
        seconds: For which the original shows, once through.
        width: Of the original, in pixels.
        height: Of the original, in pixels.
        final_url: Where redirects led; empty for a local file.
        attempts: Requests made, redirects not counted; 0 for what was here already.
        shard: The shard that holds the clip, seen from the manifest's folder.
        file: The original where it is kept, seen from the manifest's folder.
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
    """What of a row decides the rest of a run."""

    verdict: str
    shard: str
    file: str
    bytes: int


_FIELDS = dataclasses.fields(Row)
HEADER = "\t".join(field.name for field in _FIELDS)
#: Tabs and line ends would end the column or the row.
_BLANKS = str.maketrans(dict.fromkeys("\t\n\r", " "))


def _line(row: Row) -> bytes:
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
    """Whole lines after the header; none where there is no file."""
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
    """Yields the rows of a manifest in file order; half a row, which a kill can leave, is none.

    Args:
        path: The manifest; a file that isn't there has no rows.

    Raises:
        DataError: Another kind of file.
    """
    yield from (row for row in map(_row, _lines(Path(path))) if row)


class Manifest:
    """A manifest to go on with; of its rows only what decides the rest of a run is in memory.

    Args:
        path: The file; the first `append` makes it.

    Attributes:
        known: What the last row of every source says, by source.
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
        """Takes these for not written; `tidy` takes their rows out of the file."""
        for source in sources:
            self.known.pop(source, None)

    def tidy(self) -> None:
        """Leaves one whole row for every source in `known`, and nothing else.

        Raises:
            DataError: The disk takes no more.
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
        """Writes one row; from here on a kill of this process doesn't lose it.

        Raises:
            DataError: The disk takes no more.
        """
        with writing(self.path):
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                # Unbuffered, so that a row goes out at once or not at all.
                self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115
                if not self._file.tell():
                    self._write(HEADER.encode() + b"\n")
            self._write(_line(row))
        self._note(row)

    def _write(self, data: bytes) -> None:
        while data:
            data = data[self._file.write(data) :]

    def close(self) -> None:
        """Closes the file, when mounted drives send it off; the next `append` opens it again."""
        if self._file is not None:
            with writing(self.path):
                os.fsync(self._file.fileno())
                self._file.close()
            self._file = None
