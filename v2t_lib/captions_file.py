"""Captions files and split lists: the captions of each clip, and which split it belongs to.

A captions file is UTF-8 TSV, `source<TAB>caption`, one caption a row; a source is a URL or a path
relative to the file, and may recur. It needs no header; one is recognised and skipped. A third
column is refused. A split list has one source a line; what follows a tab is ignored.
"""

import dataclasses
import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from v2t_lib.errors import DataError
from v2t_lib.progress import warn_once
from v2t_lib.tsv import is_url, iter_rows, read_rows


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
