"""Claims about clips as a file has them; reading them loads no model."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from v2t_lib.tsv import is_url, iter_rows


@dataclasses.dataclass(frozen=True)
class Pair:
    """A claim about a clip.

    Attributes:
        file: The clip as it is named in results.
        source: Where the clip is: a path or URL.
        sentence: The claim.
        error: What is wrong with the row it comes from; "" for a good one.
    """

    file: str
    source: str
    sentence: str
    error: str = ""


def read_pairs(path: str | Path) -> list[Pair]:
    """Reads a TSV of `source<TAB>sentence`; sources are URLs or paths relative to the file.

    Quotation marks are ordinary characters; a header row is recognised and skipped. A row without
    two columns is a pair with an error.

    Raises:
        DataError: No such file, an empty one, or not UTF-8.
    """
    return list(iter_pairs(path))


def iter_pairs(path: str | Path) -> Iterator[Pair]:
    """Yields the pairs of `read_pairs` one by one."""
    for number, columns in iter_rows(path):
        file, sentence = (*columns, "")[:2]
        source = file if is_url(file) else str(Path(path).parent / file)
        error = ""
        if len(columns) != 2 or not file:
            what = (
                "a blank source"
                if len(columns) == 2
                else f"{len(columns)} column{'s' * (len(columns) != 1)}"
            )
            error = f"{path}, row {number}: expected `source<TAB>sentence`. Received: {what}"
        yield Pair(file, source, sentence, error)
