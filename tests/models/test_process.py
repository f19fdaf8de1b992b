"""A model is a guest in the program that loads it, and says what it needs of it."""

import errno
import os
import random
import subprocess
import sys
import tempfile
import warnings

import keras
import numpy as np
import pytest
from helpers import tiny
from helpers.project import ROOT

from v2t_lib.errors import ModelError
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.saving import load, save


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "m.keras"
    save(tiny.judge(), path)
    return path


@pytest.fixture
def other_settings():
    before = keras.config.floatx(), keras.config.dtype_policy(), keras.config.image_data_format()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_floatx(before[0])
    keras.config.set_dtype_policy(before[1])
    keras.config.set_image_data_format(before[2])


def settings():
    return {
        "keras": (keras.config.floatx(), keras.config.image_data_format(), keras.config.epsilon()),
        "policy": keras.config.dtype_policy().name,
        "random": random.getstate(),
        "numpy": np.random.get_state()[1].tolist(),
        "environment": dict(os.environ),
        "warnings": list(warnings.filters),
    }


def used(path):
    model, frames = load(path), tiny.frames(3)
    found = [model.caption_frames(frames, beam=beam) for beam in (1, 3)]
    return [c.text for row in found for c in row], model.verify_frames(frames, tiny.SENTENCES)


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype float64")  # JAX has no such
def test_the_programs_settings_stay_and_change_nothing(saved, request):
    texts, judged = used(saved)
    request.getfixturevalue("other_settings")
    before = settings()
    others, again = used(saved)
    assert settings() == before and others == texts
    for one, other in zip(judged, again, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-5)


def test_import_leaves_the_environment_alone():
    code = (
        "import os; before = dict(os.environ); import v2t_lib, multiprocessing, logging\n"
        "assert dict(os.environ) == before and not logging.root.handlers\n"
        "assert multiprocessing.get_start_method(allow_none=True) is None"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.filterwarnings("ignore:.*fork")  # of threads, by Python and by JAX
@pytest.mark.filterwarnings("ignore:Exception ignored in.*fork")
@pytest.mark.parametrize("loads", [False, True])
def test_a_fork_of_a_process_with_a_model_is_told_so(loads, saved):
    model = load(saved)
    reader, writer = os.pipe()
    if not os.fork():
        try:
            load(saved) if loads else model.caption_frames(tiny.frames(1))
        except ModelError as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as said:
        assert "a fork of it, process" in said.read()


LACKS = (
    (ImportError("No module named 'torch'", name="torch"), ImportError, "torch"),
    (MemoryError("none left"), MemoryError, "none left"),
    (OSError(errno.EIO, "Input/output error"), ModelError, "expected to read .*Input/output error"),
    (ValueError("no such layer"), ModelError, "expected a whole model file"),
)


@pytest.mark.parametrize(("error", "kind", "said"), LACKS)
def test_a_file_is_not_called_damaged_for_what_the_machine_lacks(
    error, kind, said, saved, monkeypatch
):
    def fail(config):
        try:
            raise error
        except Exception:
            raise ValueError("could not be deserialized")  # noqa: B904  (as Keras does)

    monkeypatch.setattr(Captioner, "from_config", fail)
    with pytest.raises(kind, match=said):
        load(saved)


def test_loading_needs_no_folder_for_temporary_files(saved, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    assert load(saved).vocabulary == tiny.VOCABULARY
