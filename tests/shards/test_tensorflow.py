"""How TensorFlow is set up where the library is imported before it."""

import os
import platform
import subprocess
import sys

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
    command = ["-m", "v2t_lib.cli", "caption", tmp_path / "a.gif", "--model", tmp_path / "m.keras"]
    run = python(*command, ONEDNN_VERBOSE="1")
    assert run.returncode == 0 and run.stderr == ""
    lines = run.stdout.splitlines()
    assert sum(not line.startswith("onednn_verbose") for line in lines) == 1
    convolves = any(",convolution," in line for line in lines)
    assert convolves or platform.machine() not in ("x86_64", "AMD64")  # oneDNN is for x86


def test_the_users_word_about_onednn_stays():
    run = python("-c", f"import v2t_lib, os; print(os.environ[{SWITCH!r}])", **{SWITCH: "0"})
    assert run.stdout == "0\n"
