"""How TensorFlow is set up where the library is imported before it."""

import os
import platform
import subprocess
import sys

import pytest
from helpers import tiny
from helpers.clips import write_gif
from helpers.project import ROOT

from v2t_lib.models.saving import save

SWITCH = "TF_ENABLE_ONEDNN_OPTS"


def python(*arguments, **variables: str) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if name != SWITCH} | variables
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)


def test_a_command_says_nothing_on_stderr_and_its_convolutions_are_onednns(tmp_path):
    write_gif(tmp_path / "a.gif", 1)
    save(tiny.captioner(), tmp_path / "m.keras")
    files = (tmp_path / "a.gif", "--model", tmp_path / "m.keras")
    command = ["-m", "v2t_lib.cli.main", "caption", *files]
    run = python(*command, ONEDNN_VERBOSE="1")
    assert run.returncode == 0 and run.stderr == ""
    lines = run.stdout.splitlines()
    assert sum(not line.startswith("onednn_verbose") for line in lines) == 1
    convolves = any(",convolution," in line for line in lines)
    assert convolves or platform.machine() not in ("x86_64", "AMD64")  # oneDNN is for x86


def test_the_users_word_about_onednn_stays():
    run = python("-c", f"import v2t_lib, os; print(os.environ[{SWITCH!r}])", **{SWITCH: "0"})
    assert run.stdout == "0\n"


#: Keeps the names of modules in the order in which they are first looked for.
WATCH = """
import sys

import pytest

names = []

class Watch:
    def find_spec(name, path=None, target=None):
        names.append(name)

sys.meta_path.insert(0, Watch)
"""


@pytest.mark.parametrize(
    "code",
    [
        "import numpy as np; from v2t_lib.shards.example import feature_example\n"
        "feature_example('a.gif', ['a star'], np.zeros(3))",
        "from v2t_lib.cli.main import main; main(['pack', 'nothing.tsv', '--out', 'nowhere'])",
    ],
    ids=["writing", "command"],
)
def test_keras_and_its_backend_are_loaded_before_tensorflow(code):
    """PyTorch's builds for GPUs bring Triton: loaded after TensorFlow, its LLVM crashes."""
    told = "\nprint(names.index('keras') < names.index('tensorflow'))"
    assert python("-c", WATCH + code + told).stdout.endswith("True\n")
