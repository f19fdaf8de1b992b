"""Worker processes, with a time limit a job; what decodes in them loads neither TensorFlow nor
Keras."""

import collections
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from pebble import ProcessExpired, ProcessPool

from v2t_lib.errors import DataError

#: Seconds after which the decoding of one clip is given up.
DECODING_SECONDS = 600


def _is_there() -> bool:
    """What a worker is asked first."""
    return True


def start_pool(count: int) -> ProcessPool:
    """A pool of `count` processes that have started.

    Raises:
        DataError: They can't be started.
    """
    # Not fork: TensorFlow's threads do not survive it.
    pool = ProcessPool(count, context=multiprocessing.get_context("spawn"))
    try:
        pool.schedule(_is_there).result()
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
    would wait for a lock that the script itself holds.

    Raises:
        DataError: It is.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise _no_start("a worker that runs the whole script once more")


class Workers:
    """Processes that run jobs; one that dies, hangs or raises whatever error costs only its job.

    Errors of the environment are never recorded as a verdict on a clip: such a result is
    "unreachable", which another run tries again.

    Args:
        count: How many.
        decode: What they run: the arguments of a job to a result, or to `(kind, why)` for a clip
            that gives no frames.

    Raises:
        DataError: The processes can't be started.
    """

    def __init__(self, count: int, decode: Callable):
        self._count, self._decode = count, decode
        self._pool = start_pool(count)

    def run(self, jobs: Iterable[tuple | None]) -> Iterator[Any]:
        """Yields results in the order of `jobs`, of which only a few are queued at a time.

        A job of None means that no job is ready yet: results that are due come first.
        """
        coming, more = iter(jobs), True
        waiting: collections.deque[tuple[tuple, Future]] = collections.deque()
        while waiting or more:
            while more and len(waiting) < 8 * self._count:
                job = next(coming, ())
                more = job != ()
                if not job:
                    break
                waiting.append((job, self._schedule(job)))
            if not waiting:
                continue
            try:
                result = self._result(waiting[0][1])
            except BrokenProcessPool:
                self.close()
                self._pool = start_pool(self._count)
                waiting = collections.deque((job, self._schedule(job)) for job, _ in waiting)
            else:
                waiting.popleft()
                yield result

    def _schedule(self, job: tuple) -> Future:
        try:
            return self._pool.schedule(self._decode, args=job, timeout=DECODING_SECONDS)
        except RuntimeError:  # the pool has broken down meanwhile
            broken: Future = Future()
            broken.set_exception(BrokenProcessPool())
            return broken

    @staticmethod
    def _result(future: Future) -> Any:
        """A job's result; an error that its function didn't expect becomes one, too."""
        try:
            return future.result()
        except BrokenProcessPool:
            raise
        except ProcessExpired:
            return "corrupt", "expected a clip to decode. Received: its decoder process died"
        except FutureTimeoutError:
            why = f"within {DECODING_SECONDS} s. Received: nothing; it was given up"
            return "unreachable", f"expected a clip to decode {why}"
        except Exception as error:
            kind = "unreachable" if isinstance(error, OSError | MemoryError) else "corrupt"
            what = f"{type(error).__name__}: {error}"
            return kind, f"expected a clip to decode. Received: {what}"

    def close(self) -> None:
        """Ends the workers."""
        self._pool.stop()
        self._pool.join()
