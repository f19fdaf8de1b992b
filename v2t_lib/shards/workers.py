"""Worker processes, with a time limit a job; what decodes in them loads neither TensorFlow nor
Keras."""

import collections
import contextlib
import multiprocessing
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from pebble import ProcessExpired, ProcessPool

from v2t_lib.errors import ClipError, DataError

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
    """Processes that run a function; one that dies, hangs or raises whatever error costs one job.

    Args:
        count: How many.
        function: What they run.

    Raises:
        DataError: The processes can't be started.
    """

    def __init__(self, count: int, function: Callable):
        self.count, self._function = count, function
        self._pool, self._lock = start_pool(count), threading.Lock()
        self._waiting: set[Future] = set()

    def call(self, *args) -> Any:
        """The function's result; from any thread.

        Raises:
            ClipError: "unreachable" where the machine is at fault, for another run to try again.
            CancelledError: `cancel` was called meanwhile.
        """
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
        """Ends the workers."""
        self._pool.stop()
        self._pool.join()
