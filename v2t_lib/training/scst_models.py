"""The Keras models of self-critical training: one writes captions, one learns from them."""

import keras
from keras import ops

from v2t_lib.models.captioner import Captioner
from v2t_lib.models.compiled import JIT_COMPILE, Compiled
from v2t_lib.models.generation import sample
from v2t_lib.shards.repeatable import sum_in_order
from v2t_lib.training.losses import sentence_loss


class CaptionSampler(Compiled):
    """Memories `(batch, S, D)` to tokens of sampled captions `(batch, count, L)`.

    Args:
        captioner: The model.
        count: Samples a clip.
        temperature: As in `sample`.
        seed: Of the samples; `seeds` is the state that each batch advances.
    """

    def __init__(
        self, captioner: Captioner, count: int, temperature: float, seed: int, jit_compile: bool
    ):
        decoder, length = captioner.decoder, captioner.caption_spec.length
        seeds = keras.random.SeedGenerator(seed)

        def function(memory):
            state, batch = decoder.start(memory), ops.shape(memory)[0]
            return sample(decoder.step, state, batch, length, seeds, count, temperature)

        super().__init__(function, captioner, jit_compile=jit_compile)
        self.seeds = seeds


class Policy(keras.Model):
    """The decoder alone, on memories that stay fixed.

    Without dropout and with the same temperature, as captions are sampled so.
    """

    def __init__(
        self,
        captioner: Captioner,
        learning_rate: float,
        clip_norm: float,
        temperature: float = 1.0,
        jit_compile: bool = JIT_COMPILE,
    ):
        super().__init__(dtype=captioner.dtype_policy)
        self.decoder, self.temperature = captioner.decoder, temperature
        sum_in_order()
        self.compile(
            keras.optimizers.Adam(learning_rate, global_clipnorm=clip_norm),
            loss=sentence_loss,
            jit_compile=jit_compile,
        )

    def call(self, inputs):
        tokens, memory = inputs
        return self.decoder(tokens, memory, training=False)[0] / self.temperature
