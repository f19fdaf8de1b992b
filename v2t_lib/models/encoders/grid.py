"""What encoders that see share: a grid of cells, normalised, with position embeddings."""

import math
from collections.abc import Sequence

import keras
from keras import layers, ops

from v2t_lib.specs import ClipSpec


class GridEncoder(layers.Layer):
    """Base of the encoders that see: units in turn, layer normalisation, position embeddings.

    A subclass sets `units`, its layers from frames to cells; `strides`, a `(time, height, width)`
    for each unit that has one; and `memory_size`, `D`.

    Clips `(batch, T, H, W, 3)`, uint8, become `(batch, S, D)` in the compute dtype: `S = T' h' w'`
    cells in row-major order of `grid(clip_spec)`, each with the sum of three position embeddings,
    one each for its time, row and column.
    """

    #: How far down and right the centres of what cells see lie from the cells' own, in cells. 0
    #: where no padding shifts them, or where the shifts of several layers cancel.
    shift = 0.0
    strides: Sequence[tuple[int, int, int]] = ()
    units: list[layers.Layer]
    memory_size: int

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = layers.LayerNormalization(dtype=self.dtype_policy)

    def grid(self, spec: ClipSpec) -> tuple[int, int, int]:
        """`(T', h', w')`: the cells that a clip of `spec` becomes."""
        frames, height, width = spec.frames, spec.height, spec.width
        for time, down, right in self.strides:
            frames, height, width = -(-frames // time), -(-height // down), -(-width // right)
        return frames, height, width

    def build(self, input_shape):
        shape = tuple(input_shape)
        for unit in self.units:
            unit.build(shape)
            shape = unit.compute_output_shape(shape)
        self.norm.build(shape)
        self.positions = [
            self.add_weight(
                shape=tuple(n if a == axis else 1 for a in (1, 2, 3)) + (shape[-1],),
                initializer=keras.initializers.RandomNormal(stddev=0.1),
                name=f"position_{name}",
            )
            for axis, n, name in zip((1, 2, 3), shape[1:4], ("time", "y", "x"), strict=True)
        ]

    def compute_output_shape(self, input_shape):
        for unit in self.units:
            input_shape = unit.compute_output_shape(input_shape)
        return (input_shape[0], math.prod(input_shape[1:4]), input_shape[-1])

    def call(self, clips, training=False):
        return self._memory(ops.cast(clips, self.compute_dtype) / 127.5 - 1.0, training)

    def _memory(self, x, training):
        """`(batch, T, H, W, channels)` through the units to `(batch, S, D)`."""
        for unit in self.units:
            x = unit(x, training=training)
        x = self.norm(x)  # (B,T',h',w',D)
        for table in self.positions:
            x = x + ops.cast(table, x.dtype)
        cells = math.prod(x.shape[1:4])
        return ops.reshape(x, (-1, cells, x.shape[-1]))  # (B,S,D)
