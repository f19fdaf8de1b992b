"""Captions files, split lists and files of claims, all UTF-8 TSV.

A captions file is `source<TAB>caption`, one caption a row; a source is a URL or a path relative to
the file, and may recur. It needs no header; one is recognised and skipped. A third column is
refused. A split list has one source a line; what follows a tab is ignored.
"""

import codecs
import dataclasses
import hashlib
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
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


@dataclasses.dataclass(frozen=True)
class Record:
    """One clip and its captions.

    Attributes:
        key: A unique file name made from the source alone, so that a source has the same key in
            every captions file.
        source: The URL or path as the captions file has it.
        captions: Its captions, in file order.
        split: "train", "val", "test" or another split list's name; "" if unknown.
    """

    key: str
    source: str
    captions: tuple[str, ...]
    split: str = ""

    @property
    def remote(self) -> bool:
        """Whether the source is an http(s) URL."""
        return is_url(self.source)

    def path(self, captions_file: str | Path) -> str:
        """What to open: the URL, or the path resolved against the captions file's folder."""
        return self.source if self.remote else str(Path(captions_file).parent / self.source)


def _key(source: str) -> str:
    # The stem is for people; the digest tells sources apart that differ only in folder or query.
    stem = re.sub(r"[^a-zA-Z0-9._-]+", "_", source.rsplit("/", 1)[-1]).rsplit(".", 1)[0]
    stem = stem.strip("._-")[:60] or "clip"
    return f"{stem}-{hashlib.sha256(source.encode()).hexdigest()[:16]}"


def _check(path: str | Path, number: int, columns: list[str], blank: bool = False) -> None:
    if len(columns) == 2 and columns[0] and (columns[1] or blank):
        return
    what = f"{len(columns)} column{'s' * (len(columns) != 1)}"
    if len(columns) == 2:
        what = "a blank caption" if columns[0] else "a blank source"
    raise DataError(
        f"{path}, row {number}: expected `source<TAB>caption`. "
        f"Received: {what} in {' | '.join(columns)[:120]!r}"
    )


def iter_captions(path: str | Path) -> Iterator[tuple[str, str]]:
    """Yields source and caption of every row, one by one, repeated rows included.

    Raises:
        DataError: As `read_captions`, as far as the file has been read.
    """
    for number, columns in iter_rows(path):
        _check(path, number, columns)
        yield columns[0], columns[1]


def gather(rows: Iterable[tuple[str, str]]) -> list[Record]:
    """Sources and captions to one record a source, in order of first appearance; a caption that a
    source has several times counts once."""
    captions: dict[str, dict[str, None]] = {}
    for source, caption in rows:
        captions.setdefault(source, {})[caption] = None
    return [Record(_key(source), source, tuple(texts)) for source, texts in captions.items()]


def read_captions(path: str | Path, keep_repeats: bool = False) -> list[Record]:
    """Reads a captions file: one record a source, in order of first appearance.

    Quotation marks are ordinary characters. Identical rows count once, with a warning that says how
    many were skipped; with `keep_repeats` they all count, as references do in scores.

    Raises:
        DataError: No such file, an empty one, not UTF-8, or a row without exactly two filled
            columns; names the file and the row.
    """
    captions: dict[str, list[str]] = {}
    repeats, seen = [], set()
    for number, columns in read_rows(path):
        _check(path, number, columns)
        source, caption = columns
        of_source = captions.setdefault(source, [])
        if (source, caption) in seen and not keep_repeats:
            repeats.append(number)
            continue
        seen.add((source, caption))
        of_source.append(caption)
    if repeats:
        warn_once(
            f"{path}: {len(repeats)} rows repeat an earlier one word for word and count once, "
            f"the first in row {repeats[0]}"
        )
    return [Record(_key(source), source, tuple(texts)) for source, texts in captions.items()]


def read_predictions(path: str | Path) -> dict[str, str]:
    """Reads predicted captions by source: a captions file whose captions may be blank.

    The first row of a source counts; a warning says how many others there were.

    Raises:
        DataError: As `read_captions`.
    """
    predictions: dict[str, str] = {}
    others = []
    for number, columns in read_rows(path):
        _check(path, number, columns, blank=True)
        if columns[0] in predictions:
            others.append(number)
        predictions.setdefault(*columns)
    if others:
        warn_once(
            f"{path}: {len(others)} rows predict for a source a second time and don't count, "
            f"the first in row {others[0]}"
        )
    return predictions


def _rows_of_sources(path: str | Path) -> dict[str, int]:
    rows: dict[str, int] = {}
    for number, (source, *_) in read_rows(path):
        if not source:
            raise DataError(f"{path}, row {number}: expected a source. Received: a blank one")
        rows.setdefault(source, number)
    return rows


def read_split(path: str | Path) -> list[str]:
    """Reads a split list: its sources, each once, in order.

    Raises:
        DataError: No such file, an empty one, not UTF-8, or a blank source before a tab.
    """
    return list(_rows_of_sources(path))


def select(records: Iterable[Record], split: str | Path) -> list[Record]:
    """The records of the sources in a split list, in the list's order.

    Args:
        records: The records of a captions file.
        split: The split list; its file name without the suffix becomes the records' split.

    Raises:
        DataError: The list can't be read, or has sources without a record.
    """
    by_source = {record.source: record for record in records}
    sources = _rows_of_sources(split)
    unknown = [(source, row) for source, row in sources.items() if source not in by_source]
    if unknown:
        first = ", ".join(f"row {row}: {source!r}" for source, row in unknown[:3])
        raise DataError(
            f"{split}: expected sources that the captions file has. Received: {len(unknown)} of "
            f"{len(sources)} that it lacks ({first}{', ...' * (len(unknown) > 3)})"
        )
    name = Path(split).stem
    return [dataclasses.replace(by_source[source], split=name) for source in sources]


def split_records(
    records: Iterable[Record], shares: Mapping[str, float], seed: int = 0
) -> list[Record]:
    """Assigns every record to a split; all captions of a clip are in the same one.

    Clips are sorted by a hash of seed and source and cut by the shares. So the order of `records`
    does not matter, and adding clips later moves few of the others to another split.

    Args:
        records: The records; they keep their order.
        shares: The share of the clips for each split name; they sum to 1.
        seed: Another seed gives another assignment.

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
    """Refuses clips that are trained on and held out; the held-out splits may share theirs.

    Raises:
        DataError: A clip is in `train` and in another split.
    """
    trained = {record.source for record in splits.get("train", ())}
    for name, records in splits.items():
        shared = [record.source for record in records if record.source in trained]
        if name != "train" and shared:
            raise DataError(
                f"expected clips of {name}.txt that train.txt lacks, or every score would be "
                f"flattered. Received: {len(shared)} in both, {shared[0]!r} for one"
            )


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
