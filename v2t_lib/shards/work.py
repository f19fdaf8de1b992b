"""Doing slices: threads get the bytes, processes decode them, a thread a slice writes."""

import collections
import contextlib
import dataclasses
import shutil
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

from v2t_lib.captions_file import Record
from v2t_lib.clips.files import read_clip
from v2t_lib.clips.problems import sniff
from v2t_lib.errors import ClipError, writing
from v2t_lib.fetching.download import Downloads
from v2t_lib.fetching.http import DEFAULT_POLICY, RetryPolicy
from v2t_lib.files import relative, replacing
from v2t_lib.progress import Progress
from v2t_lib.shards.example import PackedClip, clip_example, judge
from v2t_lib.shards.format import FORMAT, Verdict, digest_of, digest_of_captions
from v2t_lib.shards.slices import SliceWriter, shard_name
from v2t_lib.shards.workers import Workers, allowed_processes
from v2t_lib.specs import ClipSpec

CLIP_FOLDER = "clips"
#: Slices under way at a time: of local clips enough that workers never wait, of downloads more, as
#: a slow one holds up its slice.
OPEN_LOCAL, OPEN_REMOTE = 2, 8
_SUFFIXES = {"matroska": "webm", "mov": "mp4"}


class Slice(NamedTuple):
    """A slice to do: its sources, in order.

    Where they are tried again, `before` is what earlier slices found of each; then only another
    verdict is worth a slice.
    """

    folder: Path
    number: int
    records: tuple[Record, ...]
    before: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Task:
    """How slices are done."""

    captions_file: str | Path  # what the paths of local sources are relative to
    out: Path  # what the paths in verdicts are relative to; kept originals go into its `clips`
    spec: ClipSpec | None  # None for no shards
    keep: bool = False  # whether to keep originals
    policy: RetryPolicy = DEFAULT_POLICY

    def path(self, record: Record) -> Path:
        return Path(record.path(self.captions_file))


class _Run:
    """What the slices under way share: threads, workers, a folder for downloads, the progress."""

    def __init__(self, task: Task, pool: Workers, scratch: Path, progress: Progress):
        self.task, self._pool, self._scratch = task, pool, scratch
        self.downloads = Downloads(task.policy, more=2 * pool.count)
        self.error: BaseException | None = None
        self._progress, self._lock = progress, threading.Lock()
        self._counts, self._bytes = collections.Counter[str](), 0
        self._began = time.monotonic()

    def outcome(self, one: Slice, record: Record) -> tuple[Verdict, PackedClip | None]:
        """A source's verdict, and what goes into the shard; called in a thread of the downloads."""
        task, remote = self.task, record.remote
        path = self._scratch / record.key if remote else task.path(record)
        facts: dict[str, Any] = {"digest": digest_of_captions(record)}
        packed = None
        try:
            if remote:
                url, attempts, error = self.downloads.get(record.path(""), path)
                facts |= {"final_url": url, "attempts": attempts}
                if error is not None:
                    raise error
            found, packed = self._pool.call(str(path), task.spec)
            facts |= found
            if facts["verdict"] == "ok" and task.keep:
                file = self._kept(record, path) if remote else relative(path, task.out)
                facts |= {"file": file, "captions": record.captions}
        except ClipError as error:
            facts |= {"verdict": error.kind, "why": error.message}
        except BaseException as error:
            self.stop(error)
            raise
        finally:
            if remote:
                path.unlink(missing_ok=True)
        if packed is not None:
            facts["shard"] = (one.folder / shard_name(one.number)).relative_to(task.out).as_posix()
        self._show(facts["verdict"], remote * facts.get("bytes", 0))
        return Verdict(record.source, record.split, **facts), packed

    def _kept(self, record: Record, path: Path) -> str:
        """Moves a downloaded original into `out`; its path there."""
        kind = sniff(read_clip(path))
        file = f"{CLIP_FOLDER}/{record.key}.{_SUFFIXES.get(kind, kind)}"
        with writing(self.task.out / file), replacing(self.task.out / file) as temporary:
            shutil.move(path, temporary)
        return file

    def _show(self, verdict: str, size: int) -> None:
        with self._lock:
            self._counts[verdict] += 1
            self._bytes += size
            rate = self._bytes / 2**20 / (time.monotonic() - self._began)
            speed = f"{rate:.1f} MB/s, " if self._bytes else ""
            counts = ", ".join(f"{count} {name}" for name, count in self._counts.items())
            self._progress.set_postfix_str(speed + counts, refresh=False)
            self._progress.update()

    def stop(self, error: BaseException) -> None:
        """Ends what is under way; the first error is the reason."""
        self.error = self.error or error
        self.downloads.stop()
        self._pool.cancel()


def do_slice(one: Slice, run: _Run) -> None:
    """Gets and decodes a slice's sources, writes its shard, in order, as they come, then its JSON.

    A slice that was tried again and in which nothing has changed isn't written.
    """
    coming = collections.deque(
        run.downloads.submit(record.source, run.outcome, one, record) for record in one.records
    )
    verdicts, spec = [], run.task.spec
    with contextlib.closing(SliceWriter(one.folder, one.number)) as writer:
        for record in one.records:
            verdict, packed = coming.popleft().result()
            verdicts.append(verdict)
            if packed is not None:
                writer.add(clip_example(record, packed))
        if one.before != tuple(verdict.verdict for verdict in verdicts):
            rows = [(verdict.source, verdict.digest) for verdict in verdicts]
            writer.finish(spec, digest_of(FORMAT, spec and spec.shape, rows), tuple(verdicts))


def do_slices(
    slices: Sequence[Slice],
    task: Task,
    done: int = 0,
    workers: int | None = None,
    pool: Workers | None = None,
) -> None:
    """Gets, decodes and writes slices; killed, it leaves whole slices and those it hadn't done.

    Args:
        done: Sources that are done already, for the progress bar.
        workers: Decoding processes; as many as there are cores when left out.
        pool: Workers that run `judge`, to use instead.
    """
    total = done + sum(len(one.records) for one in slices)
    remote = any(record.remote for one in slices for record in one.records)
    with contextlib.ExitStack() as stack:
        if pool is None:
            pool = Workers(workers or allowed_processes(), judge)
            stack.enter_context(contextlib.closing(pool))
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="v2t-")))
        bar = stack.enter_context(Progress(total=total, initial=done, unit="clip", desc="clips"))
        run = _Run(task, pool, scratch, bar)
        stack.enter_context(contextlib.closing(run.downloads))
        threads = stack.enter_context(ThreadPoolExecutor(OPEN_REMOTE if remote else OPEN_LOCAL))
        try:
            for future in as_completed([threads.submit(do_slice, one, run) for one in slices]):
                future.result()
        except BaseException as error:
            run.stop(error)
            threads.shutdown(wait=False, cancel_futures=True)
            raise run.error or error from None
