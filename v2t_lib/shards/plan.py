"""Which slices are to do: the captions file cut in its order, less what a folder has already."""

import itertools
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from v2t_lib.captions_file import Record
from v2t_lib.errors import DataError
from v2t_lib.shards.example import whole_examples
from v2t_lib.shards.format import DATASET_FILE
from v2t_lib.shards.slices import shard_name, slices_in
from v2t_lib.shards.verdicts import Verdict, digest_of_captions
from v2t_lib.shards.work import Slice, Task
from v2t_lib.specs import ClipSpec

#: Sources in a slice, at most.
SOURCES = 256


#: Not one of several parts.
WHOLE = (1, 1)


def cut(records: Sequence[Record], part: tuple[int, int] = WHOLE) -> dict[int, tuple[Record, ...]]:
    """The records, cut in their order into slices; of part I of N every Nth, from I - 1 on."""
    numbers = range(part[0] - 1, -(-len(records) // SOURCES), part[1])
    return {n: tuple(records[n * SOURCES : (n + 1) * SOURCES]) for n in numbers}


class _Known(NamedTuple):
    """What a folder says of a source, of which there may be a hundred thousand in memory."""

    number: int  # of the last slice that has it
    verdict: str
    digest: bytes
    file: str
    elsewhere: bool  # redirected to another host
    lost: bool  # its slice's shard is missing or cut off


def _elsewhere(verdict: Verdict) -> bool:
    return bool(verdict.final_url) and (
        urlsplit(verdict.final_url).hostname != urlsplit(verdict.source).hostname
    )


class Folder:
    """What is done of a folder of slices.

    Args:
        folder: The folder; it need not be there.
        spec: The size of the clips in it, None for originals alone.

    Raises:
        DataError: It holds clips of another size, or a data set that has no slices.
    """

    def __init__(self, folder: Path, spec: ClipSpec | None):
        self.folder, self._used = folder, set[int]()
        self._known: dict[str, _Known] = {}
        for one in slices_in(folder):
            if one.clip_spec != spec:
                begun = one.clip_spec or "originals"
                raise DataError(
                    f"{folder}: expected the clips it was begun with, {begun}. Received: "
                    f"{spec or 'originals'}; name another folder"
                )
            lost = not one.is_whole(folder)
            self._used.add(one.number)
            for row in one.verdicts:
                self._known[row.source] = _Known(
                    one.number,
                    sys.intern(row.verdict),
                    bytes.fromhex(row.digest),
                    row.file,
                    _elsewhere(row),
                    lost,
                )
        if not self._used and (folder / DATASET_FILE).exists():
            raise DataError(
                f"{folder}: expected a new folder, or one of slices. Received: a data set of an "
                "earlier version; train on it as it is, or name another folder to pack anew"
            )

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, source: object) -> bool:
        return source in self._known

    def check(self, records: Sequence[Record], some: bool) -> None:
        """Refuses records that the folder's clips don't belong to.

        Args:
            records: What is asked for.
            some: Whether it may be less than what is there.

        Raises:
            DataError: Says what differs.
        """
        asked = {record.source: record for record in records}
        others = [source for source in self._known if source not in asked]
        more = any(source not in self._known for source in asked)
        if others and (more or not some):
            raise DataError(
                f"{self.folder}: expected sources that the folder was begun with. Received: others "
                f"than {len(others)} of them, {others[0]!r} for one; name another folder"
            )
        changed = [
            source
            for source, record in asked.items()
            if (known := self._known.get(source))
            and known.verdict == "ok"
            and known.digest.hex() != digest_of_captions(record)
        ]
        if changed:
            raise DataError(
                f"{self.folder}: expected the captions and splits that the folder was begun with. "
                f"Received: others for {len(changed)} clips, {changed[0]!r} for one; name another "
                "folder"
            )

    def plan(self, records: Sequence[Record], task: Task, part: tuple[int, int]) -> list[Slice]:
        """The slices that are to do, of one part of them.

        Slices without any file yet are done under their own number. What may have come meanwhile
        and what was added to the captions file goes into slices of further numbers.

        Args:
            records: All that is asked for.
            task: How slices are done.
            part: See `cut`.
        """
        todo, added = [], []
        for number, of in cut(records, part).items():
            fresh = tuple(r for r in of if r.source not in self._known)
            if fresh == of and number not in self._used:
                todo.append(Slice(self.folder, number, fresh))
            else:
                added += fresh
        redo: dict[int, list[Record]] = {}
        again = []
        for record in records:
            known = self._known.get(record.source)
            if known is not None and known.lost:
                redo.setdefault(known.number, []).append(record)
            elif known is not None and self._may_come(record, known, task):
                again.append(record)
        todo += [Slice(self.folder, number, tuple(of)) for number, of in redo.items()]
        free = max(-(-len(records) // SOURCES), *(n + 1 for n in self._used), 0)
        numbers = (n for n in itertools.count(free) if n % part[1] == part[0] - 1)
        for of in cut(again).values():
            before = tuple(self._known[record.source].verdict for record in of)
            todo.append(Slice(self.folder, next(numbers), of, before))
        todo += [Slice(self.folder, next(numbers), of) for of in cut(added).values()]
        for one in todo:
            self._check_free(one)
        return todo

    def _may_come(self, record: Record, known: _Known, task: Task) -> bool:
        """Whether a source that gave nothing is worth another try, or its original is gone."""
        if not record.remote:
            return known.verdict in ("gone", "unreachable") and task.path(record).exists()
        if known.verdict == "ok":
            path = task.out / known.file
            return task.spec is None and not (path.exists() and path.stat().st_size)
        # A page on another host in place of a clip may be one that asks to sign in.
        return known.verdict == "unreachable" or (known.verdict == "not-a-clip" and known.elsewhere)

    def _check_free(self, one: Slice) -> None:
        """Refuses to overwrite a shard that isn't ours."""
        path = self.folder / shard_name(one.number)
        if one.number not in self._used and path.exists():
            check_ours(path, one.records)


def check_ours(path: Path, records: Iterable[Record]) -> None:
    """Refuses a shard without a slice's JSON, unless a kill has left it.

    Raises:
        DataError: It holds no clip of these records.
    """
    sources = {record.source for record in records}
    if not any(example.source in sources for example in itertools.islice(whole_examples(path), 1)):
        raise DataError(
            f"{path}: expected no file of that name. Received: one that wasn't written here; name "
            "another folder"
        )
