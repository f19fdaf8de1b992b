"""What a fresh Python process does, and how to do without one."""

import contextlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

from helpers.project import ROOT


def loaded_by(code: str) -> str:
    """What a new process has loaded of the two heavy packages after running the code."""
    heavy = "print('heavy:', sorted({'tensorflow', 'keras'} & set(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\n{heavy}"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return run.stdout


class ThreadPool:
    """In the place of a pool of processes: a thread of this one."""

    def __init__(self, count: int):
        self._thread = ThreadPoolExecutor(1)

    def schedule(self, function, args=(), timeout=None):
        return self._thread.submit(function, *args)

    def stop(self):
        self._thread.shutdown(cancel_futures=True)

    def join(self):
        pass


@contextlib.contextmanager
def in_this_process():
    """Within it a thread of this process draws and decodes clips: starting an interpreter takes
    longer than a few small clips. For tests that are about something else."""
    from v2t_lib.shards import workers

    with mock.patch.object(workers, "start_pool", ThreadPool):
        yield
