"""Word lifts: how much more probable a clip makes each word of the vocabulary."""

import keras
import numpy as np
from keras import ops

from v2t_lib.models.captioner import Captioner
from v2t_lib.models.compiled import JIT_COMPILE
from v2t_lib.models.distribution import split
from v2t_lib.models.generation import greedy
from v2t_lib.text.vocabulary import PAD, SPECIALS, START

#: Steps a nat of lifts kept in 8 bits, which reach to almost 8 nats.
STEPS = 16
#: Probabilities below this count as this, so that the ratio of two tiny ones says nothing.
LEAST = 1e-5


class CompiledWordLifts(keras.Model):
    """A clip's lift of every word: the first stage of search compares sentences with these.

    The captioner writes its caption. At each position, every word of the vocabulary has a
    probability given the clip, and one from the blind twin, which sees the words before but no
    clip. A word's lift is the log-ratio of the two, each summed over the positions: of the expected
    numbers of its occurrences in captions like this one.

    Args:
        captioner: A model with its blind twin.

    Call arguments:
        clips: uint8 `(batch, T, H, W, 3)`, or what `Captioner.features` made of them.

    Returns:
        float32 `(batch, vocabulary_size)`, in nats.
    """

    def __init__(self, captioner: Captioner):
        super().__init__()
        self.captioner, self.twin = captioner, captioner.require_twin()
        self.built = True
        self.compile(jit_compile=JIT_COMPILE)

    def call(self, clips):
        decoder = self.captioner.decoder
        memory, batch = self.captioner.encoder(clips), ops.shape(clips)[0]
        length = self.captioner.caption_spec.length
        written = greedy(decoder.step, decoder.start(memory), batch, length).tokens  # (B,L)
        first = ops.full((batch, 1), START, dtype="int32")
        before = ops.concatenate([first, written[:, :-1]], axis=1)
        logits, _ = decoder(before, memory)
        real = ops.cast(ops.not_equal(written, PAD), "float32")[..., None]
        blind = self.twin.logits(before[:, None])[:, 0]
        return _log_occurrences(logits, real) - _log_occurrences(blind, real)

    def of_clips(self, clips) -> np.ndarray:
        """int8 `(batch, vocabulary_size)`, `STEPS` a nat; 0 for the special tokens."""
        lifts = np.asarray(self.predict_on_batch(split(clips)))
        lifts[:, : len(SPECIALS)] = 0
        return np.clip(np.round(STEPS * lifts), -127, 127).astype(np.int8)


def _log_occurrences(logits, real):
    """`(batch, V)`: the log of each word's probability, summed over the caption's positions."""
    probabilities = ops.softmax(ops.cast(logits, "float32"))
    return ops.log(ops.sum(probabilities * real, axis=1) + LEAST)
