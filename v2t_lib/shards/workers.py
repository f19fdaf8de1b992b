"""Worker processes that decode clips."""

import collections
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

_END = object()


def _follow_parent() -> None:
    """Makes a worker end when its parent does, also when the parent is killed."""
    # Ctrl-C is for the parent, which ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch():
        multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Workers:
    """A pool of processes; one that dies costs only the clip that killed it.

    Args:
        count: How many.
        decode: What they run: the arguments of a job to a result, or to `(kind, why)` for a clip
            that gives no frames.
    """

    def __init__(self, count: int, decode: Callable):
        self._count, self._decode = count, decode
        self._pool = self._start(count)

    @staticmethod
    def _start(count: int) -> ProcessPoolExecutor:
        # Not fork: TensorFlow's threads do not survive it.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(count, mp_context=context, initializer=_follow_parent)

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
                result = waiting[0][1].result()
            except BrokenProcessPool:
                # Any of the queued clips may have done it: each is tried by itself.
                yield from self._one_by_one([job for job, _ in waiting])
                waiting.clear()
                self.close()
                self._pool = self._start(self._count)
            else:
                waiting.popleft()
                yield result

    def _one_by_one(self, jobs: list[tuple]) -> Iterator[Any]:
        pool = self._start(1)
        for job in jobs:
            try:
                yield pool.submit(self._decode, *job).result()
            except BrokenProcessPool:
                yield "corrupt", "expected a clip to decode. Received: its decoder process died"
                pool = self._start(1)
        pool.shutdown()

    def close(self) -> None:
        """Ends the workers."""
        self._pool.shutdown(cancel_futures=True)
