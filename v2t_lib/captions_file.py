"""Captions files, split lists and files of claims: TSV in UTF-8, or in UTF-16 as Excel writes it.

A captions file is `source<TAB>caption`, one caption a row; a source is a URL or a path relative to
the file, and may recur. A header is recognised and skipped. A split list has one source a line;
what follows a tab is ignored. All readers raise `DataError`, which names file and row.
"""

import codecs
import dataclasses
import hashlib
import io
import itertools
import posixpath
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from v2t_lib.errors import DataError
from v2t_lib.progress import warn_once

#: Columns' names that make the first row a header.
_SOURCE_NAME = r"(source|src|video|vid|clip|gif|image|file|path|url|uri|link|id|key|name)+"
_CAPTION_NAME = (
    r"(generated)?(caption|sentence|text|description|label|title|annotation|comment|reference|"
    r"prediction|claim)+s?"
)
#: In characters. What has longer ones is no text: a device without an end, say.
LONGEST_ROW = 1 << 20
#: Bytes that aren't UTF-8, as Python reads them, and a character that no text has.
_NO_TEXT = re.compile("[\0\udc80-\udcff]")
#: How .xlsx, .ods and .xls begin.
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
#: User and password of URLs in a text, also those with characters that should be escaped.
_LOGIN = re.compile(
    r"([a-z][a-z0-9+.-]*://)([^/?#\s]*|[^/?#\s:\[]*:(?!\d*([/?#\s]|$))\S*)@", re.IGNORECASE
)
#: What makes a spreadsheet put a cell in quotation marks.
_QUOTED = re.compile('[",;]')
#: What parts the columns of other files than TSV.
_SEPARATORS = {";": "semicolons", ",": "commas", "  ": "spaces"}
#: Characters that would end a column or a row, as they are printed.
_ESCAPES = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r"})


def _of_row(path: str | Path, number: int, expected: str, received: str) -> DataError:
    return DataError(f"{path}, row {number}: expected {expected}. Received: {received}")


def cell(text: str) -> str:
    """A text as one column of a printed row: tabs, line ends and what UTF-8 lacks are escaped."""
    return text.translate(_ESCAPES).encode(errors="backslashreplace").decode()


def without_password(text: str) -> str:
    """A source or message as it is printed: its URLs without user and password."""
    return _LOGIN.sub(r"\1", text)


def is_url(source: str) -> bool:
    """Whether a source is an http(s) URL."""
    return source[:8].lower().startswith(("http://", "https://"))


def plain(source: str) -> str:
    """The spelling of a source by which it is compared: `./a//b.gif` is `a/b.gif`, NFD is NFC, and
    a URL's scheme and host are in lower case, without user and password."""
    source = unicodedata.normalize("NFC", source)
    if is_url(source):
        source = without_password(source)
        return re.sub("^[^:]+://[^/?#]*", lambda match: match[0].lower(), source)
    return posixpath.normpath(source)


def located(source: str, file: str | Path) -> str:
    """What to open: the URL, or the path resolved against the folder of the file that names it;
    against the current one if that is standard input, or bash's `<(...)`."""
    piped = Path(file).parts[1:2] in (("dev",), ("proc",))
    return source if is_url(source) else str(Path("" if piped else Path(file).parent) / source)


def _encoding(start: bytes, path: str | Path) -> str:
    """What a text file that begins so is written in: UTF-8, or Excel's "Unicode text"."""
    if start.startswith(_WORKBOOKS):
        raise DataError(
            f"{path}: expected text. Received: a workbook, or another archive; in the spreadsheet, "
            'save it as text with tabs ("Unicode Text" in Excel)'
        )
    return "utf-16" if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"


def _lines(path: str | Path) -> Iterator[str]:
    """Yields the lines of a text file without their ends, which may be those of an old Mac."""
    try:
        with open(path, "rb") as file:
            encoding = _encoding(file.peek(8), path)
            # Not splitlines, which also splits at characters that a caption may hold.
            text = io.TextIOWrapper(file, encoding, errors="surrogateescape")
            lines = iter(lambda: text.readline(LONGEST_ROW + 1), "")
            for number, line in enumerate(lines, start=1):
                if len(line) > LONGEST_ROW:
                    most = f"at most {LONGEST_ROW:,} characters"
                    raise _of_row(path, number, most, "more; is this a text file?")
                if wrong := _NO_TEXT.search(line):
                    before = line[: wrong.start()].encode(errors="surrogateescape")
                    what = f"0x{ord(wrong[0]) & 0xFF:02x} at byte {len(before)} of the row"
                    why = f"{what}; save the file as UTF-8 and try again"
                    raise _of_row(path, number, "UTF-8 text", why)
                yield line.removesuffix("\n")
    except UnicodeError as error:
        raise DataError(f"{path}: expected text in {encoding}. Received: {error}") from None
    except OSError as error:
        raise DataError(f"expected a text file at {path}. Received: {error.strerror}") from error


def _rows(path: str | Path) -> Iterator[tuple[int, list[str]]]:
    """Yields the rows of a TSV file, one by one, as row numbers from 1 and columns.

    Empty lines and empty columns at the end are skipped, and so is a header row, with a warning.
    """
    first = True
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        columns = [_unquoted(column.strip()) for column in line.split("\t")]
        while len(columns) > 2 and not columns[-1]:
            del columns[-1]
        if first and _is_header(columns):
            what = " | ".join(columns)
            warn_once(f"{path}, row {number}: taken for a header and skipped: {what!r}")
        else:
            yield number, columns
        first = False
    if first:
        raise DataError(f"{path}: expected at least one row. Received: an empty file")


def _unquoted(column: str) -> str:
    """A cell without the quotation marks that spreadsheets put around commas and marks."""
    inside = column[1:-1].replace('""', "")
    quoted = column[:1] + column[-1:] == '""' and '"' not in inside
    return column[1:-1].replace('""', '"') if quoted and _QUOTED.search(column[1:-1]) else column


def _is_header(columns: Sequence[str]) -> bool:
    source, *captions = (re.sub(r"[\s_#-]", "", column.lower()) for column in columns)
    known = len(captions) == 1 and re.fullmatch(_CAPTION_NAME, captions[0])
    return bool(known and re.fullmatch(_SOURCE_NAME, source))


def _fault(columns: Sequence[str], blank: bool) -> str:
    """What is wrong with a row that should have two columns; "" if nothing is."""
    if len(columns) == 1:
        parts = (what for sign, what in _SEPARATORS.items() if sign in columns[0])
        return "1 column" + next((f" (columns are parted by tabs, not by {p})" for p in parts), "")
    if len(columns) != 2:
        return f"{len(columns)} columns"
    if not columns[0]:
        return "a blank source"
    return "" if columns[1] or blank else "a blank caption"


def _captions(path: str | Path, blank: bool = False) -> Iterator[tuple[int, str, str]]:
    """Yields row number, source and caption of every row; captions may be `blank`."""
    unclosed = False
    for number, columns in _rows(path):
        if fault := _fault(columns, blank):
            why = "; the quoted cell before it has a line end: take that out" if unclosed else ""
            fault += f" in {' | '.join(columns)[:120]!r}{why}"
            raise _of_row(path, number, "`source<TAB>caption`", fault)
        unclosed = columns[1].startswith('"') and columns[1].count('"') % 2 == 1
        yield number, columns[0], columns[1]


@dataclasses.dataclass(frozen=True)
class Record:
    """One clip and its captions.

    Attributes:
        key: A file name made from the source alone, the same in every captions file.
        source: The URL, without user and password, or path as the captions file first has it;
            `plain` compares sources.
        captions: Its captions, in file order.
        split: "train", "val", "test" or another split list's name; "" if unknown.
        address: The URL with its user and password, if it has them.
    """

    key: str
    source: str
    captions: tuple[str, ...]
    split: str = ""
    address: str = dataclasses.field(default="", repr=False)

    @property
    def remote(self) -> bool:
        return is_url(self.source)

    def path(self, captions_file: str | Path) -> str:
        """What to open: the URL, or the path resolved against the captions file's folder."""
        return located(self.address or self.source, captions_file)


def _key(source: str) -> str:
    # The stem is for people; the digest tells sources apart that differ only in folder or query.
    stem = re.sub(r"[^a-zA-Z0-9._-]+", "_", source.rsplit("/", 1)[-1]).rsplit(".", 1)[0]
    stem = stem.strip("._-")[:60] or "clip"
    return f"{stem}-{hashlib.sha256(source.encode()).hexdigest()[:16]}"


def read_captions(path: str | Path, keep_repeats: bool = False) -> list[Record]:
    """Reads a captions file: one record a source, in order of first appearance.

    Identical rows count once, with a warning; with `keep_repeats` they all count, as references do
    in scores. Quotation marks are ordinary characters, but for those of spreadsheets (`_unquoted`).
    """
    found: dict[str, tuple[str, list[str]]] = {}
    for _, source, caption in _captions(path):
        found.setdefault(plain(source), (source, []))[1].append(caption)
    records, repeats = [], 0
    for name, (source, all_captions) in found.items():
        captions = all_captions if keep_repeats else list(dict.fromkeys(all_captions))
        repeats += len(all_captions) - len(captions)
        shown = without_password(source)
        address = source if shown != source else ""
        records.append(Record(_key(name), shown, tuple(captions), address=address))
    if repeats:
        warn_once(f"{path}: {repeats} rows repeat an earlier one word for word and count once")
    return records


def read_predictions(path: str | Path) -> dict[str, str]:
    """Reads predicted captions by `plain` source: a captions file whose captions may be blank.

    The first row of a source counts; a warning says how many others there were.
    """
    predictions: dict[str, str] = {}
    others = []
    for number, source, caption in _captions(path, blank=True):
        if plain(source) in predictions:
            others.append(number)
        predictions.setdefault(plain(source), caption)
    if others:
        warn_once(
            f"{path}: {len(others)} rows predict for a source a second time and don't count, "
            f"the first in row {others[0]}"
        )
    return predictions


def read_split(path: str | Path) -> list[str]:
    """Reads a split list: its sources, each once, in order."""
    sources: dict[str, str] = {}
    for number, (source, *_) in _rows(path):
        if not source:
            raise _of_row(path, number, "a source", "a blank one")
        sources.setdefault(plain(source), source)
    return list(sources.values())


def select(records: Iterable[Record], split: str | Path) -> list[Record]:
    """The records of the sources in a split list, in the list's order.

    The list's file name without its suffix becomes their split.

    Raises:
        DataError: The list has sources without a record.
    """
    by_source = {plain(record.source): record for record in records}
    sources = read_split(split)
    unknown = [source for source in sources if plain(source) not in by_source]
    if unknown:
        first = ", ".join(map(repr, unknown[:3]))
        raise DataError(
            f"{split}: expected sources that the captions file has. Received: {len(unknown)} of "
            f"{len(sources)} that it lacks ({first}{', ...' * (len(unknown) > 3)})"
        )
    name = Path(split).stem
    return [dataclasses.replace(by_source[plain(source)], split=name) for source in sources]


def split_records(
    records: Iterable[Record], shares: Mapping[str, float], seed: int = 0
) -> list[Record]:
    """Assigns every record to a split, by each split's share of 1.

    Clips are sorted by a hash of seed and source, then cut. So the order of `records` does not
    matter, and adding clips later moves few of the others to another split.

    Raises:
        ValueError: The shares are negative or do not sum to 1.
        DataError: Too few clips for every split to have one.
    """
    if abs(sum(shares.values()) - 1) > 1e-6 or min(shares.values()) < 0:
        raise ValueError(f"expected shares that sum to 1. Received: shares={dict(shares)}")
    records = list(records)

    def rank(source: str) -> bytes:
        return hashlib.sha256(f"{seed}\t{source}".encode()).digest()

    ranked = sorted({record.source for record in records}, key=rank)
    cuts = [round(share * len(ranked)) for share in itertools.accumulate(shares.values())]
    placed = {}
    for name, first, last in zip(shares, [0, *cuts], cuts, strict=False):
        if shares[name] and first == last:
            raise DataError(
                f"expected enough clips for every split of {dict(shares)}. "
                f"Received: {len(ranked)}, which leaves {name!r} without any"
            )
        placed |= dict.fromkeys(ranked[first:last], name)
    return [dataclasses.replace(record, split=placed[record.source]) for record in records]


def check_apart(splits: Mapping[str, Sequence[Record]]) -> None:
    """Raises `DataError` if a clip is in `train` and in another split."""
    trained = {record.key for record in splits.get("train", ())}
    for name, records in splits.items():
        shared = [record.source for record in records if record.key in trained]
        if name != "train" and shared:
            raise DataError(
                f"expected clips of {name}.txt that train.txt lacks, or every score would be "
                f"flattered. Received: {len(shared)} in both, {shared[0]!r} for one"
            )


@dataclasses.dataclass(frozen=True)
class Pair:
    """A claim about a clip."""

    file: str  # as it is named in results
    source: str  # the path or URL to open
    sentence: str
    error: str = ""  # what is wrong with its row


def read_pairs(path: str | Path) -> list[Pair]:
    """Reads a TSV of `source<TAB>sentence`; a row without two columns is a pair with an error."""
    pairs = []
    for number, columns in _rows(path):
        file, sentence = (*columns, "")[:2]
        if error := _fault(columns, blank=True):
            error = str(_of_row(path, number, "`source<TAB>sentence`", error))
        pairs.append(Pair(file, located(file, path), sentence, error))
    return pairs
