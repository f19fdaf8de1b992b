"""The plan: which share of the sources each task works on, written before any task starts.

Rows are read one by one and put into one file a share, so that the driver needs the same memory for
any number of them.
"""

import collections
import contextlib
import dataclasses
import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from v2t_lib.captions_file import Record, gather, iter_captions, iter_rows
from v2t_lib.cluster.storage import PRIVATE, Storage, pack_zip
from v2t_lib.errors import DataError
from v2t_lib.fetching.fetch import share_of
from v2t_lib.fetching.layout import check_splits
from v2t_lib.progress import log

#: Rows of a share, and fewer where some of the cluster's cores would have nothing to do.
ROWS = 1000
FEW_ROWS = 100
#: Shares for each core, so that a slow one doesn't hold up the rest.
SHARES_A_CORE = 8
#: Characters of rows that wait in memory to be written.
WAITING = 2**22
PLAN_FILE = f"{PRIVATE}/plan.json"
ROWS_FILE = "rows.jsonl"


def share_name(number: int) -> str:
    """What a share's files are called after."""
    return f"{number:05d}"


@dataclasses.dataclass(frozen=True)
class Plan:
    """What `plan.json` says.

    Attributes:
        settings: All that decides the folder's content: what it is made of, and how.
        shares: The number of shares.
        rows: The number of rows of all shares.
    """

    settings: dict
    shares: int
    rows: int


class _ShareFiles:
    """Appends values to the shares' files; few wait in memory, and no file stays open."""

    def __init__(self, folder: Path, count: int):
        self._folder, self.count = folder, count
        self._lines, self._waiting = collections.defaultdict(list), 0

    def path(self, share: int, ending: str = ".jsonl") -> Path:
        return self._folder / f"{share_name(share)}{ending}"

    def add(self, share: int, value) -> None:
        line = json.dumps(value, ensure_ascii=False)
        self._lines[share].append(line)
        self._waiting += len(line)
        if self._waiting > WAITING:
            self.write()

    def write(self) -> None:
        for share, lines in self._lines.items():
            with open(self.path(share), "a", encoding="utf-8", newline="\n") as file:
                file.writelines(f"{line}\n" for line in lines)
        self._lines.clear()
        self._waiting = 0

    def take(self, share: int) -> list:
        """A share's values, in the order in which they were added; its file is deleted."""
        values = read_rows(self.path(share))
        self.path(share).unlink(missing_ok=True)
        return values

    def publish(self, out: Storage) -> None:
        """Puts one ZIP a share into the folder."""
        self.write()
        for share in range(self.count):
            path = self.path(share)
            path.touch()
            pack_zip(self.path(share, ".zip"), {ROWS_FILE: path})
            path.unlink()
        out.put_all(self._folder, f"{PRIVATE}/plan")


def read_rows(path: Path) -> list:
    """A share's rows; a task reads its own."""
    if not path.exists():
        return []
    with open(path, encoding="utf-8", newline="\n") as file:
        return list(map(json.loads, file))


def digest_of(path: str | Path) -> str:
    """A file's SHA-256.

    Raises:
        DataError: There is no such file.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    except OSError as error:
        raise DataError(f"expected a file at {path}. Received: {error.strerror}") from None
    return digest.hexdigest()


def begun_plan(out: Storage, settings: dict) -> Plan | None:
    """The plan that an earlier run has written into the folder; None if there is none.

    Raises:
        DataError: It was made with other settings.
    """
    text = out.read(PLAN_FILE)
    if not text:
        return None
    begun = Plan(**json.loads(text))
    wanted = json.loads(json.dumps(settings))
    for name in {**wanted, **begun.settings}:
        if begun.settings.get(name) != wanted.get(name):
            raise DataError(
                f"{out.url}: expected the {name.replace('_', ' ')} it was begun with, "
                f"{begun.settings.get(name)}. Received: {wanted.get(name)}; name another folder"
            )
    return begun


@contextlib.contextmanager
def _shares(rows: int, slots: int) -> Iterator[_ShareFiles]:
    few = min(SHARES_A_CORE * slots, -(-rows // FEW_ROWS))
    with tempfile.TemporaryDirectory(prefix="v2t-plan-") as folder:
        yield _ShareFiles(Path(folder), max(1, few, -(-rows // ROWS)))


def plan_clips(
    captions: str | Path, lists: Sequence[str | Path], out: Storage, settings: dict, slots: int
) -> Plan:
    """Plans clips and their captions: a source's digest decides its share, as for `--part I/N`.

    Args:
        captions: The captions file.
        lists: Split lists; all clips are taken without any.
        out: Where the plan goes.
        settings: See `Plan`.
        slots: The cluster's cores.

    Raises:
        DataError: As `read_captions` and `select`, or a source is in two splits.
    """
    rows = sum(1 for _ in iter_rows(captions))
    with _shares(rows, slots) as files:
        for _, source, caption in iter_captions(captions):
            files.add(share_of(source, files.count), [0, source, caption])
        for number, path in enumerate(lists, start=1):
            for _, (source, *_) in iter_rows(path):
                files.add(share_of(source, files.count), [number, source, ""])
        files.write()
        repeats, clips = rows, 0
        for share in range(files.count):
            records, captions_read = _records(files.take(share), lists)
            check_splits(records)
            repeats, clips = repeats - captions_read, clips + len(records)
            for record in records:
                files.add(share, dataclasses.asdict(record))
        if repeats:
            log.warning("%s: %d rows repeat an earlier one and count once", captions, repeats)
        files.publish(out)
        return _save(out, Plan(settings, files.count, clips))


def _records(rows: list, lists: Sequence[str | Path]) -> tuple[list[Record], int]:
    """A share's clips, those in the lists if there are any; and how many captions there were."""
    records = gather((source, caption) for kind, source, caption in rows if not kind)
    count = sum(len(record.captions) for record in records)
    if not lists:
        return records, count
    by_source, chosen = {record.source: record for record in records}, []
    for number, path in enumerate(lists, start=1):
        for source in dict.fromkeys(source for kind, source, _ in rows if kind == number):
            if source not in by_source:
                raise DataError(
                    f"{path}: expected sources that the captions file has. Received: {source!r}, "
                    "which it lacks"
                )
            chosen.append(dataclasses.replace(by_source[source], split=Path(path).stem))
    return chosen, count


def plan_rows(rows: Iterable[dict], count: int, out: Storage, settings: dict, slots: int) -> Plan:
    """Plans rows that are independent of each other: each share has as many, in their order."""
    with _shares(count, slots) as files:
        size = -(-count // files.count)
        for number, row in enumerate(rows):
            files.add(number // size, row)
        files.publish(out)
        return _save(out, Plan(settings, files.count, count))


def _save(out: Storage, plan: Plan) -> Plan:
    """Writes `plan.json`, after all that it speaks of."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plan.json"
        path.write_text(json.dumps(dataclasses.asdict(plan)), encoding="utf-8")
        out.put(path, PLAN_FILE)
    return plan
