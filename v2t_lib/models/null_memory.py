"""The null memory: what the decoder attends to where no clip is seen."""

from collections.abc import Mapping, MutableMapping

import numpy as np
from keras import layers, ops

#: Cells of a null memory.
CELLS = 4
_NAME = "null_memory"


class NullMemory(layers.Layer):
    """Learnt cells that stand in for a clip's memory, the same for every clip.

    With them the captioner's own decoder is a language model of its captions: how probable a word
    is before anybody sees the clip. They are the null condition of classifier-free guidance (arXiv
    2207.12598), learnt once the captioner is trained, by `training.null_memory`.

    Args:
        cells: How many.
        size: `D`, the size of each.

    Call arguments:
        tokens: `(batch, ...)`; only its batch size counts.

    Returns:
        float32 `(batch, cells, D)`.
    """

    def __init__(self, cells: int, size: int, **kwargs):
        super().__init__(**kwargs)
        self.values = self.add_weight(shape=(cells, size), initializer="zeros", dtype="float32")
        self.built = True

    def call(self, tokens):
        return ops.zeros((ops.shape(tokens)[0], 1, 1)) + self.values[None]

    def get_config(self):
        return {"cells": self.values.shape[0], "size": self.values.shape[1]}

    def save(self, store: MutableMapping) -> None:
        """Puts the cells into `store`."""
        store[_NAME] = ops.convert_to_numpy(self.values)

    def load(self, store: Mapping) -> None:
        """Takes the cells from `store`."""
        self.values.assign(np.asarray(store[_NAME]))
