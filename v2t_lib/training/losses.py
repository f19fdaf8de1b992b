"""The sequence loss, in nats a token, and its accuracy."""

from keras import ops

from v2t_lib.text.vocabulary import PAD


def _token_share(y_true):
    """float32 `(batch, L)`: 1 for real tokens, 0 for padding; and their number, at least 1."""
    real = ops.cast(ops.not_equal(y_true, PAD), "float32")
    return real, ops.maximum(ops.sum(real), 1.0)


def sequence_loss(y_true, y_pred, label_smoothing=0.0):
    """Mean cross-entropy a real token, in nats.

    Padding has no part in it, so that longer rows of PAD change nothing. The log-softmax runs in
    float32 whatever the dtype of `y_pred`.

    Args:
        y_true: int `(batch, L)`, PAD after END.
        y_pred: Logits `(batch, L, vocabulary_size)`.
        label_smoothing: Share of the target spread evenly over the vocabulary (arXiv 1512.00567).

    Returns:
        float32 scalar; 0 where every token is PAD.
    """
    y_true, logits = ops.cast(y_true, "int32"), ops.cast(y_pred, "float32")
    nll = ops.sparse_categorical_crossentropy(y_true, logits, from_logits=True)
    if label_smoothing:
        evenly = ops.logsumexp(logits, axis=-1) - ops.mean(logits, axis=-1)
        nll = (1 - label_smoothing) * nll + label_smoothing * evenly
    real, count = _token_share(y_true)
    return ops.sum(nll * real) / count


def sentence_loss(y_true, y_pred):
    """Each sentence's negative log-probability, in nats: float32 `(batch,)`.

    Shapes as in `sequence_loss`. Weighted with what a sampled sentence gained, its gradient is that
    of REINFORCE.
    """
    logits = ops.cast(y_pred, "float32")
    nll = ops.sparse_categorical_crossentropy(y_true, logits, from_logits=True)
    return ops.sum(nll * _token_share(y_true)[0], axis=-1)


def sequence_accuracy(y_true, y_pred):
    """Share of real tokens whose logit is the highest; shapes as in `sequence_loss`."""
    real, count = _token_share(y_true)
    right = ops.equal(ops.cast(ops.argmax(y_pred, axis=-1), "int32"), ops.cast(y_true, "int32"))
    return ops.sum(ops.cast(right, "float32") * real) / count
