"""How many clips a second does the input pipeline deliver?

The limit is the decoding of the stored JPEG film strips alone, on as many threads.
"""

import tempfile
from pathlib import Path

import tensorflow as tf
from timing import medians

from v2t_lib.demo import CAPTION, CLIP
from v2t_lib.packing import pack
from v2t_lib.pipeline import batches, read_captions_of
from v2t_lib.records import read_captions, select
from v2t_lib.shapes import write_shapes
from v2t_lib.shards import shard_paths
from v2t_lib.vocabulary import Vocabulary

CLIPS, BATCH = 1200, 32


def bare(shards: Path):
    """Decodes every strip, already in memory, and throws it away."""
    features = {"clip": tf.io.FixedLenFeature([], tf.string)}
    records = tf.data.TFRecordDataset(shard_paths(shards))
    strips = [tf.io.parse_single_example(r, features)["clip"].numpy() for r in records]
    data = tf.data.Dataset.from_tensor_slices(strips).map(
        lambda s: tf.io.decode_jpeg(s, channels=3, dct_method="INTEGER_ACCURATE"),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return len(strips), lambda: sum(1 for _ in data)


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        captions = write_shapes(folder / "drawn", CLIPS)
        records = select(read_captions(captions), folder / "drawn" / "train.txt")
        pack(records, captions, folder / "shards", CLIP)
        words = Vocabulary.from_captions(read_captions_of(folder / "shards"))
        data = batches(folder / "shards", words, CAPTION, BATCH, seed=0)
        count, decode = bare(folder / "shards")
        seconds = medians(pipeline=lambda: sum(1 for _ in data), bare=decode)
        print(
            f"{count} clips of {CLIP.shape}: pipeline {count / seconds['pipeline']:.0f} clips/s, "
            f"bare JPEG decoding {count / seconds['bare']:.0f} clips/s, "
            f"{seconds['bare'] / seconds['pipeline']:.0%} of the limit"
        )


if __name__ == "__main__":
    main()
