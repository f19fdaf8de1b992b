"""Worker processes, with a time limit a job; what decodes in them loads neither TensorFlow nor
Keras."""

import collections
import contextlib
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from pebble import ProcessExpired, ProcessPool

from v2t_lib.errors import ClipError, DataError
from v2t_lib.progress import warn_once

#: Seconds after which the decoding of one clip is given up.
DECODING_SECONDS = 600
#: Not fork: TensorFlow's threads don't survive it.
SPAWN = multiprocessing.get_context("spawn")
#: What Windows can wait for at once.
MOST_PROCESSES = 61 if os.name == "nt" else 10_000
#: A cgroup's microseconds of CPU, and in how many: files of its two versions.
CPU_QUOTAS = [
    ["/sys/fs/cgroup/cpu.max"],
    [f"/sys/fs/cgroup/cpu/cpu.cfs_{name}_us" for name in ("quota", "period")],
]


def allowed_processes() -> int:
    """How many processes this one may keep busy: by its CPU affinity and its cgroup's quota."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not on Windows and macOS
        count = os.cpu_count() or 1
    for files in CPU_QUOTAS:
        with contextlib.suppress(OSError, ValueError):  # ValueError: "max", which is no quota
            quota, period = map(int, " ".join(Path(file).read_text() for file in files).split())
            if quota > 0:
                count = min(count, -(-quota // period))
    return count


class _Here:
    """In the place of a pool: jobs are done at once, in this process, without a time limit."""

    def schedule(self, function: Callable, args: tuple = (), timeout: float = 0) -> Future:
        future: Future = Future()
        try:
            future.set_result(function(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def stop(self) -> None:
        pass

    join = stop


def _obstacle() -> str:
    """Why this process can't start others; "" if it can."""
    if multiprocessing.current_process().daemon:
        return "this one is a daemonic worker itself"
    try:
        os.getcwd()
    except OSError:
        return "the current folder is gone"
    try:
        SPAWN.Lock()
    except (OSError, ImportError) as error:
        return f"semaphores can't be had ({error}), for which /dev/shm has to be writable"
    return ""


def start_pool(count: int) -> "ProcessPool | _Here":
    """A pool of `count` processes that have started; this one alone where it can't start any."""
    require_main_guard()
    if obstacle := _obstacle():
        warn_once(f"no worker processes, as {obstacle}: this one works alone")
        return _Here()
    pool = ProcessPool(min(count, MOST_PROCESSES), context=SPAWN)
    try:
        pool.schedule(os.getpid).result()
    except (BrokenProcessPool, OSError, RuntimeError) as error:
        pool.stop()
        raise _no_start(str(error) or type(error).__name__) from None
    return pool


def _no_start(why: str) -> DataError:
    return DataError(
        f"expected worker processes to start. Received: {why}; a script has to call this under "
        '`if __name__ == "__main__":`, and each process needs some memory (--workers 1, '
        "workers=1); nothing was done or decided about any clip"
    )


def require_main_guard() -> None:
    """Refuses to be called by a worker that is just importing the script that started it, which
    would wait for a lock that the script itself holds."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise _no_start("a worker that runs the whole script once more")


class Workers:
    """Processes that run a function; one that dies, hangs or raises any error costs one job."""

    def __init__(self, count: int, function: Callable):
        self.count, self._function = count, function
        self._pool, self._lock = start_pool(count), threading.Lock()
        self._waiting: set[Future] = set()

    def call(self, *args) -> Any:
        """The function's result; from any thread. Where the machine is at fault, an "unreachable"
        `ClipError`, for another run to try again."""
        return self._result(args, self._schedule(args))

    def map(self, jobs: Iterable[tuple]) -> Iterator[Any]:
        """Yields results, or `ClipError`s, in the order of `jobs`; a few are queued at a time."""
        queue: collections.deque[tuple[tuple, Future]] = collections.deque()
        coming = iter(jobs)
        while True:
            while len(queue) < 8 * self.count and (job := next(coming, None)) is not None:
                queue.append((job, self._schedule(job)))
            if not queue:
                return
            try:
                yield self._result(*queue.popleft())
            except ClipError as error:
                yield error

    def _schedule(self, job: tuple) -> Future:
        with self._lock:
            try:
                future = self._pool.schedule(self._function, job, timeout=DECODING_SECONDS)
            except RuntimeError:  # the pool has broken down
                self.close()
                for waiting in list(self._waiting):
                    with contextlib.suppress(InvalidStateError):
                        waiting.set_exception(BrokenProcessPool())
                self._pool = start_pool(self.count)
                future = self._pool.schedule(self._function, job, timeout=DECODING_SECONDS)
            self._waiting.add(future)
        future.add_done_callback(self._waiting.discard)
        return future

    def _result(self, job: tuple, future: Future) -> Any:
        """A job's result; an error that its function didn't expect becomes a `ClipError`."""
        try:
            return future.result()
        except BrokenProcessPool:
            return self.call(*job)
        except (ClipError, CancelledError):
            raise
        except ProcessExpired:
            kind, why = "corrupt", ". Received: its decoder process died"
        except FutureTimeoutError:
            why = f" within {DECODING_SECONDS} s. Received: nothing; it was given up"
            kind = "unreachable"
        except Exception as error:
            kind = "unreachable" if isinstance(error, OSError | MemoryError) else "corrupt"
            why = f". Received: {type(error).__name__}: {error}"
        raise ClipError(kind, f"expected a clip to decode{why}")

    def cancel(self) -> None:
        """Ends the jobs under way, and those that wait."""
        for future in list(self._waiting):
            future.cancel()

    def close(self) -> None:
        self._pool.stop()
        self._pool.join()
