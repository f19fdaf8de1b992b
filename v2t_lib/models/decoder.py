"""The decoder: an LSTM that attends to the memory before each word."""

import random
from typing import Any, NamedTuple

import keras
from keras import layers, ops

from v2t_lib.models.attention import BahdanauAttention


class DecoderState(NamedTuple):
    """What `step` carries from word to word."""

    h: Any  # the LSTM's output, (batch, units); with K beams a clip (batch, K, units)
    c: Any  # its cell state, shaped as `h`
    memory: Any  # the encoder's output, (batch, S, D)
    keys: Any  # the attention's, (batch, S, attention_units), projected once a clip
    mask: Any = None  # bool (batch, S), which cells may be attended to; None for all

    def repeated(self, count: int) -> "DecoderState":
        """The same for `count` captions a clip: `h` and `c` become `(batch, count, units)`."""
        h, c = (ops.repeat(part[:, None], count, axis=1) for part in (self.h, self.c))
        return self._replace(h=h, c=c)


@keras.saving.register_keras_serializable("v2t_lib")
class AttentionDecoder(layers.Layer):
    """LSTM decoder with Bahdanau attention and a deep output.

    The attention's query is the previous word's embedding concatenated with the LSTM's output h.
    The context, the weighted mean of the memory, is an input of the LSTM and of the deep output.

    Args:
        vocabulary_size: Number of tokens, the four special ones included.
        units, embedding_size, attention_units, dropout: See `DecoderOptions`.

    Call arguments:
        tokens: int `(batch, L)`, the words before those to predict (teacher forcing); with K
            captions a clip `(batch, K, L)`.
        memory: The encoder's output, `(batch, S, D)`.
        memory_mask: bool `(batch, S)`, False for cells to ignore, which are padding.

    Returns:
        `(logits, weights)`: `(batch, L, vocabulary_size)` in the compute dtype and
        `(batch, L, S)` float32; with K captions a clip `(batch, K, L, ...)`.

    References:
        arXiv 1409.0473 (attention), arXiv 1502.03044 (initial state, deep output).
    """

    def __init__(
        self,
        vocabulary_size,
        units=512,
        embedding_size=256,
        attention_units=512,
        dropout=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.vocabulary_size, self.units = vocabulary_size, units
        self.embedding_size, self.attention_units = embedding_size, attention_units
        self.dropout = dropout

        def dense(size, name, **options):
            return layers.Dense(size, dtype=self.dtype_policy, name=name, **options)

        self.embedding = layers.Embedding(vocabulary_size, embedding_size, dtype=self.dtype_policy)
        self.attention = BahdanauAttention(attention_units, dtype=self.dtype_policy)
        self.cell = layers.LSTMCell(units, dtype=self.dtype_policy)
        self.start_h = dense(units, "start_h", activation="tanh")
        self.start_c = dense(units, "start_c", activation="tanh")
        self.output_h = dense(embedding_size, "output_h")
        self.output_z = dense(embedding_size, "output_z", use_bias=False)
        self.vocabulary = dense(vocabulary_size, "vocabulary")
        # Named, as Keras names it where it isn't: without, PyTorch draws from its global generator,
        # which no checkpoint holds.
        seed = random.randint(1, 10**9) if dropout else None
        self.drop = layers.Dropout(dropout, seed=seed, dtype=self.dtype_policy)

    def build(self, tokens_shape, memory_shape):
        size = memory_shape[-1]
        self.embedding.build(tokens_shape)
        self.attention.build((None, self.embedding_size + self.units), memory_shape)
        self.cell.build((None, self.embedding_size + size))
        for layer in (self.start_h, self.start_c, self.output_z):
            layer.build((None, size))
        self.output_h.build((None, self.units))
        self.vocabulary.build((None, self.embedding_size))

    def start(self, memory, mask=None) -> DecoderState:
        """The state before the first word: the LSTM's from the memory's mean, and the keys."""
        memory = ops.cast(memory, self.compute_dtype)
        if mask is None:
            mean = ops.mean(memory, axis=1)
        else:
            share = ops.cast(mask, memory.dtype)[..., None]
            mean = ops.sum(memory * share, axis=1) / ops.sum(share, axis=1)
        keys = self.attention.project(memory)
        return DecoderState(self.start_h(mean), self.start_c(mean), memory, keys, mask)

    def _advance(self, embedded, state):
        """Attention, then one LSTM step, from embeddings `(batch, E)` or `(batch, K, E)`."""
        query = ops.concatenate([embedded, state.h], axis=-1)
        context, weights = self.attention(
            query, state.memory, keys=state.keys, memory_mask=state.mask
        )
        inputs = ops.concatenate([embedded, context], axis=-1)
        # LSTMCell takes one batch axis: beams join it.
        rows = [ops.reshape(x, (-1, x.shape[-1])) for x in (inputs, state.h, state.c)]
        _, cells = self.cell(rows[0], rows[1:])
        h, c = (ops.reshape(x, (-1, *state.h.shape[1:])) for x in cells)
        return context, weights, state._replace(h=h, c=c)

    def _logits(self, embedded, h, context, training=False):
        captions = embedded.shape[1:-1]
        if len(captions) == 2:
            # K captions a clip join the batch: on CPUs with AMX, oneDNN's product of (B, 1, L, E)
            # and a matrix is wrong and writes where it must not, in TensorFlow 2.21 at least.
            parts = (embedded, h, context)
            embedded, h, context = (ops.reshape(x, (-1, *x.shape[2:])) for x in parts)
        deep = embedded + self.output_h(h) + self.output_z(context)
        logits = self.vocabulary(self.drop(ops.tanh(deep), training=training))
        if len(captions) == 2:
            return ops.reshape(logits, (-1, *captions, logits.shape[-1]))
        return logits

    def step(self, token, state):
        """Predicts the word after `token`, int `(batch,)`; with K beams a clip `(batch, K)`.

        Returns:
            `(logits, state, weights)`: `(batch, vocabulary_size)`, the next state, and attention
            weights `(batch, S)`, float32; with K beams `(batch, K, ...)`.
        """
        embedded = self.embedding(token)
        context, weights, state = self._advance(embedded, state)
        return self._logits(embedded, state.h, context), state, weights

    def call(self, tokens, memory, memory_mask=None, training=False):
        state = self.start(memory, memory_mask)
        if len(tokens.shape) == 3:
            state = state.repeated(tokens.shape[1])
        embedded = self.drop(self.embedding(tokens), training=training)  # (B,L,E) or (B,K,L,E)
        hs, contexts, attention = [], [], []
        for position in range(tokens.shape[-1]):
            context, weights, state = self._advance(embedded[..., position, :], state)
            hs.append(state.h)
            contexts.append(context)
            attention.append(weights)
        # The vocabulary projection is the largest matmul: one for all steps instead of L.
        hs, contexts = ops.stack(hs, axis=-2), ops.stack(contexts, axis=-2)
        return self._logits(embedded, hs, contexts, training), ops.stack(attention, axis=-2)

    def get_config(self):
        return super().get_config() | {
            "vocabulary_size": self.vocabulary_size,
            "units": self.units,
            "embedding_size": self.embedding_size,
            "attention_units": self.attention_units,
            "dropout": self.dropout,
        }
