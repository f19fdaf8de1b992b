"""One seed, the same bits: at a size where TensorFlow's memory optimiser would change the order."""

import contextlib
import subprocess
import sys

import numpy as np

from v2t_lib.models.captioner import Captioner
from v2t_lib.models.encoders import registry as encoders
from v2t_lib.specs import CaptionSpec, ClipSpec
from v2t_lib.text.vocabulary import Vocabulary
from v2t_lib.training.optimizer import compile_for_training
from v2t_lib.training.recipe import TrainingOptions

# 4 x 7 x 7 cells and 20 words, as at the default clip size; the encoder costs next to nothing.
CLIP, CAPTION, BATCH = ClipSpec(4, 28, 28), CaptionSpec(length=20), 16
ENCODER = {"widths": (8, 256), "strides": ((1, 2, 2), (1, 2, 2)), "residual_from": 2}


@contextlib.contextmanager
def busy_machine(processes=1):
    burning = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)
    ]
    try:
        yield
    finally:
        for process in burning:
            process.kill()
            process.wait()


def test_a_step_repeated_on_a_busy_machine_ends_with_the_same_bits():
    decoder = {"units": 512, "embedding_size": 128, "attention_units": 256}
    words = Vocabulary.from_captions([f"word{number}" for number in range(300)])
    captioner = Captioner(CLIP, CAPTION, words, encoders.get("conv3d", **ENCODER), decoder)
    compile_for_training(captioner, TrainingOptions(), 100)
    captioner.optimizer.build(captioner.trainable_variables)
    variables = [*captioner.variables, *captioner.optimizer.variables]
    start = [np.array(variable) for variable in variables]
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (BATCH, *CLIP.shape), dtype=np.uint8)
    tokens = rng.integers(4, len(words), (BATCH, CAPTION.length)).astype("int32")

    def step():
        for variable, value in zip(variables, start, strict=True):
            variable.assign(value)
        captioner.train_on_batch((frames, tokens), tokens)
        # The first step's rate is 0: it is the optimiser's moments that hold the gradients.
        return b"".join(np.asarray(weight).tobytes() for weight in variables)

    first = step()  # compiles
    with busy_machine():
        assert {step() for _ in range(4)} == {first}
