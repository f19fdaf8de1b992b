"""Rows of a data set: which captions of each clip an epoch has, and captions as tokens."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from v2t_lib.text.vocabulary import CHARACTER, END, LOOSE, PAD, START, UNK, Vocabulary


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
