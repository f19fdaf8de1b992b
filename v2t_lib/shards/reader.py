"""tf.data batches out of shards."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from v2t_lib.errors import DataError
from v2t_lib.shards.format import clip_spec, decode_masks, describe, shard_paths
from v2t_lib.specs import CaptionSpec, ClipSpec
from v2t_lib.text.vocabulary import END, START, UNK, Vocabulary

if keras.backend.backend() != "tensorflow":
    # TensorFlow would fill the GPUs' memory, and all it does here is read. Too late where it has
    # already: it keeps what it holds.
    with contextlib.suppress(RuntimeError):
        tf.config.set_visible_devices([], "GPU")

_TEXT = tf.io.FixedLenFeature([], tf.string)
_TEXTS = tf.io.RaggedFeature(tf.string)
#: Clips shuffled among each other, beyond the shuffling of whole shards.
SHUFFLED_AT_ONCE = 2048
#: Clips parsed in one call: alone, each costs more in calls than in work.
PARSED_AT_ONCE = 64


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
    """A graph-mode twin of `Vocabulary.pack` for a batch of sentences already normalised."""
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(
            list(vocabulary.words), tf.range(len(vocabulary), dtype=tf.int32)
        ),
        default_value=UNK,
    )

    def pack(sentences: tf.Tensor) -> tf.Tensor:
        words = tf.strings.split(sentences)[:, : length - 1]  # (B, as many as there are)
        column = tf.ones_like(sentences, tf.int32)[:, None]
        tokens = tf.concat([START * column, table.lookup(words), END * column], axis=1)
        return tf.ensure_shape(tokens.to_tensor(shape=[None, length + 1]), [None, length + 1])

    return pack


def _one_a_caption(rows: dict) -> tuple[tf.Tensor, tf.Tensor]:
    """Stored clips, each as often as it has captions, and the captions."""
    clips, sentences = rows.values()
    return tf.repeat(clips, sentences.row_lengths()), sentences.values


def _one_a_clip(rows: dict) -> tuple[tf.Tensor, tf.Tensor]:
    """Stored clips, and each one's captions, a line each."""
    clips, sentences = rows.values()
    return clips, tf.strings.reduce_join(sentences, axis=-1, separator="\n")


def _read(
    shards: str | Path, feature: str, each: Callable, seed: int | None = None, epoch: int = 0
) -> tf.data.Dataset:
    """What `each` makes of clips, in the file's order or, with a seed, in the epoch's.

    The order is a function of seed and epoch alone, whatever the feature.
    """
    paths, features = shard_paths(shards), {feature: _TEXT, "sentences": _TEXTS}

    def parse(records):
        rows = tf.io.parse_example(records, features)
        return each({name: rows[name] for name in features})

    if seed is None:
        return tf.data.TFRecordDataset(paths).batch(PARSED_AT_ONCE).map(parse).unbatch()
    rng = np.random.default_rng([seed, epoch])
    paths = [paths[number] for number in rng.permutation(len(paths))]
    key = rng.integers(2**31, size=2)

    # Not `Dataset.shuffle`: its order hangs on TensorFlow's global seed, too.
    def shuffled(number, records):
        values, sentences = parse(records)
        order = tf.random.experimental.stateless_shuffle(
            tf.range(tf.size(sentences)), key + tf.stack([0, number])
        )
        return tf.gather(values, order), tf.gather(sentences, order)

    windows = tf.data.TFRecordDataset(paths).batch(SHUFFLED_AT_ONCE).enumerate()
    return windows.map(shuffled).prefetch(1).unbatch()


def _stored(shards: str | Path) -> tuple[str, Callable]:
    """Under which name the shards hold a clip, or what became of it, and how to read that."""
    made = describe(shards).get("features")
    if made is None:
        return "clip", functools.partial(_decode_strip, spec=clip_spec(shards))
    return "features", lambda raw: tf.reshape(tf.io.decode_raw(raw, tf.float16), made["shape"])


def steps_an_epoch(shards: str | Path, batch_size: int) -> int:
    """How many whole batches the captions in the shards make.

    Raises:
        DataError: Not one.
    """
    captions = describe(shards)["captions"]
    if captions < batch_size:
        raise DataError(
            f"{shards}: expected at least one batch of {batch_size} captions. "
            f"Received: {captions}; ask for smaller batches"
        )
    return captions // batch_size


def batches(
    shards: str | Path,
    vocabulary: Vocabulary,
    caption_spec: CaptionSpec,
    batch_size: int,
    seed: int | None = None,
    epoch: int = 0,
    skip: int = 0,
) -> tf.data.Dataset:
    """Batches for `model.fit`: `((clips, tokens), targets)`.

    Every caption of a clip makes an example of its own. With a seed the order is shuffled, and is
    a function of seed and epoch alone; without one it is the file's.

    Args:
        shards: A directory of shards.
        vocabulary: The words that get tokens.
        caption_spec: How long captions get.
        batch_size: Captions a batch.
        seed: Shuffles; None keeps the file's order.
        epoch: The epoch's number, with a seed.
        skip: Batches at the epoch's beginning to leave out; they are read, but not decoded.

    Returns:
        A dataset of `((uint8 (B, T, H, W, 3), int32 (B, L)), int32 (B, L))`; the targets are the
        tokens shifted by one. Out of shards of features, float16 `(B, T, h', w', C)` stand in the
        clips' place. With a seed the last, smaller batch is dropped.
    """
    if seed is not None:
        steps = steps_an_epoch(shards, batch_size)
    else:
        steps = -(-describe(shards)["captions"] // batch_size)
    pack, (feature, decode) = _packer(vocabulary, caption_spec.length), _stored(shards)

    def shifted(clips, sentences):
        tokens = pack(sentences)
        return (clips, tokens[:, :-1]), tokens[:, 1:]

    dataset = _read(shards, feature, _one_a_caption, seed, epoch).skip(skip * batch_size)
    dataset = dataset.map(
        lambda stored, sentence: (decode(stored), sentence),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    dataset = dataset.batch(batch_size, drop_remainder=seed is not None).map(shifted)
    return dataset.apply(tf.data.experimental.assert_cardinality(steps - skip)).prefetch(2)


def sources_of_batch(
    shards: str | Path, batch_size: int, seed: int, epoch: int, number: int
) -> list[str]:
    """The clips in batch `number`, counted from 0, of what `batches` gives for the epoch."""
    rows = _read(shards, "source", _one_a_caption, seed, epoch).skip(number * batch_size)
    return [source.numpy().decode() for source, _ in rows.take(batch_size)]


def sentences_of(shards: str | Path) -> Iterator[list[str]]:
    """Each clip's captions as models see them, normalised, in file order."""
    for _, lines in _read(shards, "source", _one_a_clip):
        yield lines.numpy().decode().split("\n")


def clip_batches(
    shards: str | Path, batch_size: int, seed: int | None = None, epoch: int = 0, skip: int = 0
) -> Iterator[tuple[np.ndarray, list[list[str]]]]:
    """Batches in which every clip comes once, with all its captions, normalised.

    Args:
        shards: A directory of shards.
        batch_size: Clips a batch.
        seed: Shuffles, as a function of seed and epoch alone, and drops the last, smaller batch;
            None keeps the file's order.
        epoch: The epoch's number, with a seed.
        skip: Batches at the beginning to leave out; they are read, but not decoded.

    Yields:
        uint8 `(B, T, H, W, 3)`, or what shards of features hold, and `B` lists of captions.
    """
    feature, decode = _stored(shards)
    dataset = _read(shards, feature, _one_a_clip, seed, epoch).skip(skip * batch_size)
    dataset = dataset.map(
        lambda stored, lines: (decode(stored), lines), num_parallel_calls=tf.data.AUTOTUNE
    )
    for clips, lines in dataset.batch(batch_size, drop_remainder=seed is not None).prefetch(2):
        yield clips.numpy(), [line.decode().split("\n") for line in lines.numpy()]
