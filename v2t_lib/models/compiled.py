"""What a captioner does beside training, each as a Keras model, so that Keras compiles it."""

import hashlib
from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import layers, ops

from v2t_lib.models.devices import split
from v2t_lib.models.generation import SearchResult, forced, log_probs_of
from v2t_lib.models.verifier import NullMemory

#: On JAX, XLA is the only compiler. In place of TensorFlow's it makes convolutions several times
#: slower on CPUs, and the decoder faster.
JIT_COMPILE = keras.backend.backend() == "jax"
#: From here on the decoder has made up for the seconds in which XLA compiles it.
MANY_CLIPS, MANY_STEPS = 256, 64


def jit_from(count: int, many: int) -> bool:
    """Whether XLA compiles a decoder that is used `count` times: from `many` on it pays."""
    return JIT_COMPILE or (keras.backend.backend() == "tensorflow" and count >= many)


#: Frames that an image network takes at a time.
FRAMES = 32


def filled_up(rows: Sequence | np.ndarray, size: int) -> list:
    """The rows of a last batch, filled up to `size` with its last: others would be compiled anew.

    Takes arrays too, whose rows it returns.
    """
    return [*rows, *[rows[-1]] * (size - len(rows))]


class Compiled(keras.Model):
    """A model that is built already and only predicts, compiled by XLA or by Keras's backend."""

    def __init__(self, jit_compile: bool = JIT_COMPILE):
        super().__init__()
        self.built = True  # else Keras would, on JAX, build it by running it eagerly
        self.compile(jit_compile=jit_compile)


class Decoding:
    """A model of the decoder alone, compiled by TensorFlow at first and by XLA if it is much used.

    XLA's takes half the time, but compiling takes it seconds. Elsewhere than on TensorFlow nothing
    changes.

    Args:
        make: `make(jit_compile)` returns the `Compiled` model.
    """

    def __init__(self, make: Callable[[bool], Compiled]):
        self._make, self._model, self._rows = make, make(JIT_COMPILE), 0

    def __call__(self, inputs, rows: int):
        """The model's outputs for a batch of `rows` clips."""
        self._rows += rows
        if jit_from(self._rows, MANY_CLIPS) and not self._model.jit_compile:
            self._model = self._make(True)
        return self._model.predict_on_batch(split(inputs))


class CompiledEncoder(Compiled):
    """uint8 clips, or their features, to their memory, float32 `(batch, S, D)`."""

    def __init__(self, captioner: keras.Model):
        super().__init__()
        self.captioner = captioner

    def call(self, inputs):
        return ops.cast(self.captioner.encoder(inputs), "float32")


class CompiledSearch(Compiled):
    """Captions with `width` beams: memories `(batch, S, D)` to a `SearchResult`."""

    def __init__(self, captioner: keras.Model, width: int, jit_compile: bool = JIT_COMPILE):
        super().__init__(jit_compile)
        self.captioner, self.width = captioner, width

    def call(self, memory) -> SearchResult:
        return self.captioner.generate_from(memory, self.width)


class CompiledTeacherForcing(Compiled):
    """Scores given sentences: memories and int32 `(batch, L + 1)` tokens to a `SearchResult`."""

    def __init__(self, captioner: keras.Model, jit_compile: bool = JIT_COMPILE):
        super().__init__(jit_compile)
        self.captioner = captioner

    def call(self, inputs) -> SearchResult:
        memory, tokens = inputs
        logits, weights = self.captioner.decoder(tokens[:, :-1], memory)
        return forced(logits, weights, tokens[:, 1:])


class CompiledVerification(Compiled):
    """Scores K given sentences a clip, with the clip and without.

    From memories and int32 tokens `(batch, K, L + 1)` to a `SearchResult` for K sentences a clip,
    and the log-probabilities `(batch, K, L)` without one.
    """

    def __init__(self, captioner: keras.Model, null_memory: NullMemory, jit_compile: bool):
        super().__init__(jit_compile)
        self.captioner, self.null_memory = captioner, null_memory

    def call(self, inputs):
        memory, tokens = inputs
        before, words, decoder = tokens[..., :-1], tokens[..., 1:], self.captioner.decoder
        blind, _ = decoder(before, self.null_memory(tokens))
        return forced(*decoder(before, memory), words), log_probs_of(blind, words)


class CompiledFeatures(Compiled):
    """`FrameEncoder.features`, or `cells_of`, as a model of its own, so that Keras compiles it."""

    def __init__(self, encoder: layers.Layer, projected: bool = True):
        super().__init__()
        self.encoder, self.projected = encoder, projected

    def call(self, frames):
        if not self.projected:
            return ops.cast(self.encoder.cells_of(frames), "float16")
        return ops.cast(self.encoder.features(frames), self.encoder.feature_dtype)

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
