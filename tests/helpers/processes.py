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


@contextlib.contextmanager
def in_this_process():
    """Within it a thread of this process draws and decodes clips: starting an interpreter takes
    longer than a few small clips. For tests that are about something else."""
    from v2t_lib.datasets import shapes
    from v2t_lib.shards import workers

    with contextlib.ExitStack() as patches:
        for module in (shapes, workers):
            thread = mock.patch.object(module, "start_pool", lambda count: ThreadPoolExecutor(1))
            patches.enter_context(thread)
        yield
