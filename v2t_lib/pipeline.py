"""tf.data batches out of shards."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from v2t_lib.errors import DataError
from v2t_lib.shards import clip_spec, decode_masks, describe, shard_paths
from v2t_lib.specs import CaptionSpec, ClipSpec
from v2t_lib.vocabulary import UNK, Vocabulary

_TEXT = tf.io.FixedLenFeature([], tf.string)
_TEXTS = tf.io.RaggedFeature(tf.string)
SHUFFLE_BUFFER = 4096


@dataclasses.dataclass(frozen=True)
class Example:
    """One stored clip.

    Attributes:
        key: Its name.
        source: Where it came from, as the captions file has it.
        captions: Its captions as typed.
        frames: uint8 `(T, H, W, 3)`.
        seconds: float32 `(T,)`.
        masks: bool `(T, H, W, 3)`, where objects 1 to 3 lie; None where the data does not say.
    """

    key: str
    source: str
    captions: tuple[str, ...]
    frames: np.ndarray
    seconds: np.ndarray
    masks: np.ndarray | None


def _decode_strip(strip: tf.Tensor, spec: ClipSpec) -> tf.Tensor:
    frames = tf.io.decode_jpeg(strip, channels=3, dct_method="INTEGER_ACCURATE")  # (T*H,W,3)
    return tf.reshape(frames, spec.shape)


def _records(shards: str | Path) -> tf.data.Dataset:
    return tf.data.TFRecordDataset(shard_paths(shards), num_parallel_reads=1)


def read_captions_of(shards: str | Path) -> list[str]:
    """Every caption in the shards, in order; what a vocabulary is made from."""
    parsed = _records(shards).map(lambda r: tf.io.parse_single_example(r, {"captions": _TEXTS}))
    return [text.decode() for row in parsed for text in row["captions"].numpy()]


def iter_examples(shards: str | Path) -> Iterator[Example]:
    """Yields every clip in file order."""
    spec = clip_spec(shards)
    features = {
        **dict.fromkeys(("key", "source", "clip", "masks"), _TEXT),
        "captions": _TEXTS,
        "seconds": tf.io.FixedLenFeature([spec.frames], tf.float32),
    }

    def parse(record):
        row = tf.io.parse_single_example(record, features)
        return row | {"clip": _decode_strip(row["clip"], spec)}

    for row in _records(shards).map(parse, num_parallel_calls=2).prefetch(8):
        masks = row["masks"].numpy()
        yield Example(
            key=row["key"].numpy().decode(),
            source=row["source"].numpy().decode(),
            captions=tuple(text.decode() for text in row["captions"].numpy()),
            frames=row["clip"].numpy(),
            seconds=row["seconds"].numpy(),
            masks=decode_masks(masks, spec) if masks else None,
        )


def _packer(vocabulary: Vocabulary, length: int):
    """A graph-mode twin of `Vocabulary.pack` for sentences already normalised."""
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(
            list(vocabulary.words), tf.range(len(vocabulary), dtype=tf.int32)
        ),
        default_value=UNK,
    )

    def pack(sentence: tf.Tensor) -> tf.Tensor:
        words = tf.strings.split(sentence)[: length - 1]
        framed = tf.concat([["<start>"], words, ["<end>"]], axis=0)
        tokens = table.lookup(framed)
        tokens = tf.pad(tokens, [[0, length + 1 - tf.shape(tokens)[0]]])
        return tf.ensure_shape(tokens, [length + 1])

    return pack


def batches(
    shards: str | Path,
    vocabulary: Vocabulary,
    caption_spec: CaptionSpec,
    batch_size: int,
    seed: int | None = None,
) -> tf.data.Dataset:
    """Batches for `model.fit`: `((clips, tokens), targets)`.

    Every caption of a clip makes an example of its own. With a seed the order is shuffled, anew
    each epoch but the same in every run; without one it is the file's, once through.

    Returns:
        A dataset of `((uint8 (B, T, H, W, 3), int32 (B, L)), int32 (B, L))`; the targets are the
        tokens shifted by one. With a seed the last, smaller batch is dropped.
    """
    described = describe(shards)
    if seed is not None and described["captions"] < batch_size:
        raise DataError(
            f"{shards}: expected at least one batch of {batch_size} captions. "
            f"Received: {described['captions']}; ask for smaller batches"
        )
    spec, pack = clip_spec(shards), _packer(vocabulary, caption_spec.length)
    features = {"clip": _TEXT, "sentences": _TEXTS}

    def one_a_caption(record):
        row = tf.io.parse_single_example(record, features)
        count = tf.shape(row["sentences"])[0]
        return tf.data.Dataset.from_tensor_slices(
            (tf.repeat(row["clip"][None], count), row["sentences"])
        )

    def example(strip, sentence):
        tokens = pack(sentence)
        return (_decode_strip(strip, spec), tokens[:-1]), tokens[1:]

    dataset = _records(shards).flat_map(one_a_caption)
    if seed is not None:
        dataset = dataset.shuffle(SHUFFLE_BUFFER, seed=seed, reshuffle_each_iteration=True)
    dataset = dataset.map(example, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.batch(batch_size, drop_remainder=seed is not None)
    whole, rest = divmod(described["captions"], batch_size)
    steps = whole + (1 if rest and seed is None else 0)
    return dataset.apply(tf.data.experimental.assert_cardinality(steps)).prefetch(2)
