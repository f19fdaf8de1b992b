"""Worker processes that decode clips."""

import collections
import itertools
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from v2t_lib.errors import DataError

#: Seconds after which the decoding of one clip is given up.
DECODING_SECONDS = 600
_END = object()


def _follow_parent() -> None:
    """Makes a worker end when its parent does, also when the parent is killed."""
    # Ctrl-C is for the parent, which ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch():
        multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _is_there() -> bool:
    """What a worker is asked first."""
    return True


def start_pool(count: int) -> ProcessPoolExecutor:
    """A pool of `count` processes that have started.

    Raises:
        DataError: They can't be started.
    """
    # Not fork: TensorFlow's threads do not survive it.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_follow_parent)
    try:
        pool.submit(_is_there).result()
    except (BrokenProcessPool, OSError, RuntimeError) as error:
        pool.shutdown(cancel_futures=True)
        raise DataError(
            "expected worker processes to start. Received: "
            f"{str(error) or type(error).__name__}; a script has to call this under "
            '`if __name__ == "__main__":`, and each process needs some memory (--workers 1, '
            "workers=1); nothing was done or decided about any clip"
        ) from None
    return pool


class Workers:
    """A pool of processes; one that dies, or raises whatever error, costs only its clip.

    A clip that isn't decoded within `DECODING_SECONDS` is given up. What the machine lacks is never
    held against a clip: such a result is "unreachable", which another run tries again.

    Args:
        count: How many.
        decode: What they run: the arguments of a job to a result, or to `(kind, why)` for a clip
            that gives no frames.

    Raises:
        DataError: From `run`, where the processes can't be started.
    """

    def __init__(self, count: int, decode: Callable):
        self._count, self._decode = count, decode
        self._pool = start_pool(count)

    def run(self, jobs: Iterable[tuple | None]) -> Iterator[Any]:
        """Yields results in the order of `jobs`, of which only a few are queued at a time.

        A job of None means that no job is ready yet: results that are due come first.
        """
        jobs, waiting, more = iter(jobs), collections.deque(), True
        while True:
            try:
                while more and len(waiting) < 8 * self._count:
                    job = next(jobs, _END)
                    more = job is not _END
                    if not more or job is None:
                        break
                    waiting.append((job, None))
                    waiting[-1] = (job, self._pool.submit(self._decode, *job))
                if not waiting:
                    if more:
                        continue
                    return
                result = self._result(waiting[0][1])
            except FutureTimeoutError:
                self._kill(self._pool)
                yield _given_up()
                jobs = itertools.chain([job for job, _ in list(waiting)[1:]], jobs)
                waiting.clear()
                more = True
                self._pool = start_pool(self._count)
            except BrokenProcessPool:
                # Any of the queued clips may have done it: each is tried by itself.
                yield from self._one_by_one([job for job, _ in waiting])
                waiting.clear()
                self.close()
                self._pool = start_pool(self._count)
            else:
                waiting.popleft()
                yield result

    def _one_by_one(self, jobs: list[tuple]) -> Iterator[Any]:
        pool = start_pool(1)
        for job in jobs:
            try:
                yield self._result(pool.submit(self._decode, *job))
            except FutureTimeoutError:
                self._kill(pool)
                yield _given_up()
                pool = start_pool(1)
            except BrokenProcessPool:
                yield "corrupt", "expected a clip to decode. Received: its decoder process died"
                pool = start_pool(1)
        pool.shutdown()

    @staticmethod
    def _result(future: Future) -> Any:
        """A job's result; an error that its function didn't expect becomes one, too."""
        try:
            return future.result(DECODING_SECONDS)
        except (BrokenProcessPool, FutureTimeoutError):
            raise
        except Exception as error:
            here = isinstance(error, OSError | MemoryError)
            what = f"{type(error).__name__}: {error}"
            return (
                "unreachable" if here else "corrupt",
                f"expected a clip to decode. Received: {what}",
            )

    @staticmethod
    def _kill(pool: ProcessPoolExecutor) -> None:
        for process in list(pool._processes.values()):  # no public way ends one that hangs
            process.kill()
        pool.shutdown(cancel_futures=True)

    def close(self) -> None:
        """Ends the workers."""
        self._pool.shutdown(cancel_futures=True)


def _given_up() -> tuple[str, str]:
    why = (
        f"expected a clip to decode within {DECODING_SECONDS} s. Received: nothing; it was given up"
    )
    return "unreachable", why
