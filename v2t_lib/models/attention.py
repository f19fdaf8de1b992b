"""Bahdanau's additive attention."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("v2t_lib")
class BahdanauAttention(layers.Layer):
    """Scores each memory cell m by `v . tanh(W_q q + W_k m)`; returns the cells' weighted mean.

    The weights are the softmax of the scores, in float32 whatever the compute dtype. Keys depend
    only on the memory: project them once with `project` and pass them to every call.

    Args:
        units: Size of the hidden layer, where queries and keys are added.

    Call arguments:
        query: `(batch, Q)`, or `(batch, K, Q)` for K queries of each memory.
        memory: `(batch, S, D)`.
        keys: `(batch, S, units)` from `project(memory)`; computed when left out.
        memory_mask: bool `(batch, S)`, False for cells that get no weight. Every clip needs at
            least one True.

    Returns:
        `(context, weights)`: `(batch, D)` in the compute dtype, `(batch, S)` float32 that sum to 1;
        with K queries `(batch, K, D)` and `(batch, K, S)`.

    Example:
        >>> attention = BahdanauAttention(32)
        >>> context, weights = attention(keras.ops.ones((2, 8)), keras.ops.ones((2, 5, 16)))
        >>> weights.shape
        (2, 5)

    Reference:
        Bahdanau, Cho, Bengio: Neural machine translation by jointly learning to align and
        translate, arXiv 1409.0473, appendix A.1.2.
    """

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.W_q = layers.Dense(units, use_bias=False, dtype=self.dtype_policy, name="W_q")
        self.W_k = layers.Dense(units, dtype=self.dtype_policy, name="W_k")

    def build(self, query_shape, memory_shape):
        self.W_q.build(query_shape)
        self.W_k.build(memory_shape)
        self.v = self.add_weight(shape=(self.units,), initializer="glorot_uniform", name="v")

    def project(self, memory):
        """`(batch, S, D)` memory to `(batch, S, units)` keys."""
        return self.W_k(memory)

    def call(self, query, memory, keys=None, memory_mask=None):
        if keys is None:
            keys = self.project(memory)
        queries = self.W_q(query)
        if len(query.shape) == 2:
            scores = self._scores(queries, keys)[:, None]
        else:
            # One query after another: the hidden layer then is as large as the keys, not K times.
            each = [self._scores(queries[:, k], keys) for k in range(query.shape[1])]
            scores = ops.stack(each, axis=1)  # (B,K,S)
        if memory_mask is not None:
            scores = ops.where(memory_mask[:, None], scores, -1e30)
        weights = ops.exp(scores - ops.logsumexp(scores, axis=-1, keepdims=True))
        memory = ops.cast(memory, self.compute_dtype)
        context = ops.matmul(ops.cast(weights, memory.dtype), memory)  # (B,K,D)
        return (context[:, 0], weights[:, 0]) if len(query.shape) == 2 else (context, weights)

    def _scores(self, queries, keys):
        """`(batch, units)` and `(batch, S, units)` to float32 `(batch, S)`."""
        hidden = ops.tanh(ops.expand_dims(queries, 1) + keys)  # (B,S,A)
        scores = ops.matmul(hidden, ops.cast(self.v, hidden.dtype)[:, None])  # (B,S,1)
        return ops.cast(ops.squeeze(scores, -1), "float32")

    def get_config(self):
        return super().get_config() | {"units": self.units}
