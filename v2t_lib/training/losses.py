"""Losses over token sequences, and token accuracy."""

import numpy as np
from keras import ops

from v2t_lib.text.vocabulary import PAD, START, UNK


def _mask(y_true):
    """float32 `(batch, L)`, 1 for real tokens and 0 for PAD; and their number, at least 1."""
    real = ops.cast(ops.not_equal(y_true, PAD), "float32")
    return real, ops.maximum(ops.sum(real), 1.0)


def sequence_loss(y_true, y_pred, label_smoothing=0.0):
    """Mean cross-entropy over the tokens that aren't PAD, in nats a token.

    More padding doesn't change it. The log-softmax runs in float32 whatever the dtype of `y_pred`.

    Args:
        y_true: int `(batch, L)`, PAD after END.
        y_pred: Logits `(batch, L, vocabulary_size)`.
        label_smoothing: Share of the target that is uniform over the vocabulary (arXiv 1512.00567).
    """
    y_true, logits = ops.cast(y_true, "int32"), ops.cast(y_pred, "float32")
    nll = ops.sparse_categorical_crossentropy(y_true, logits, from_logits=True)
    if label_smoothing:
        evenly = ops.logsumexp(logits, axis=-1) - ops.mean(logits, axis=-1)
        nll = (1 - label_smoothing) * nll + label_smoothing * evenly
    real, count = _mask(y_true)
    return ops.sum(nll * real) / count


class TrainingLoss:
    """`sequence_loss` with label smoothing, which `EpochEnd` turns off for validation, so that
    `val_loss` compares with other losses."""

    __name__ = "loss"

    def __init__(self, label_smoothing: float):
        self.label_smoothing = label_smoothing

    def __call__(self, y_true, y_pred):
        return sequence_loss(y_true, y_pred, self.label_smoothing)


def sentence_loss(y_true, y_pred):
    """Each sentence's negative log-probability, in nats: float32 `(batch,)`.

    Shapes as in `sequence_loss`. For sampled sentences, weighted by their advantage, its gradient
    is REINFORCE's: PAD, START and UNK, which are never sampled, have no probability here either.
    """
    barred = np.zeros(y_pred.shape[-1], np.float32)
    barred[[PAD, START, UNK]] = -1e9
    logits = ops.cast(y_pred, "float32") + ops.convert_to_tensor(barred)
    nll = ops.sparse_categorical_crossentropy(y_true, logits, from_logits=True)
    return ops.sum(nll * _mask(y_true)[0], axis=-1)


def sequence_accuracy(y_true, y_pred):
    """Share of the tokens that aren't PAD with the highest logit; shapes as in `sequence_loss`."""
    real, count = _mask(y_true)
    right = ops.equal(ops.cast(ops.argmax(y_pred, axis=-1), "int32"), ops.cast(y_true, "int32"))
    return ops.sum(ops.cast(right, "float32") * real) / count
