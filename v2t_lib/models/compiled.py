"""What a captioner does beside training, as Keras models, so that Keras compiles it."""

import hashlib
from collections.abc import Callable, Sequence

import keras
import numpy as np

from v2t_lib.models.devices import split

#: On JAX, XLA is the only compiler. In place of TensorFlow's it makes convolutions several times
#: slower on CPUs, and the decoder faster.
JIT_COMPILE = keras.backend.backend() == "jax"
#: XLA halves the time of TensorFlow's decoder, but takes seconds to compile it: it pays off from
#: this many clips, or training steps, on.
MANY_CLIPS, MANY_STEPS = 256, 64
#: Frames that an image network takes at a time.
FRAMES = 32


def jit_from(count: int, many: int) -> bool:
    """Whether XLA compiles a decoder that is used `count` times; on TensorFlow, from `many` on."""
    return JIT_COMPILE or (keras.backend.backend() == "tensorflow" and count >= many)


def filled_up(rows: Sequence | np.ndarray, size: int) -> list:
    """A last batch's rows, filled up to `size` with its last: others would be compiled anew."""
    return [*rows, *[rows[-1]] * (size - len(rows))]


class Compiled(keras.Model):
    """A function of a batch, compiled by Keras; one that `decodes` by XLA once it pays off.

    Args:
        function: From a tensor `(batch, ...)`, or a structure of such, to another.
        parts: The layers and random generators that it uses.
    """

    def __init__(
        self, function: Callable, *parts, decodes: bool = False, jit_compile: bool = JIT_COMPILE
    ):
        super().__init__(dtype="float32")  # whatever Keras is set to by the program around
        self.function, self.parts, self.decodes, self.clips = function, parts, decodes, 0
        self.built = True  # else Keras would, on JAX, build it by running it eagerly
        self.compile(jit_compile=jit_compile)

    def call(self, inputs):
        return self.function(inputs)

    def run(self, inputs):
        """The function's value for a batch of arrays, as NumPy arrays."""
        self.clips += len(keras.tree.flatten(inputs)[0])
        if self.decodes and not self.jit_compile and jit_from(self.clips, MANY_CLIPS):
            self.compile(jit_compile=True)
        return self.predict_on_batch(split(inputs))


def of_distinct_frames(compiled: Compiled, clips: np.ndarray, together: int = 1) -> np.ndarray:
    """A function of frames, of clips: uint8 `(batch, T, H, W, 3)` to `(batch, T, h', w', C)`.

    Frames that recur, as they do in short clips and where nothing moves, are computed once: those
    that are seen alone, or as many `together` as an encoder's network sees.
    """
    units = np.ascontiguousarray(clips).reshape(-1, together, *clips.shape[2:])
    keys = [hashlib.sha1(unit).hexdigest() for unit in units]
    _, first, number = np.unique(keys, return_index=True, return_inverse=True)
    size = max(1, FRAMES // together)
    starts = range(0, len(first), size)
    batches = (filled_up(units[first[start : start + size]], size) for start in starts)
    found = np.concatenate([compiled.run(np.concatenate(batch)) for batch in batches])
    found = found.reshape(-1, together, *found.shape[1:])
    return found[number].reshape(*clips.shape[:2], *found.shape[2:])
