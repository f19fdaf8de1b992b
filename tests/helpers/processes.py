"""What a fresh Python process does."""

import subprocess
import sys

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
