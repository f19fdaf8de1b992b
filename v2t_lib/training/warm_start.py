"""Warm start: training begins with another model's weights, and new words."""

import numpy as np

from v2t_lib.errors import ModelError
from v2t_lib.models.captioner import Captioner
from v2t_lib.text.vocabulary import Vocabulary


def grow(known: Vocabulary, captions: Vocabulary) -> Vocabulary:
    """The words of `known`, with the same tokens, then the further words of `captions`."""
    fresh = tuple(word for word in captions.words if word not in set(known.words))
    return Vocabulary(known.words + fresh, captions.unit)


def warm_start(captioner: Captioner, old: Captioner) -> None:
    """Copies an older captioner's weights into a new one.

    The new one's vocabulary begins with the older one's words, as `grow` makes it; its further
    words keep their initial embedding and output weights.

    Raises:
        ModelError: The two are built differently.
    """
    known = len(old.vocabulary)
    rows = {id(captioner.decoder.embedding.embeddings)}
    columns = {id(weight) for weight in captioner.decoder.vocabulary.weights}
    if len(captioner.weights) != len(old.weights):
        raise ModelError(
            f"expected a model with {len(captioner.weights)} weights to begin with. "
            f"Received: one with {len(old.weights)}; ask for its encoder and sizes"
        )
    for weight, learnt in zip(captioner.weights, old.weights, strict=True):
        value = np.asarray(learnt)
        if id(weight) in rows | columns:
            axis = 0 if id(weight) in rows else -1
            grown = np.array(weight)
            np.moveaxis(grown, axis, 0)[:known] = np.moveaxis(value, axis, 0)
            value = grown
        if value.shape != tuple(weight.shape):
            raise ModelError(
                f"expected {weight.path} of shape {tuple(weight.shape)} to begin with. "
                f"Received: {value.shape}; ask for the encoder and sizes of the older model"
            )
        weight.assign(value)
