"""Word lifts: how much more probable a clip makes each word of the vocabulary."""

from typing import TYPE_CHECKING

import numpy as np
from keras import ops

from v2t_lib.models.compiled import Compiled
from v2t_lib.models.generation import sample
from v2t_lib.text.vocabulary import PAD, SPECIALS, START

if TYPE_CHECKING:
    from v2t_lib.models.captioner import Captioner

#: Captions whose words every clip is compared by.
CONTEXTS = 8
#: Expected occurrences a caption that are added to each, so that ratios of tiny ones say nothing.
LEAST = 1e-4


class WordLifts:
    """The lift of every word of the vocabulary for a clip, whatever sentence it may stand in.

    At each position of a few captions, samples of those that the model writes without a clip, every
    word has a probability. Their sums are the words' expected occurrences. A word's lift is the
    logarithm of their ratio with the clip and without: its pointwise mutual information with it.

    Args:
        captioner: A model with its null memory.

    Call arguments:
        memory: `(batch, S, D)`, what `Captioner.encode` made of clips.

    Returns:
        float32 `(batch, vocabulary_size)`, in nats; 0 for the special tokens.

    Raises:
        ModelError: The model has no null memory.
    """

    def __init__(self, captioner: "Captioner"):
        self._null_memory = captioner.require_null_memory()  # kept, as its id names this in a dict
        null = ops.convert_to_tensor(self._null_memory.values)[None]
        captions = _blind_captions(captioner, null)  # (K,L)
        before = np.pad(captions[:, :-1], ((0, 0), (1, 0)), constant_values=START)
        real = (captions != PAD).astype(np.float32)[..., None]

        def occurrences(memory):
            tokens = ops.repeat(before[None], ops.shape(memory)[0], axis=0)  # (B,K,L)
            logits, _ = captioner.decoder(tokens, memory)
            probabilities = ops.softmax(ops.cast(logits, "float32")) * ops.convert_to_tensor(real)
            return ops.sum(probabilities, axis=(1, 2)) / CONTEXTS  # (B,V)

        self._blind = ops.convert_to_numpy(occurrences(null))
        self._occurrences = Compiled(occurrences, captioner, decodes=True)

    def __call__(self, memory) -> np.ndarray:
        lifts = np.log((self._occurrences.run(memory) + LEAST) / (self._blind + LEAST))
        lifts[:, : len(SPECIALS)] = 0
        return lifts


def _blind_captions(captioner: "Captioner", null_memory) -> np.ndarray:
    """int32 `(CONTEXTS, length)`: captions without a clip, always the same ones, on all backends.

    An index that was begun on one backend of Keras and continues on another needs the same.
    """
    length, decoder = captioner.caption_spec.length, captioner.decoder
    points = np.random.default_rng(0).random((length, 1, CONTEXTS), np.float32)
    tokens = sample(decoder.step, decoder.start(null_memory), length, points)
    return ops.convert_to_numpy(tokens)[0]
