"""Warm start: training begins with another model's weights, and new words."""

import numpy as np

from v2t_lib.errors import ModelError
from v2t_lib.models.captioner import Captioner
from v2t_lib.text.vocabulary import Vocabulary


def grow(known: Vocabulary, captions: Vocabulary) -> Vocabulary:
    """The words of `known`, with the same tokens, then the further words of `captions`."""
    have = set(known.words)
    fresh = tuple(word for word in captions.words if word not in have)
    return Vocabulary(known.words + fresh, captions.unit)


def warm_start(captioner: Captioner, old: Captioner) -> None:
    """Copies an older captioner's weights into a new one, whose vocabulary `grow` has made; the new
    words keep their initial embedding and output weights."""
    known, decoder = len(old.vocabulary), captioner.decoder
    parts: dict = {id(decoder.embedding.embeddings): np.s_[:known]}
    parts |= {id(weight): np.s_[..., :known] for weight in decoder.vocabulary.weights}
    values = [np.array(weight) for weight in captioner.weights]
    pairs = zip(captioner.weights, values, strict=True)
    known_parts = [value[parts.get(id(weight), np.s_[...])] for weight, value in pairs]
    expected, received = [part.shape for part in known_parts], [w.shape for w in old.weights]
    if expected != [tuple(shape) for shape in received]:
        raise ModelError(
            f"expected a model with {len(expected)} weights to begin with, of the shapes that the "
            f"options make. Received: one with {len(received)}, or of other shapes; ask for its "
            "encoder and sizes"
        )
    for part, learnt in zip(known_parts, old.weights, strict=True):
        part[...] = learnt
    captioner.set_weights(values)
