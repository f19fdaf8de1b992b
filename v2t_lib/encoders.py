"""Encoders: clips to a memory that the decoder attends over.

An encoder is a Keras layer from `(batch, T, H, W, 3)` uint8 to `(batch, S, D)` floats, where
`S = T' * h' * w'` cells lie in row-major order of the grid that `grid(clip_spec)` names. A new one
is one class here and one line in `ENCODERS`.
"""

import math

import keras
from keras import layers, ops

from v2t_lib.specs import ClipSpec


@keras.saving.register_keras_serializable("v2t_lib")
class ConvUnit(layers.Layer):
    """Convolution in space and time, batch normalisation, ReLU; a residual where shapes allow.

    Args:
        filters: Channels out.
        strides: `(time, height, width)`.
        factorised: Convolve in space, then in time, instead of in both at once.
        residual: Add the input to the output, before the ReLU.

    Call arguments:
        x: `(batch, T, H, W, channels)`.
    """

    def __init__(self, filters, strides=(1, 1, 1), factorised=False, residual=False, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.strides = filters, tuple(strides)
        self.factorised, self.residual = factorised, residual

        def conv(kernel, stride):
            return layers.Conv3D(
                filters,
                kernel,
                strides=stride,
                padding="same",
                use_bias=False,
                kernel_initializer="he_normal",
                dtype=self.dtype_policy,
            )

        def norm():
            return layers.BatchNormalization(momentum=0.9, dtype=self.dtype_policy)

        time, height, width = self.strides
        if factorised:
            self.convs = [conv((1, 3, 3), (1, height, width)), conv((3, 1, 1), (time, 1, 1))]
        else:
            self.convs = [conv((3, 3, 3), self.strides)]
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

    def call(self, x, training=False):
        y = x
        for conv, norm in zip(self.convs, self.norms, strict=True):
            if conv is not self.convs[0]:
                y = ops.relu(y)
            y = norm(conv(y), training=training)
        return ops.relu(x + y if self.residual else y)

    def get_config(self):
        return super().get_config() | {
            "filters": self.filters,
            "strides": self.strides,
            "factorised": self.factorised,
            "residual": self.residual,
        }


@keras.saving.register_keras_serializable("v2t_lib")
class Conv3DEncoder(layers.Layer):
    """A stack of 3x3x3 convolutions (C3D, arXiv 1412.0767) with residual units (arXiv 1512.03385).

    Every stage is a strided unit; stages from `residual_from` on add a residual unit. The memory
    is the last stage's cells plus position embeddings, one table each for time, height and width.

    Args:
        widths: Channels of each stage; the last is the memory's `D`.
        strides: `(time, height, width)` of each stage.
        residual_from: The first stage, counted from 0, that has a residual unit.

    Call arguments:
        clips: `(batch, T, H, W, 3)`, uint8 values 0 to 255.
        training: Whether batch normalisation uses the batch's own moments.

    Returns:
        `(batch, S, D)` in the compute dtype.
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
        self.units = []
        for stage, (width, stride) in enumerate(zip(self.widths, self.strides, strict=True)):
            self.units.append(self._unit(width, stride))
            if stage >= residual_from:
                self.units.append(self._unit(width, residual=True))
        self.norm = layers.LayerNormalization(dtype=self.dtype_policy)

    def _unit(self, width, strides=(1, 1, 1), residual=False):
        return ConvUnit(
            width, strides, factorised=self.factorised, residual=residual, dtype=self.dtype_policy
        )

    @property
    def memory_size(self) -> int:
        """`D`, the size of a memory cell."""
        return self.widths[-1]

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
        x = ops.cast(clips, self.compute_dtype) / 127.5 - 1.0  # (B,T,H,W,3)
        for unit in self.units:
            x = unit(x, training=training)
        x = self.norm(x)  # (B,T',h',w',D)
        for table in self.positions:
            x = x + ops.cast(table, x.dtype)
        cells = math.prod(x.shape[1:4])
        return ops.reshape(x, (-1, cells, x.shape[-1]))  # (B,S,D)

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
class BlindEncoder(layers.Layer):
    """Sees nothing: one cell of zeros, whatever the clip.

    A captioner on top of it is a language model. Its loss, the *blind* loss, is what a captioner
    has to beat before its sentences can be said to come from the clip.

    Args:
        memory_size: `D`.

    Call arguments:
        clips: `(batch, T, H, W, 3)`.

    Returns:
        Zeros `(batch, 1, D)`.
    """

    def __init__(self, memory_size=96, **kwargs):
        super().__init__(**kwargs)
        self.memory_size = memory_size

    def grid(self, spec: ClipSpec) -> tuple[int, int, int]:
        """One cell: `(1, 1, 1)`."""
        return (1, 1, 1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 1, self.memory_size)

    def call(self, clips, training=False):
        return ops.zeros((ops.shape(clips)[0], 1, self.memory_size), self.compute_dtype)

    def get_config(self):
        return super().get_config() | {"memory_size": self.memory_size}


def _halvings(size: int, strides: list[int]) -> int:
    for stride in strides:
        size = -(-size // stride)
    return size


#: What `v2t train --encoder NAME` takes.
ENCODERS = {
    "conv3d": Conv3DEncoder,
    "r2plus1d": R2Plus1DEncoder,
    "blind": BlindEncoder,
}


def get(name: str, **config) -> layers.Layer:
    """The encoder called `name`, made with `config`."""
    if name not in ENCODERS:
        raise ValueError(f"expected an encoder among {', '.join(ENCODERS)}. Received: {name!r}")
    return ENCODERS[name](**config)
