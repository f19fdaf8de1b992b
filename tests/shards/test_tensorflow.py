"""How TensorFlow is set up where the library is imported before it."""

import os
import platform
import subprocess
import sys

import pytest

SWITCH = "TF_ENABLE_ONEDNN_OPTS"
CONVOLUTION = """
import v2t_lib
import tensorflow as tf

clips, kernel = tf.ones((1, 2, 4, 4, 8)), tf.ones((3, 3, 3, 8, 8))
tf.function(tf.nn.conv3d)(clips, kernel, (1, 1, 1, 1, 1), "SAME")
"""


def printed_by(code: str, **said: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != SWITCH} | said
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment
    ).stdout


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="oneDNN is for x86")
def test_convolutions_are_onednns():
    assert ",convolution," in printed_by(CONVOLUTION, ONEDNN_VERBOSE="1")


def test_the_users_word_about_onednn_stays():
    code = f"import v2t_lib, os; print(os.environ[{SWITCH!r}])"
    assert printed_by(code, **{SWITCH: "0"}) == "0\n"


#: Keeps the names of modules in the order in which they are first looked for.
WATCH = """
import sys

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
    assert printed_by(WATCH + code + told) == "True\n"
