"""Every backend of Keras gives the same captions, and reads the files of the others."""

import importlib.util
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from helpers import tiny
from helpers.project import ROOT

from v2t_lib.models.captioner import Captioner
from v2t_lib.models.saving import save

OTHERS = [
    name
    for name in ("tensorflow", "jax", "torch")
    if name != keras.backend.backend() and importlib.util.find_spec(name)
]


def captioner() -> Captioner:
    """One whose weights are NumPy's, the same on every backend."""
    model, rng = tiny.captioner(), np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(scale=0.6, size=weight.shape))
    return model


def written(model: Captioner) -> list:
    """What it writes of three clips, with the words' log-probabilities."""
    memory = model.encode(tiny.frames(3))
    found = [model.search(memory, beam) for beam in (1, 3)]
    return [[part.tokens.tolist(), part.log_probs.tolist()] for part in found]


def assert_alike(one: list, other: list) -> None:
    for (tokens, log_probs), (expected, theirs) in zip(one, other, strict=True):
        assert tokens == expected
        np.testing.assert_allclose(log_probs, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("backend", OTHERS)
def test_a_file_that_this_backend_wrote_is_read_by_another(backend, tmp_path):
    model = captioner()
    save(model, tmp_path / "model.keras")
    code = (
        "import json, sys; from models.test_backends import written\n"
        "from v2t_lib.models.saving import load\n"
        "print(json.dumps(written(load(sys.argv[1]))))"
    )
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": paths}
    command = [sys.executable, "-c", code, str(tmp_path / "model.keras")]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert_alike(json.loads(run.stdout.splitlines()[-1]), written(model))
