"""How near does a whole training step come to the machine's best convolution, for each encoder?

16 x 112 x 112 frames, batch 8, float32, the demo's decoder on top. Of encoders of 3D convolutions
these are counted, three times the forward pass; the limit is the rate of one Conv3D layer, forward
and backward, and the aim 80% of it: the rest is overhead.
"""

import argparse
import dataclasses
import math

import v2t_lib  # noqa: F401  (sets TensorFlow up)

# isort: split
import keras
import numpy as np
from timing import medians

from v2t_lib.datasets.shapes import describe
from v2t_lib.datasets.shapes_drawing import THINGS
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.compiled import JIT_COMPILE
from v2t_lib.models.encoders import registry as encoders
from v2t_lib.specs import ClipSpec
from v2t_lib.text.vocabulary import Vocabulary
from v2t_lib.training.optimizer import compile_for_training
from v2t_lib.training.recipe import TrainingOptions
from v2t_lib.training.recipes import registry as recipes

DEMO = recipes.get("shapes")
CAPTION, DECODER = DEMO.caption, dataclasses.asdict(DEMO.decoder)
SPEC, BATCH, CHANNELS = ClipSpec(), 8, 64


def best_convolution(rng):
    """One 3x3x3 convolution of 64 to 64 channels, trained; and its operations a step."""
    shape = (8, 28, 28, CHANNELS)
    layer = keras.layers.Conv3D(CHANNELS, 3, padding="same", use_bias=False)
    model = keras.Sequential([keras.Input(shape), layer, keras.layers.GlobalAveragePooling3D()])
    model.compile("sgd", "mse", jit_compile=JIT_COMPILE)
    clips = rng.normal(size=(BATCH, *shape)).astype("float32")
    target = np.zeros((BATCH, CHANNELS), "float32")
    # Nothing before it learns, so only the kernel's gradient is taken: two passes, not three.
    work = 2 * 2 * BATCH * 8 * 28 * 28 * 27 * CHANNELS**2
    return lambda: model.train_on_batch(clips, target), work


def operations(encoder) -> int:
    """Multiplications and additions of 3D convolutions for one clip, forward; 0 of others."""
    total, shape = 0, (None, *SPEC.shape)
    for conv in [conv for unit in encoder.units for conv in getattr(unit, "convs", ())]:
        shape = conv.compute_output_shape(shape)
        total += 2 * math.prod(conv.kernel.shape) * math.prod(shape[1:4])
    return total


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="ENCODER", help="default: all that see")
    names = parser.parse_args().names or [name for name in encoders.ENCODERS if name != "blind"]
    rng = np.random.default_rng(0)
    words = Vocabulary.from_captions(describe((t,), p) for t in THINGS for p in range(3))
    frames = rng.integers(0, 256, (BATCH, *SPEC.shape), dtype=np.uint8)
    tokens = rng.integers(4, 30, (BATCH, CAPTION.length)).astype("int32")
    limit, work = best_convolution(rng)
    for name in names:
        model = Captioner(SPEC, CAPTION, words, encoders.get(name), DECODER)
        compile_for_training(model, TrainingOptions(), 1000)
        seconds = medians(
            repeats=3,
            step=lambda model=model: model.train_on_batch((frames, tokens), tokens),
            limit=limit,
        )
        line = f"{name:20s} {seconds['step']:6.2f} s a step, {BATCH / seconds['step']:5.1f} clips/s"
        if own := 3 * BATCH * operations(model.encoder) / seconds["step"]:
            best = work / seconds["limit"]
            line += f", {own / 1e9:4.0f} GFLOP/s, {own / best:.0%} of one Conv3D's "
            line += f"{best / 1e9:.0f} (aim 80%)"
        print(line, flush=True)
        keras.backend.clear_session()


if __name__ == "__main__":
    main()
