"""How many clips a second does the input pipeline deliver, and does training wait for it?

The limit is the decoding of the stored JPEG film strips alone, on as many threads; the aim is 90%
of it. Training at the demo's size should be no slower on the pipeline than on one batch over and
over.
"""

import dataclasses
import tempfile
from pathlib import Path

import tensorflow as tf

import v2t_lib  # noqa: F401  (sets TensorFlow up)

# isort: split
from timing import medians

from v2t_lib.captions_file import read_captions, select
from v2t_lib.datasets.shapes import write_shapes
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.encoders import registry as encoders
from v2t_lib.shards.pack import pack
from v2t_lib.shards.reader import ShardDataset
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
CLIPS, BATCH, STEPS = 2400, 32, 30


def bare(shards: ShardDataset):
    """Decodes every strip, already in memory, and throws it away."""
    features = {"clip": tf.io.FixedLenFeature([], tf.string)}
    records = tf.data.TFRecordDataset([str(shards.folder / s.name) for s in shards.info.shards])
    strips = [tf.io.parse_single_example(r, features)["clip"].numpy() for r in records]
    data = tf.data.Dataset.from_tensor_slices(strips).map(
        lambda s: tf.io.decode_jpeg(s, channels=3, dct_method="INTEGER_ACCURATE"),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return len(strips), lambda: count_of(data)


def count_of(data) -> int:
    """Runs through the data without a step into Python."""
    return data.reduce(0, lambda count, _: count + 1).numpy()


def training(words, data):
    """Epochs of training on the pipeline, and on one of its batches again and again."""
    model = Captioner(CLIP, CAPTION, words, encoders.get("conv3d", **ENCODER), DECODER)
    compile_for_training(model, TRAINING, 10_000)
    one = data.take(1).cache().repeat(STEPS)
    return [lambda given=given: model.fit(given, verbose=0) for given in (data.take(STEPS), one)]


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        captions = write_shapes(folder / "drawn", CLIPS)
        records = select(read_captions(captions), folder / "drawn" / "train.txt")
        pack(records, captions, folder / "shards", CLIP)
        shards = ShardDataset.open(folder / "shards")
        words = Vocabulary.from_captions(shards.captions())
        data = shards.batches(words, CAPTION, BATCH, seed=0)
        count, decode = bare(shards)
        seconds = medians(5, pipeline=lambda: count_of(data), bare=decode)
        print(
            f"{count} clips of {CLIP.shape}: pipeline {count / seconds['pipeline']:.0f} clips/s, "
            f"bare JPEG decoding {count / seconds['bare']:.0f} clips/s, "
            f"{seconds['bare'] / seconds['pipeline']:.0%} of the limit (aim 90%)"
        )
        fed, still = training(words, data)
        seconds = medians(repeats=3, fed=fed, still=still)
        print(
            f"{STEPS} training steps: {seconds['fed']:.2f} s on the pipeline, "
            f"{seconds['still']:.2f} s on one batch: waiting and sharing the cores takes "
            f"{1 - seconds['still'] / seconds['fed']:.0%}"
        )


if __name__ == "__main__":
    main()
