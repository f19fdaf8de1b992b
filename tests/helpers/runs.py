"""Short training runs, and how two of them are compared."""

import contextlib
from unittest import mock

import keras
import numpy as np

import v2t_lib as v2t
from helpers import tiny
from v2t_lib.training import calibrate
from v2t_lib.training.optimizer import compile_for_training
from v2t_lib.training.recipe import TrainingOptions

TOKENS = tiny.tokens(*tiny.SENTENCES)


@contextlib.contextmanager
def eagerly():
    """Within it Keras on TensorFlow compiles no graph: quicker where a tiny model takes few steps.

    Nor does calibration take more than one pass over its captions to learn the null memory. What a
    compiled graph does, to the bit, and the path of a whole command are tested without it.
    """
    if keras.backend.backend() != "tensorflow":
        yield
        return

    always = property(lambda model: True, lambda model, value: None)
    with (
        mock.patch.object(keras.Model, "run_eagerly", always),
        mock.patch.object(calibrate, "EPOCHS", 1),
    ):
        yield


def learn(captioner, **options):
    """Compiles `captioner`; returns a function that takes one training step, to its loss."""
    compile_for_training(captioner, TrainingOptions(warmup_share=0.1, **options), 20)
    captioner.optimizer.build(captioner.trainable_variables)
    frames, tokens = tiny.frames(3), TOKENS[:, : captioner.caption_spec.length + 1]
    return lambda: float(captioner.train_on_batch((frames, tokens[:, :-1]), tokens[:, 1:])[0])


def end_of(path):
    """All that a run leaves: its last checkpoint, its history, and the model it saved."""
    history = path.with_name("history.csv" if path.stem == "captioner" else f"{path.stem}.csv")
    last = max(path.with_name(f".{path.stem}-checkpoints").glob("*.npz"))
    with np.load(last) as parts:
        state = {key: parts[key] for key in parts.files}
    weights = dict(enumerate(v2t.load(path).get_weights()))
    return {"history": np.array(history.read_text()), "last": np.array(last.name)} | state | weights


def assert_same_end(one, other):
    """To the bit."""
    ends = end_of(one), end_of(other)
    assert ends[0].keys() == ends[1].keys()
    for key, value in ends[0].items():
        np.testing.assert_array_equal(value, ends[1][key], err_msg=str(key))


class Killed(BaseException):
    """Ends a run as a kill does: nothing on the way out catches it and saves."""
