"""The Keras models of self-critical training: one writes captions, one learns from them."""

import keras
from keras import ops

from v2t_lib.models.captioner import Captioner
from v2t_lib.models.compiled import JIT_COMPILE
from v2t_lib.models.generation import sample
from v2t_lib.shards.repeatable import sum_in_order
from v2t_lib.training.losses import sentence_loss


class CaptionSampler(keras.Model):
    """Clips to their memory `(batch, S, D)` and tokens of sampled captions `(batch, count, L)`.

    Args:
        captioner: The model.
        count: Samples a clip.
        seed: Of the samples; `seeds` is the state that each batch advances.
    """

    def __init__(self, captioner: Captioner, count: int, seed: int):
        super().__init__()
        self.captioner, self.count = captioner, count
        self.seeds = keras.random.SeedGenerator(seed)
        self.built = True
        self.compile(jit_compile=JIT_COMPILE)

    def call(self, clips):
        decoder, length = self.captioner.decoder, self.captioner.caption_spec.length
        memory = self.captioner.encoder(clips)
        state, batch = decoder.start(memory), ops.shape(memory)[0]
        return memory, sample(decoder.step, state, batch, length, self.seeds, self.count)


class Policy(keras.Model):
    """The decoder alone, on memories that stay fixed.

    Without dropout, as captions are sampled without it.
    """

    def __init__(self, captioner: Captioner, learning_rate: float, clip_norm: float):
        super().__init__(dtype=captioner.dtype_policy)
        self.decoder = captioner.decoder
        sum_in_order()
        self.compile(
            keras.optimizers.Adam(learning_rate, global_clipnorm=clip_norm),
            loss=sentence_loss,
            jit_compile=JIT_COMPILE,
        )

    def call(self, inputs):
        tokens, memory = inputs
        return self.decoder(tokens, memory, training=False)[0]
