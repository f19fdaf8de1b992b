"""How TensorFlow is set up where the library is imported before it."""

import os
import platform
import subprocess
import sys

import pytest

CODE = """
import v2t_lib
import tensorflow as tf

clips, kernel = tf.ones((1, 2, 4, 4, 8)), tf.ones((3, 3, 3, 8, 8))
tf.function(tf.nn.conv3d)(clips, kernel, (1, 1, 1, 1, 1), "SAME")
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="oneDNN is for x86")
@pytest.mark.parametrize("said, expected", [(None, True), ("0", False)])
def test_convolutions_are_onednns_unless_the_user_says_otherwise(said, expected):
    environment = {**os.environ, "ONEDNN_VERBOSE": "1"}
    environment.pop("TF_ENABLE_ONEDNN_OPTS", None)
    if said is not None:
        environment["TF_ENABLE_ONEDNN_OPTS"] = said
    command = [sys.executable, "-c", CODE]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert (",convolution," in done.stdout) == expected
