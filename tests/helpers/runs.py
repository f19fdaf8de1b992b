"""Short training runs, and how two of them are compared."""

import numpy as np

import v2t_lib as v2t
from helpers import tiny
from v2t_lib.training.recipe import TrainingOptions
from v2t_lib.training.train import compile_for_training

TOKENS = tiny.tokens(*tiny.SENTENCES)


def learn(captioner, **options):
    """Compiled, and how to take one step more."""
    compile_for_training(captioner, TrainingOptions(warmup_share=0.1, **options), 20)
    frames = tiny.frames(3)
    return lambda: float(captioner.train_on_batch((frames, TOKENS[:, :-1]), TOKENS[:, 1:])[0])


def end_of(path):
    """All that a run leaves: its last state, its history, and the model it kept."""
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
