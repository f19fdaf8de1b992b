"""Encoders that convolve in space and time: clips to a memory that the decoder attends over.

An encoder is a Keras layer from `(batch, T, H, W, 3)` uint8 to `(batch, S, D)` floats, where
`S = T' * h' * w'` cells lie in row-major order of the grid that `grid(clip_spec)` names.
"""

import math

import keras
from keras import layers, ops

from v2t_lib.specs import ClipSpec


@keras.saving.register_keras_serializable("v2t_lib")
class ConvUnit(layers.Layer):
    """Convolution in space and time, batch normalisation, ReLU; a residual where shapes allow.

    3 wide in space; in time 3, or, with a stride, as many moments as a step is made of.

    Args:
        filters: Channels out.
        strides: `(time, height, width)`.
        factorised: Convolve in space, then in time, instead of in both at once.
        residual: Add the input to the output, before the ReLU.
        normalised: Whether batch normalisation follows each convolution; else they have a bias.
        pad_before: Whether padding of height and width that can't be halved is longer before the
            first cell; else it is after the last.

    Call arguments:
        x: `(batch, T, H, W, channels)`.
    """

    def __init__(
        self,
        filters,
        strides=(1, 1, 1),
        factorised=False,
        residual=False,
        normalised=True,
        pad_before=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters, self.strides = filters, tuple(strides)
        self.factorised, self.residual = factorised, residual
        self.normalised, self.pad_before = normalised, pad_before

        def conv(kernel, stride):
            return layers.Conv3D(
                filters,
                kernel,
                strides=stride,
                padding="same",
                use_bias=not normalised,
                kernel_initializer="he_normal",
                dtype=self.dtype_policy,
            )

        def norm():
            if normalised:
                return layers.BatchNormalization(momentum=0.9, dtype=self.dtype_policy)
            return layers.Identity(dtype=self.dtype_policy)

        time, height, width = self.strides
        # A step made of two moments sees these two: a third would be the next step's own.
        moments = time if time > 1 else 3
        if factorised:
            self.convs = [conv((1, 3, 3), (1, height, width)), conv((moments, 1, 1), (time, 1, 1))]
        else:
            self.convs = [conv((moments, 3, 3), self.strides)]
        self.norms = [norm() for _ in self.convs]

    def build(self, input_shape):
        shape = input_shape
        for conv, norm in zip(self.convs, self.norms, strict=True):
            conv.build(shape)
            shape = conv.compute_output_shape(shape)
            norm.build(shape)
        if self.residual and tuple(shape) != tuple(input_shape):
            raise ValueError(
                "expected a residual unit to keep its input's shape. "
                f"Received: {tuple(input_shape)} in, {tuple(shape)} out"
            )

    def compute_output_shape(self, input_shape):
        for conv in self.convs:
            input_shape = conv.compute_output_shape(input_shape)
        return input_shape

    def flop(self, input_shape) -> int:
        """The convolutions' multiplications and additions, forward, a clip."""
        flop, shape = 0, input_shape
        for conv in self.convs:
            shape = conv.compute_output_shape(shape)
            flop += 2 * math.prod(conv.kernel.shape) * math.prod(shape[1:4])
        return flop

    def _convolve(self, conv, x):
        if not self.pad_before or conv.strides[1:] == (1, 1):
            return conv(x)
        return _turned(conv(_turned(x)))

    def call(self, x, training=False):
        y = x
        for conv, norm in zip(self.convs, self.norms, strict=True):
            if conv is not self.convs[0]:
                y = ops.relu(y)
            y = norm(self._convolve(conv, y), training=training)
        return ops.relu(x + y if self.residual else y)

    def get_config(self):
        return super().get_config() | {
            "filters": self.filters,
            "strides": self.strides,
            "factorised": self.factorised,
            "residual": self.residual,
            "normalised": self.normalised,
            "pad_before": self.pad_before,
        }


class GridEncoder(layers.Layer):
    """What every encoder that sees shares: units in turn, then a norm and position embeddings.

    A subclass sets `units`, its layers from pictures to cells; `strides`, a `(time, height, width)`
    for each that has one; and `memory_size`, `D`.

    Call arguments:
        clips: `(batch, T, H, W, 3)`, uint8 values 0 to 255.
        training: Whether batch normalisation uses the batch's own moments.

    Returns:
        `(batch, S, D)` in the compute dtype: cells plus position embeddings, one table each for
        time, height and width.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = layers.LayerNormalization(dtype=self.dtype_policy)

    def grid(self, spec: ClipSpec) -> tuple[int, int, int]:
        """`(T', h', w')`: the cells a clip of `spec` turns into."""
        return tuple(
            _halvings(size, [stride[axis] for stride in self.strides])
            for axis, size in enumerate((spec.frames, spec.height, spec.width))
        )

    def build(self, input_shape):
        shape = tuple(input_shape)
        for unit in self.units:
            unit.build(shape)
            shape = unit.compute_output_shape(shape)
        self._build_head(shape)

    def _build_head(self, shape):
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
            x = unit(x, training=training) if isinstance(unit, ConvUnit) else unit(x)
        x = self.norm(x)  # (B,T',h',w',D)
        for table in self.positions:
            x = x + ops.cast(table, x.dtype)
        cells = math.prod(x.shape[1:4])
        return ops.reshape(x, (-1, cells, x.shape[-1]))  # (B,S,D)


@keras.saving.register_keras_serializable("v2t_lib")
class Conv3DEncoder(GridEncoder):
    """A stack of strided 3x3x3 convolutions with residual units (arXiv 1512.03385).

    Every stage is a strided unit, normalised but for the first; stages from `residual_from` on add
    a residual unit. Call arguments and what is returned are `GridEncoder`'s.

    Strides of 2 in space shift: 3 wide over an even size, with the padding after the last, each
    moves what a cell sees by half a step of its input, which adds up to half a cell. The last one
    has its padding before the first instead, and takes the sum back: half a pixel is left, and heat
    lies on what was seen.

    Args:
        widths: Channels of each stage; the last is the memory's `D`.
        strides: `(time, height, width)` of each stage.
        residual_from: The first stage, counted from 0, that has a residual unit.
    """

    factorised = False

    def __init__(
        self,
        widths=(32, 64, 128, 256),
        strides=((1, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2)),
        residual_from=2,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if len(widths) != len(strides):
            raise ValueError(
                "expected as many strides as widths. "
                f"Received: {len(widths)} widths, {len(strides)} strides"
            )
        self.widths = tuple(widths)
        self.strides = tuple(tuple(s) for s in strides)
        self.residual_from = residual_from
        self.units, last = [], self._last_stride()
        for stage, (width, stride) in enumerate(zip(self.widths, self.strides, strict=True)):
            # A first stage has the most cells by far: normalised, it takes a third of training.
            options = {"normalised": stage > 0, "pad_before": stage == last}
            self.units.append(self._unit(width, stride, **options))
            if stage >= residual_from:
                self.units.append(self._unit(width, residual=True))

    def _unit(self, width, strides=(1, 1, 1), **options):
        return ConvUnit(
            width, strides, factorised=self.factorised, dtype=self.dtype_policy, **options
        )

    def _last_stride(self):
        """The last stage with a stride in space."""
        return max((n for n, stride in enumerate(self.strides) if stride[1:] != (1, 1)), default=-1)

    @property
    def memory_size(self) -> int:
        """`D`, the size of a memory cell."""
        return self.widths[-1]

    def get_config(self):
        return super().get_config() | {
            "widths": self.widths,
            "strides": self.strides,
            "residual_from": self.residual_from,
        }


@keras.saving.register_keras_serializable("v2t_lib")
class R2Plus1DEncoder(Conv3DEncoder):
    """`Conv3DEncoder` with each convolution split into space, then time (arXiv 1711.11248)."""

    factorised = True


@keras.saving.register_keras_serializable("v2t_lib")
class C3DEncoder(GridEncoder):
    """C3D's plan (arXiv 1412.0767): plain 3x3x3 convolutions, max pooling between stages.

    Each convolution has batch normalisation, which C3D lacks, and the last pooling is left out, so
    that there are cells to look at. Call arguments and what is returned are `GridEncoder`'s.

    Args:
        widths: Channels of each stage; the last is the memory's `D`.
        depths: Convolutions of each stage.
        strides: `(time, height, width)` of the pooling after each stage but the last.
    """

    def __init__(
        self,
        widths=(64, 128, 256, 512, 512),
        depths=(1, 1, 2, 2, 2),
        strides=((1, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2)),
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not len(widths) == len(depths) == len(strides) + 1:
            raise ValueError(
                "expected as many depths as widths, and one stride less. Received: "
                f"{len(widths)} widths, {len(depths)} depths, {len(strides)} strides"
            )
        self.widths, self.depths = tuple(widths), tuple(depths)
        self.strides = tuple(tuple(s) for s in strides)
        self.units = []
        for stage, (width, depth) in enumerate(zip(self.widths, self.depths, strict=True)):
            self.units += [ConvUnit(width, dtype=self.dtype_policy) for _ in range(depth)]
            if stage < len(self.strides):
                pool = self.strides[stage]
                self.units.append(
                    layers.MaxPooling3D(pool, padding="same", dtype=self.dtype_policy)
                )

    @property
    def memory_size(self) -> int:
        """`D`, the size of a memory cell."""
        return self.widths[-1]

    def get_config(self):
        return super().get_config() | {
            "widths": self.widths,
            "depths": self.depths,
            "strides": self.strides,
        }


def _turned(x):
    """Upside down and left to right; one axis at a time, as Keras 3.13's flip takes no more."""
    return ops.flip(ops.flip(x, 2), 3)


def _halvings(size: int, strides: list[int]) -> int:
    for stride in strides:
        size = -(-size // stride)
    return size
