"""The Keras models of self-critical training: one writes captions, one learns from them."""

import keras
from keras import ops

from v2t_lib.models.captioner import Captioner
from v2t_lib.models.compiled import JIT_COMPILE
from v2t_lib.models.generation import greedy, sample
from v2t_lib.shards.repeatable import sum_in_order
from v2t_lib.training.losses import sentence_loss


class CaptionSampler(keras.Model):
    """Clips to their memory, the greedy caption's tokens, and those of a sampled caption.

    Args:
        captioner: The model.
        seed: Of the samples; `seeds` is the state that each batch advances.
    """

    def __init__(self, captioner: Captioner, seed: int):
        super().__init__()
        self.captioner = captioner
        self.seeds = keras.random.SeedGenerator(seed)
        self.built = True
        self.compile(jit_compile=JIT_COMPILE)

    def call(self, clips):
        decoder, length = self.captioner.decoder, self.captioner.caption_spec.length
        memory = self.captioner.encoder(clips)
        state, batch = decoder.start(memory), ops.shape(memory)[0]
        baseline = greedy(decoder.step, state, batch, length).tokens
        return memory, baseline, sample(decoder.step, state, batch, length, self.seeds).tokens


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
