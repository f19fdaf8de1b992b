"""What a captioner does beside training, each as a Keras model, so that Keras compiles it."""

import hashlib
from collections.abc import Sequence

import keras
import numpy as np
from keras import layers

from v2t_lib.models.distribution import split
from v2t_lib.models.familiarity import pooled
from v2t_lib.models.generation import SearchResult, forced, log_probs_of
from v2t_lib.models.null_memory import NullMemory

#: XLA makes Conv3D several times slower on CPUs; on JAX it is the only compiler.
JIT_COMPILE = keras.backend.backend() == "jax"
#: Frames that an image network takes at a time.
FRAMES = 32


def filled_up(rows: Sequence, size: int) -> list:
    """The rows of a last batch, filled up to `size` with its last: others would be compiled anew.

    Takes arrays too, whose rows it returns.
    """
    return [*rows, *[rows[-1]] * (size - len(rows))]


class CompiledSearch(keras.Model):
    """`Captioner.generate` with a beam of `width`: uint8 clips to a `SearchResult`."""

    def __init__(self, captioner: keras.Model, width: int):
        super().__init__()
        self.captioner, self.width = captioner, width
        self.built = True  # else Keras would, on JAX, build it by running the search eagerly
        self.compile(jit_compile=JIT_COMPILE)

    def call(self, clips) -> SearchResult:
        return self.captioner.generate(clips, self.width)


class CompiledTeacherForcing(keras.Model):
    """Scores given sentences: uint8 clips and int32 `(batch, L + 1)` tokens to a `SearchResult`."""

    def __init__(self, captioner: keras.Model):
        super().__init__()
        self.captioner = captioner
        self.built = True
        self.compile(jit_compile=JIT_COMPILE)

    def call(self, inputs) -> SearchResult:
        clips, tokens = inputs
        logits, weights = self.captioner.decoder(tokens[:, :-1], self.captioner.encoder(clips))
        return forced(logits, weights, tokens[:, 1:])


class CompiledVerification(keras.Model):
    """Scores K given sentences a clip, with the clip and without.

    From uint8 clips and int32 tokens `(batch, K, L + 1)` to a `SearchResult` for K sentences a
    clip, the log-probabilities `(batch, K, L)` without one, and the clips' `pooled` memories.
    """

    def __init__(self, captioner: keras.Model, null_memory: NullMemory):
        super().__init__()
        self.captioner, self.null_memory = captioner, null_memory
        self.built = True
        self.compile(jit_compile=JIT_COMPILE)

    def call(self, inputs):
        clips, tokens = inputs
        before, words = tokens[..., :-1], tokens[..., 1:]
        memory, decoder = self.captioner.encoder(clips), self.captioner.decoder
        blind, _ = decoder(before, self.null_memory(tokens))
        found = forced(*decoder(before, memory), words)
        return found, log_probs_of(blind, words), pooled(memory)


class CompiledPooling(keras.Model):
    """uint8 clips, or their features, to their `pooled` memories."""

    def __init__(self, captioner: keras.Model):
        super().__init__()
        self.captioner = captioner
        self.built = True
        self.compile(jit_compile=JIT_COMPILE)

    def call(self, clips):
        return pooled(self.captioner.encoder(clips))


class CompiledFeatures(keras.Model):
    """`FrameEncoder.features`, or `cells_of`, as a model of its own, so that Keras compiles it."""

    def __init__(self, encoder: layers.Layer, projected: bool = True):
        super().__init__()
        self.encoder, self.projected = encoder, projected
        self.built = True
        self.compile(jit_compile=JIT_COMPILE)

    def call(self, frames):
        if not self.projected:
            return keras.ops.cast(self.encoder.cells_of(frames), "float16")
        return keras.ops.cast(self.encoder.features(frames), self.encoder.feature_dtype)

    def of_clips(self, clips: np.ndarray) -> np.ndarray:
        """uint8 `(batch, T, H, W, 3)` to `(batch, T, h', w', C)`.

        Frames that recur, as they do in short clips and where nothing moves, are computed once.
        """
        frames = clips.reshape(-1, *clips.shape[2:])
        keys = [hashlib.sha1(frame).hexdigest() for frame in frames]
        _, first, place = np.unique(keys, return_index=True, return_inverse=True)
        distinct = frames[first]
        starts = range(0, len(distinct), FRAMES)
        batches = (filled_up(distinct[start : start + FRAMES], FRAMES) for start in starts)
        found = np.concatenate([self.predict_on_batch(split(np.stack(b))) for b in batches])
        return found[place].reshape(*clips.shape[:2], *found.shape[1:])
