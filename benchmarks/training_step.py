"""What share of a training step at demo size is spent outside the encoder? And how long does a
warm `caption` of one clip take beside the encoder's own forward pass?

The limit is the encoder: nothing is seen without it. With a model of real clips, whose captions end
as captions do, a caption should take no more than 1.3 times as long.

    python benchmarks/training_step.py [MODEL.keras CLIP]
"""

import argparse
import dataclasses
from pathlib import Path

import v2t_lib  # noqa: F401  (sets TensorFlow up)

# isort: split
import keras
import numpy as np
from timing import medians

from v2t_lib.datasets.shapes import describe, draw, encode_gif
from v2t_lib.datasets.shapes_drawing import THINGS
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.compiled import JIT_COMPILE
from v2t_lib.models.encoders import registry as encoders
from v2t_lib.models.saving import load
from v2t_lib.specs import ClipSpec
from v2t_lib.text.vocabulary import Vocabulary
from v2t_lib.training.optimizer import compile_for_training
from v2t_lib.training.recipes import registry as recipes

DEMO = recipes.get("shapes")
CAPTION, CLIP, DECODER, ENCODER, TRAINING = (
    DEMO.caption,
    DEMO.clip,
    dataclasses.asdict(DEMO.decoder),
    DEMO.encoder_options,
    DEMO.training,
)


class Alone(keras.Model):
    """The encoder with the least that can be trained on top."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def call(self, clips, training=False):
        return keras.ops.mean(self.encoder(clips, training=training), axis=(1, 2))


def captioner(spec, config) -> Captioner:
    words = Vocabulary.from_captions(describe((t,), p) for t in THINGS for p in range(3))
    return Captioner(spec, CAPTION, words, encoders.get("conv3d", **config), DECODER)


def of_one_clip(model: Captioner, clip: Path | bytes) -> None:
    """Prints how long a clip takes, and each part of it."""
    watcher = Alone(model.encoder)
    watcher.compile(jit_compile=JIT_COMPILE)
    frames = model.decode(clip).frames[None]
    seconds = medians(
        repeats=25,
        caption=lambda: model.caption(clip),
        beams=lambda: model.caption(clip, beam=3),
        decode=lambda: model.decode(clip),
        encoder=lambda: watcher.predict_on_batch(frames),
    )
    times = ", ".join(f"{name} {1000 * value:.1f} ms" for name, value in seconds.items())
    print(
        f"one clip of {model.clip_spec.shape}: {times}; "
        f"a caption takes {seconds['caption'] / seconds['encoder']:.2f} x the encoder, "
        f"with 3 beams {seconds['beams'] / seconds['encoder']:.2f} x"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("clip", nargs="?", type=Path)
    args = parser.parse_args()
    if args.model:
        if not args.clip:
            parser.error("expected a CLIP after MODEL.keras")
        return of_one_clip(load(args.model), args.clip)
    rng = np.random.default_rng(0)
    model, batch = captioner(CLIP, ENCODER), TRAINING.batch_size
    alone = Alone(encoders.get("conv3d", **ENCODER))
    frames = rng.integers(0, 256, (batch, *CLIP.shape), dtype=np.uint8)
    tokens = rng.integers(4, 30, (batch, CAPTION.length)).astype("int32")
    compile_for_training(model, TRAINING, 1000)
    alone.compile(keras.optimizers.AdamW(), loss="mse", jit_compile=JIT_COMPILE)
    seconds = medians(
        whole=lambda: model.train_on_batch((frames, tokens), tokens),
        encoder=lambda: alone.train_on_batch(frames, np.zeros(batch, "float32")),
    )
    print(
        f"training step, {batch} clips of {CLIP.shape}: {seconds['whole']:.3f} s "
        f"({batch / seconds['whole']:.0f} clips/s), {1 - seconds['encoder'] / seconds['whole']:.0%}"
        " of it outside the encoder"
    )
    drawing = draw(rng)
    gif = encode_gif(drawing.pictures, drawing.palette, drawing.delays)
    for spec, config in ((CLIP, ENCODER), (ClipSpec(), {})):
        of_one_clip(captioner(spec, config), gif)


if __name__ == "__main__":
    main()
