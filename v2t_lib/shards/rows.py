"""What training reads: rows of clips and captions, captions as tokens, epochs, in a fixed order."""

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from v2t_lib.errors import DataError
from v2t_lib.shards.example import whole_examples
from v2t_lib.shards.format import DatasetInfo
from v2t_lib.text.vocabulary import CHARACTER, END, LOOSE, PAD, START, UNK, Vocabulary

TEXT = tf.io.FixedLenFeature([], tf.string)
TEXTS = tf.io.RaggedFeature(tf.string)
#: Clips shuffled among each other, beyond the shuffling of whole shards.
SHUFFLED_AT_ONCE = 2048
#: Clips parsed in one call: parsing them one by one takes longer for the calls than for the work.
PARSED_AT_ONCE = 64


def one_a_caption(sentences: tf.RaggedTensor, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """A row for every caption: the number of its clip, and the caption."""
    return sentences.value_rowids(), sentences.values


def one_a_clip(sentences: tf.RaggedTensor, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """A row for every clip, its captions joined, a line each."""
    return tf.range(sentences.nrows()), tf.strings.reduce_join(sentences, axis=-1, separator="\n")


def drawn(count: int) -> Callable:
    """`count` rows for every clip: different captions of it, as far as it has as many."""

    def rows_of(sentences: tf.RaggedTensor, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        drawn = tf.random.stateless_uniform(tf.shape(sentences.values), key + np.array([1, 0]))
        drawn = sentences.with_values(drawn).to_tensor(2.0)  # what isn't there comes last
        turns = tf.range(count) % tf.cast(sentences.row_lengths(), tf.int32)[:, None]
        order = tf.gather(tf.argsort(drawn), turns, batch_dims=1)  # (clips, count)
        chosen = tf.gather(sentences.to_tensor(), order, batch_dims=1)
        owners = tf.repeat(tf.range(sentences.nrows()), count)
        return owners, tf.reshape(chosen, [-1])

    return rows_of


def one_pass(
    paths, key, column: str, rows_of: Callable, shuffled: bool, take: int | None
) -> tf.data.Dataset:
    """A column of the clips in shards, "source" or what is stored, beside their captions.

    `key` shuffles rows, and what `rows_of` draws; of the rows the first ones to `take`.
    """
    columns = {column: TEXT, "sentences": TEXTS}

    def parse(number, records):
        parsed = tf.io.parse_example(records, columns)
        key_here = key + tf.stack([0, number])
        owners, texts = rows_of(parsed["sentences"], key_here)
        if shuffled:
            # Not `Dataset.shuffle`: its order also depends on TensorFlow's global seed.
            order = tf.random.experimental.stateless_shuffle(tf.range(tf.size(texts)), key_here)
            owners, texts = tf.gather(owners, order), tf.gather(texts, order)
        return parsed[column], owners, texts

    def rows(values, owners, texts):
        # A clip is copied when its row is due: of all rows at once there may be gigabytes.
        of_window = tf.data.Dataset.from_tensor_slices((owners, texts))
        return of_window.map(lambda owner, text: (values[owner], text))

    at_once = SHUFFLED_AT_ONCE if shuffled else PARSED_AT_ONCE
    windows = tf.data.TFRecordDataset(paths).batch(at_once).enumerate()
    read = windows.map(parse).prefetch(1).flat_map(rows)
    return read if take is None else read.take(take)


def packer(vocabulary: Vocabulary, length: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """A graph-mode twin of `Vocabulary.pack` for a batch of sentences already normalised."""
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(
            list(vocabulary.words), tf.range(len(vocabulary), dtype=tf.int32)
        ),
        default_value=UNK,
    )

    def pack(sentences: tf.Tensor) -> tf.Tensor:
        if vocabulary.unit == "character":
            sentences = tf.strings.regex_replace(sentences, CHARACTER, r" \0 ")
            sentences = tf.strings.regex_replace(sentences, LOOSE, " ")
        words = table.lookup(tf.strings.split(sentences))  # (B, as many as there are)
        written = words.to_tensor(PAD, shape=[None, length - 1])
        count = tf.minimum(words.row_lengths(), length - 1)
        # Padding, by concatenation of ragged rows, would take longer to compile than all the rest.
        column = tf.ones_like(written[:, :1])
        tokens = tf.concat([START * column, written, PAD * column], axis=1)
        return tokens + tf.one_hot(count + 1, length + 1, on_value=END, dtype=tf.int32)

    return pack


class Epochs(tf.data.Dataset):
    """A data set for `Model.fit` that reads another epoch each time it is iterated over.

    `Model.fit` iterates over one data set at the beginning of every epoch; this one calls
    `rest_of_epoch` then, for the first epoch already when it is made. Keras is told that each has
    `steps` batches; training has to end the first one of a resumed run before they run out.
    """

    def __init__(self, rest_of_epoch: Callable[[], tf.data.Dataset], steps: int):
        self._rest_of_epoch, self._steps = rest_of_epoch, steps
        self._first = rest_of_epoch()
        self._spec = self._first.element_spec
        super().__init__(self._first._variant_tensor)

    @property
    def element_spec(self):
        return self._spec

    def _inputs(self):
        return []

    def cardinality(self):
        return tf.constant(self._steps, tf.int64)

    def __iter__(self):
        first, self._first = self._first, None  # made already, for its spec
        return iter(first or self._rest_of_epoch())


@contextlib.contextmanager
def naming_damage(folder: Path, info: DatasetInfo) -> Iterator[None]:
    """Within it, reading a damaged shard of `folder` raises a `DataError` that names the file."""
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.NotFoundError) as error:
        for shard in info.shards:
            path = folder / shard.name
            if not path.exists() or sum(1 for _ in whole_examples(path)) < shard.clips:
                why = re.sub(r"\{\{.*?\}\}\s*|\s*\[Op:.*", "", str(error.message))[:200]
                raise DataError(
                    f"{path}: expected the {shard.clips} clips that were written. Received: {why}; "
                    f"copy the file anew, or delete {folder} and pack again"
                ) from None
        raise
