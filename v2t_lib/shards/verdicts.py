"""Verdicts: what became of each source, and `manifest.tsv`, the table of them."""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from v2t_lib.captions_file import Record
from v2t_lib.errors import DataError, writing
from v2t_lib.files import replacing
from v2t_lib.shards.format import digest_of

MANIFEST_FILE = "manifest.tsv"


def digest_of_captions(record: Record) -> str:
    """16 hexadecimal digits that change with a source's captions and split."""
    return digest_of(record.captions, record.split)[:16]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of one source: a row of the manifest, whose columns are "" or 0 where unknown.

    Attributes:
        source: As the captions file has it.
        split: The split it was asked for in, or "".
        verdict: One of `VERDICTS`.
        bytes: Size of the original file.
        sha256: Of the original file.
        frames: Number of frames of the original.
        seconds: Its duration, played once.
        width: Of the original, in pixels.
        height: Of the original, in pixels.
        final_url: Where redirects led; "" for a local file.
        attempts: Requests made, without redirects.
        shard: The shard that holds the clip, relative to the manifest's folder.
        file: The original if it is kept, relative to the manifest's folder.
        why: The reason for any verdict but "ok".
        digest: Of its captions, by which a later run knows them; not in the manifest.
        captions: The captions themselves, where the original is kept; not in the manifest either.
    """

    source: str
    split: str = ""
    verdict: str = ""
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
    digest: str = ""
    captions: tuple[str, ...] = ()


_COLUMNS = dataclasses.fields(Verdict)[:-2]
_HEADER = "\t".join(field.name for field in _COLUMNS) + "\n"
#: Characters that would end a column or a row.
_BLANKS = str.maketrans(dict.fromkeys("\t\n\r", " "))


def write_manifest(path: Path, verdicts: Iterable[Verdict]) -> None:
    """Writes `manifest.tsv`, whole or not at all."""
    with (
        writing(path),
        replacing(path) as temporary,
        open(temporary, "w", encoding="utf-8", errors="replace", newline="\n") as file,
    ):
        file.write(_HEADER)
        for verdict in verdicts:
            cells = (str(getattr(verdict, field.name)) for field in _COLUMNS)
            file.write("\t".join(cell.translate(_BLANKS) for cell in cells) + "\n")


def read_manifest(path: str | Path) -> Iterator[Verdict]:
    """Yields the rows of a manifest in file order.

    Raises:
        DataError: There is no such file, or it isn't a manifest.
    """
    try:
        file = open(path, encoding="utf-8", newline="\n")  # noqa: SIM115
    except OSError as error:
        raise DataError(f"expected a manifest at {path}. Received: {error.strerror}") from None
    with file:
        if (header := file.readline()) != _HEADER:
            raise DataError(
                f"{path}: expected a manifest, whose first line begins {_HEADER[:20]!r}. "
                f"Received: {header[:60]!r}"
            )
        kinds: list[Any] = [field.type for field in _COLUMNS]
        for line in file:
            cells = line.removesuffix("\n").split("\t")
            yield Verdict(*(kind(text) for kind, text in zip(kinds, cells, strict=True)))
