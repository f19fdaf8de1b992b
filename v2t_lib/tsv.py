"""Rows of UTF-8 TSV files: reading them, and recognising a header row."""

import codecs
import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path

from v2t_lib.errors import DataError
from v2t_lib.progress import warn_once

Row = tuple[int, list[str]]
_URL = re.compile(r"https?://", re.IGNORECASE)
# Words of column names: `gif_url` is "gif" and "url".
_SOURCE_NAMES = """
    source src video videos vid clip clips gif gifs image images img file filename filepath path url
    uri link key media movie youtube vidid videoid imageid clipid id ids name names
"""
_CAPTION_NAMES = """
    caption captions sentence sentences text texts description descriptions desc label labels title
    annotation annotations comment reference references prediction predictions
"""

#: In bytes. What has longer ones is no text, a device without an end say.
LONGEST_ROW = 1 << 20
#: Characters that would end a column or a row, as they are printed.
_ESCAPES = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r"})


def cell(text: str) -> str:
    """A text as one column of a printed row: tabs and line ends are escaped."""
    return text.translate(_ESCAPES)


def without_password(source: str) -> str:
    """A source as it is printed: a URL without user and password."""
    return re.sub("^([a-z]+://)[^/?#]*@", r"\1", source, flags=re.IGNORECASE)


def is_url(source: str) -> bool:
    """Whether a source is an http(s) URL."""
    return _URL.match(source) is not None


def _lines(path: str | Path) -> Iterator[str]:
    """Yields the lines of a UTF-8 file one by one, so that a file of any size needs no memory."""
    place = 0
    try:
        with open(path, "rb") as file:
            # Not splitlines, which also splits at characters that a caption may hold.
            lines = iter(lambda: file.readline(LONGEST_ROW + 1), b"")
            for number, line in enumerate(lines, start=1):
                if len(line) > LONGEST_ROW:
                    raise DataError(
                        f"{path}, row {number}: expected at most {LONGEST_ROW:,} bytes. Received: "
                        "more; is this a text file?"
                    )
                if number == 1:
                    line = line.removeprefix(codecs.BOM_UTF8)
                try:
                    text, wrong = line.decode(), line.find(b"\0")
                except UnicodeDecodeError as error:
                    wrong = error.start
                if wrong >= 0:
                    raise DataError(
                        f"{path}, row {number}: expected UTF-8 text. Received: "
                        f"0x{line[wrong]:02x} at byte {place + wrong}; save the file as UTF-8 and "
                        "try again"
                    )
                yield text.removesuffix("\n")
                place += len(line)
    except OSError as error:
        raise DataError(f"expected a text file at {path}. Received: {error.strerror}") from error


def _filled_rows(path: str | Path) -> Iterator[Row]:
    for number, line in enumerate(_lines(path), start=1):
        if line.strip(" \r"):
            yield number, [column.strip() for column in line.split("\t")]


def _names(cell: str) -> set[str]:
    """The words of a column name: of `videoID`, `video_id` and `#Video ID` "video" and "id"."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", cell)
    return set(re.findall(r"[^\W_]+", parted.lower()))


def _is_header(path: str | Path, first: Row, second: Row) -> bool:
    """Whether the first row names the columns of the others.

    Its source must be a bare word or two that is no file, and no other row may have it. Then the
    row is a header if both cells are usual column names, in English; or, in any language, if its
    second cell is a single word and the next row's source is a URL or a file.
    """

    def exists(source: str) -> bool:
        return is_url(source) or os.path.isfile(Path(path).parent / source)

    _, columns = first
    if len(columns) != 2 or not all(columns):
        return False
    source, caption = columns
    if re.search(r"[./\\]", source) or exists(source):
        return False
    sources, captions = set(_SOURCE_NAMES.split()), set(_CAPTION_NAMES.split())
    usual = _names(source) <= sources and _names(caption) & captions
    usual = usual and len(caption.split()) <= 3
    if not usual and not (len(caption.split()) == 1 and exists(second[1][0])):
        return False
    others = itertools.islice(_filled_rows(path), 1, None)
    return all(source != other for _, (other, *_) in others)


def iter_rows(path: str | Path) -> Iterator[Row]:
    """Yields the rows of a TSV file one by one, as `read_rows` returns them.

    Raises:
        DataError: As `read_rows`, as far as the file has been read.
    """
    rows = _filled_rows(path)
    first, second = next(rows, None), next(rows, None)
    if first is None:
        raise DataError(f"{path}: expected at least one row. Received: an empty file")
    if second is not None and _is_header(path, first, second):
        number, columns = first
        warn_once(f"{path}, row {number}: taken for a header and skipped: {' | '.join(columns)!r}")
    else:
        yield first
    if second is not None:
        yield second
        yield from rows


def read_rows(path: str | Path) -> list[Row]:
    """Reads the rows of a TSV file as row numbers from 1 and columns.

    Empty lines are skipped, and so is a header row, with a warning.

    Raises:
        DataError: No such file, an empty one, or not UTF-8.
    """
    return list(iter_rows(path))
