"""Doing slices: bytes by downloads in threads, decoding in processes, and one loop that writes."""

import collections
import contextlib
import dataclasses
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from v2t_lib.captions_file import Record
from v2t_lib.errors import writing
from v2t_lib.fetching.download import Download, Downloads
from v2t_lib.fetching.http import DEFAULT_POLICY, RetryPolicy
from v2t_lib.files import replacing
from v2t_lib.progress import Progress
from v2t_lib.shards.example import Judged, PackedClip, clip_example, judge
from v2t_lib.shards.format import FORMAT, digest_of
from v2t_lib.shards.slices import SliceWriter, shard_name
from v2t_lib.shards.verdicts import Verdict, digest_of_captions
from v2t_lib.shards.workers import Workers
from v2t_lib.specs import ClipSpec

CLIP_FOLDER = "clips"
#: Slices under way at a time; one source that takes long holds up no more than these.
OPEN_SLICES = 8
_SUFFIXES = {"matroska": "webm", "mov": "mp4"}


class Slice(NamedTuple):
    """A slice to do.

    Attributes:
        folder: Where its files go.
        number: What they are named after.
        records: Its sources, in order.
        before: What earlier slices found of each, where it is tried again; then only another
            verdict is worth a slice.
    """

    folder: Path
    number: int
    records: tuple[Record, ...]
    before: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Task:
    """How slices are done.

    Attributes:
        captions_file: What the paths of local sources are relative to.
        out: What the paths in verdicts are relative to; kept originals go into its `clips`.
        spec: The size of the clips in shards; None for no shards.
        keep: Whether to keep originals.
        policy: Connections, attempts and times of downloads.
    """

    captions_file: str | Path
    out: Path
    spec: ClipSpec | None
    keep: bool = False
    policy: RetryPolicy = DEFAULT_POLICY

    def path(self, record: Record) -> Path:
        """Where a local source lies."""
        return Path(record.path(self.captions_file))


class _Open:
    """A slice under way: examples are written in the records' order, as far as they have come."""

    def __init__(self, one: Slice):
        self.slice, self.writer = one, SliceWriter(one.folder, one.number)
        self.verdicts: dict[int, Verdict] = {}
        self._packed: dict[int, PackedClip] = {}
        self._written = 0

    def settle(self, place: int, verdict: Verdict, packed: PackedClip | None) -> bool:
        """Adds one source's outcome; whether it was the last."""
        self.verdicts[place] = verdict
        if packed is not None:
            self._packed[place] = packed
        while self._written in self.verdicts:
            if (ready := self._packed.pop(self._written, None)) is not None:
                self.writer.add(clip_example(self.slice.records[self._written], ready))
            self._written += 1
        return self._written == len(self.slice.records)

    def finish(self, spec: ClipSpec | None) -> None:
        """Writes the slice, unless it was tried again and nothing has changed."""
        verdicts = tuple(self.verdicts[place] for place in range(len(self.verdicts)))
        if self.slice.before == tuple(verdict.verdict for verdict in verdicts):
            return self.writer.abandon()
        rows = [(verdict.source, verdict.digest) for verdict in verdicts]
        self.writer.finish(spec, digest_of(FORMAT, spec and spec.shape, rows), verdicts)


class _Arrival(NamedTuple):
    """A source whose file is there: to be decoded, or the outcome of that."""

    open: _Open
    place: int
    path: Path
    download: Download | None = None

    @property
    def record(self) -> Record:
        return self.open.slice.records[self.place]


class _Run:
    """Does slices, several at a time, so that neither workers nor downloads wait at their ends."""

    def __init__(self, task: Task, downloads: Downloads, scratch: Path, progress: Progress):
        self._task, self._downloads, self._scratch = task, downloads, scratch
        self._open: list[_Open] = []
        self._decoding: collections.deque[_Arrival] = collections.deque()
        self._progress, self._bytes, self._began = progress, 0, time.monotonic()
        self._counts: collections.Counter[str] = collections.Counter()

    def go(self, slices: Iterable[Slice], workers: Workers) -> None:
        """Does them all."""
        try:
            for judged in workers.run(self._jobs(slices)):
                if not isinstance(judged, Judged):  # the worker process died
                    judged = Judged(dict(zip(("verdict", "why"), judged, strict=True)))
                self._settle(self._decoding.popleft(), judged)
        finally:
            for one in self._open:
                one.writer.abandon()

    def _jobs(self, slices: Iterable[Slice]) -> Iterator[tuple | None]:
        """Yields the arguments of `judge` for each clip whose file is there, None while none is."""
        for one in slices:
            while len(self._open) >= OPEN_SLICES:
                yield from self._arrived()
            self._open.append(under_way := _Open(one))
            for place, record in enumerate(one.records):
                if not record.remote:
                    yield self._job(_Arrival(under_way, place, self._task.path(record)))
                    continue
                while self._downloads.full:
                    yield from self._arrived()
                path = self._scratch / f"{one.folder.name}-{one.number}-{place}"
                self._downloads.add((under_way, place), record.source, path)
        while self._downloads:
            yield from self._arrived()

    def _arrived(self) -> Iterator[tuple | None]:
        for download in self._downloads.ready() if self._downloads else ():
            one, place = download.key
            arrival = _Arrival(one, place, download.path, download)
            if download.error is None:
                self._bytes += download.path.stat().st_size
                yield self._job(arrival)
            else:
                facts = {"verdict": download.error.kind, "why": download.error.message}
                self._settle(arrival, Judged(facts))
        yield None

    def _job(self, arrival: _Arrival) -> tuple:
        self._decoding.append(arrival)
        return str(arrival.path), self._task.spec

    def _settle(self, arrival: _Arrival, judged: Judged) -> None:
        """Notes a source's verdict and, if it was its slice's last, finishes the slice."""
        record, one, facts = arrival.record, arrival.open, dict(judged.facts)
        if arrival.download is not None:
            facts |= {"final_url": arrival.download.url, "attempts": arrival.download.attempts}
        if facts["verdict"] == "ok" and self._task.keep:
            facts |= {"file": self._kept(arrival, judged), "captions": record.captions}
        if arrival.download is not None:
            arrival.path.unlink(missing_ok=True)
        if judged.packed is not None:
            shard = one.slice.folder / shard_name(one.slice.number)
            facts["shard"] = shard.relative_to(self._task.out).as_posix()
        facts["digest"] = digest_of_captions(record)
        if one.settle(arrival.place, Verdict(record.source, record.split, **facts), judged.packed):
            one.finish(self._task.spec)
            self._open.remove(one)
        self._show(facts["verdict"])

    def _kept(self, arrival: _Arrival, judged: Judged) -> str:
        """The original's path in `out`; a downloaded one is moved there."""
        out, record = self._task.out, arrival.record
        if arrival.download is None:
            return os.path.relpath(arrival.path, out)
        file = f"{CLIP_FOLDER}/{record.key}.{_SUFFIXES.get(judged.kind, judged.kind)}"
        with writing(out / file), replacing(out / file) as temporary:
            shutil.move(arrival.path, temporary)
        return file

    def _show(self, verdict: str) -> None:
        self._counts[verdict] += 1
        counts = ", ".join(f"{count} {name}" for name, count in self._counts.items())
        rate = self._bytes / 2**20 / (time.monotonic() - self._began)
        speed = f"{rate:.1f} MB/s, " if self._bytes else ""
        self._progress.set_postfix_str(speed + counts, refresh=False)
        self._progress.update()


def do_slices(
    slices: Sequence[Slice],
    task: Task,
    done: int = 0,
    workers: int | None = None,
    pool: Workers | None = None,
) -> None:
    """Gets, decodes and writes slices; killed, it leaves whole slices and those it hadn't done.

    Args:
        slices: What to do.
        task: How.
        done: Sources that are done already, for the progress bar.
        workers: Decoding processes; as many as there are cores when left out.
        pool: Workers that run `judge`, to use instead.

    Raises:
        DataError: The disk is full, or processes can't be started.
    """
    total = done + sum(len(one.records) for one in slices)
    with contextlib.ExitStack() as stack:
        if pool is None:
            pool = Workers(workers or os.cpu_count() or 1, judge)
            stack.enter_context(contextlib.closing(pool))
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="v2t-")))
        downloads = stack.enter_context(contextlib.closing(Downloads(task.policy)))
        bar = stack.enter_context(Progress(total=total, initial=done, unit="clip", desc="clips"))
        _Run(task, downloads, scratch, bar).go(slices, pool)
