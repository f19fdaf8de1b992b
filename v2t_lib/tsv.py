"""Rows of UTF-8 TSV files: reading them, and recognising a header row."""

import os
import re
import warnings
from collections.abc import Sequence
from pathlib import Path

from v2t_lib.errors import DataError

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


def _read_text(path: str | Path) -> str:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"expected a text file at {path}. Received: {error.strerror}") from error
    try:
        text = data.decode("utf-8-sig")
        wrong = len(text[: text.index("\0")].encode()) if "\0" in text else None
    except UnicodeDecodeError as error:
        wrong = error.start
    if wrong is None:
        return text
    row = data.count(b"\n", 0, wrong) + 1
    raise DataError(
        f"{path}, row {row}: expected UTF-8 text. "
        f"Received: 0x{data[wrong]:02x} at byte {wrong}; save the file as UTF-8 and try again"
    )


def _names(cell: str) -> set[str]:
    """The words of a column name: of `videoID`, `video_id` and `#Video ID` "video" and "id"."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", cell)
    return set(re.findall(r"[^\W_]+", parted.lower()))


def _is_header(path: str | Path, rows: Sequence[Row]) -> bool:
    """Whether the first row names the columns of the others.

    Its source must be a bare word or two that is no file, and no other row may have it. Then the
    row is a header if both cells are usual column names, in English; or, in any language, if its
    second cell is a single word and the next row's source is a URL or a file.
    """

    def exists(source: str) -> bool:
        return is_url(source) or os.path.isfile(Path(path).parent / source)

    (_, columns), *others = rows
    if len(columns) != 2 or not all(columns) or not others:
        return False
    source, caption = columns
    recurs = any(source == other for _, (other, *_) in others)
    if re.search(r"[./\\]", source) or exists(source) or recurs:
        return False
    sources, captions = set(_SOURCE_NAMES.split()), set(_CAPTION_NAMES.split())
    usual = _names(source) <= sources and _names(caption) & captions
    if usual and len(caption.split()) <= 3:
        return True
    return len(caption.split()) == 1 and exists(others[0][1][0])


def read_rows(path: str | Path) -> list[Row]:
    """Reads the rows of a TSV file as row numbers from 1 and columns.

    Empty lines are skipped, and so is a header row, with a warning.

    Raises:
        DataError: No such file, an empty one, or not UTF-8.
    """
    # Not splitlines, which also splits at characters that a caption may hold.
    lines = enumerate(_read_text(path).split("\n"), start=1)
    rows = [
        (number, [column.strip() for column in line.split("\t")])
        for number, line in lines
        if line.strip(" \r")
    ]
    if not rows:
        raise DataError(f"{path}: expected at least one row. Received: an empty file")
    if _is_header(path, rows):
        number, columns = rows.pop(0)
        warnings.warn(
            f"{path}, row {number}: taken for a header and skipped: {' | '.join(columns)!r}",
            stacklevel=3,
        )
    return rows
