"""Which slices are to do: the captions file cut in its order, less what a folder has already."""

import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from v2t_lib.captions_file import Record
from v2t_lib.errors import DataError
from v2t_lib.shards.example import whole_examples
from v2t_lib.shards.format import DATASET_FILE, Verdict, digest_of_captions
from v2t_lib.shards.slices import shard_name, slices_in
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
    lost: bool  # its slice's shard is missing or cut off
    again: bool  # another download may give something else


class Folder:
    """What is done of a folder of slices, which need not be there: clips of `spec`, or with None
    originals alone, which are named relative to the folder that it is in."""

    def __init__(self, folder: Path, spec: ClipSpec | None):
        self.folder, self._spec, self._used = folder, spec, set[int]()
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
                digest, verdict = bytes.fromhex(row.digest), sys.intern(row.verdict)
                self._known[row.source] = _Known(
                    one.number, verdict, digest, lost, self._may_differ(row)
                )
        if not self._used and (folder / DATASET_FILE).exists():
            raise DataError(
                f"{folder}: expected a new folder, or one of slices. Received: a data set of an "
                "earlier version; train on it as it is, or name another folder to pack anew"
            )

    def _may_differ(self, row: Verdict) -> bool:
        """Whether another download may give something else than the verdict says."""
        if row.verdict == "ok":  # an original that is lost
            path = self.folder.parent / row.file
            return self._spec is None and not (path.exists() and path.stat().st_size)
        # A page in place of a clip may ask to sign in, or be a notice of something between.
        return row.verdict == "unreachable" or (row.verdict == "not-a-clip" and bool(row.final_url))

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def check(self, records: Sequence[Record], some: bool) -> None:
        """Refuses records that the clips here don't belong to; `some` may be fewer."""
        asked = {record.source: record for record in records}
        wrong = [source for source in self._known if source not in asked]
        what = "sources"
        if not wrong or (some and asked.keys() <= self._known.keys()):
            what = "captions and splits"
            wrong = [
                source
                for source, known in self._known.items()
                if known.verdict == "ok"
                and source in asked
                and known.digest.hex() != digest_of_captions(asked[source])
            ]
        if wrong:
            raise DataError(
                f"{self.folder}: expected the {what} that the folder was begun with. Received: "
                f"others for {len(wrong)} of them, {wrong[0]!r} for one; name another folder"
            )

    def plan(self, records: Sequence[Record], task: Task, part: tuple[int, int]) -> list[Slice]:
        """The slices that are to do, of one `part` of all that is asked for.

        Slices without any file yet are done under their own number, and so are those whose shard
        is lost. What may have come meanwhile and what was added to the captions file goes into
        slices of further numbers.
        """
        todo: dict[int, list[Record]] = {}
        added, again = [], []
        for number, of in cut(records, part).items():
            fresh = [record for record in of if record.source not in self._known]
            if len(fresh) == len(of) and number not in self._used:
                todo[number] = fresh
            else:
                added += fresh
        for record in records:
            if (known := self._known.get(record.source)) is None:
                continue
            missing = known.verdict in ("gone", "unreachable")  # and may have come, on this disk
            come = known.again if record.remote else missing and task.path(record).exists()
            if known.lost:
                todo.setdefault(known.number, []).append(record)
            elif come:
                again.append(record)
        slices = [Slice(self.folder, number, tuple(of)) for number, of in todo.items()]
        free = max(-(-len(records) // SOURCES), *(n + 1 for n in self._used), 0)
        numbers = (n for n in itertools.count(free) if n % part[1] == part[0] - 1)
        for of in cut(again).values():
            before = tuple(self._known[record.source].verdict for record in of)
            slices.append(Slice(self.folder, next(numbers), of, before))
        slices += [Slice(self.folder, next(numbers), of) for of in cut(added).values()]
        for one in slices:
            path = self.folder / shard_name(one.number)
            if one.number not in self._used and path.exists():
                _check_ours(path, one.records)
        return slices


def _check_ours(path: Path, records: Iterable[Record]) -> None:
    """Refuses a shard without a slice's JSON that holds no clip of these, left by a kill."""
    sources = {record.source for record in records}
    if not any(example.source in sources for example in itertools.islice(whole_examples(path), 1)):
        raise DataError(
            f"{path}: expected no file of that name. Received: one that wasn't written here; name "
            "another folder"
        )
