"""The blind twin that travels with a captioner: how probable is a word before a clip is seen?"""

from collections.abc import Mapping, MutableMapping

import keras
import numpy as np
from keras import ops

from v2t_lib.models.decoder import AttentionDecoder


class BlindTwin:
    """A decoder trained without clips: a language model of the training captions.

    It is no part of the captioner's network: neither training nor `get_weights` sees it. Its
    weights have half precision, which is enough for log-probabilities of words and halves what
    they add to the model's file.

    Args:
        vocabulary_size: Number of tokens; the captioner's.
        decoder: Keyword arguments of `AttentionDecoder`, except `vocabulary_size`.
        memory_size: Size of the one cell of zeros that it attends to.
    """

    def __init__(self, vocabulary_size: int, decoder: dict, memory_size: int):
        self.options, self.memory_size = dict(decoder), memory_size
        self.decoder = AttentionDecoder(vocabulary_size, **self.options, dtype="float32")
        self.decoder.build((None, None), (None, 1, memory_size))

    @classmethod
    def of(cls, blind: keras.Model) -> "BlindTwin":
        """The twin made of a trained captioner whose encoder is blind, `blind.keras` say."""
        twin = cls(len(blind.vocabulary), blind.decoder_options, blind.encoder.memory_size)
        twin._set(map(ops.convert_to_numpy, blind.decoder.weights))
        return twin

    def logits(self, tokens):
        """Logits `(batch, K, L, vocabulary_size)` for int32 tokens `(batch, K, L)`."""
        nothing = ops.zeros((ops.shape(tokens)[0], 1, self.memory_size))
        return self.decoder(tokens, nothing)[0]

    def get_config(self) -> dict:
        """The arguments, without the vocabulary's size."""
        return {"decoder": self.options, "memory_size": self.memory_size}

    @property
    def bytes(self) -> int:
        """What it takes in the model's file."""
        return 2 * self.decoder.count_params()

    def save(self, store: MutableMapping) -> None:
        """Puts the weights into `store`."""
        for number, weight in enumerate(self.decoder.weights):
            store[f"twin_{number}"] = ops.convert_to_numpy(weight).astype(np.float16)

    def load(self, store: Mapping) -> None:
        """Takes the weights from `store`."""
        self._set(np.asarray(store[f"twin_{n}"]) for n in range(len(self.decoder.weights)))

    def _set(self, values) -> None:
        rounded = [np.asarray(value).astype(np.float16).astype(np.float32) for value in values]
        self.decoder.set_weights(rounded)
