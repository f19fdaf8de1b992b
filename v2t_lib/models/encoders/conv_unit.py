"""The unit that convolutional encoders are stacked from."""

import math

import keras
from keras import layers, ops

from v2t_lib.models.encoders.strided_conv import convolve


@keras.saving.register_keras_serializable("v2t_lib")
class ConvUnit(layers.Layer):
    """3D convolution, batch normalisation, ReLU; optionally residual (arXiv 1512.03385).

    Kernels are 3 wide in space, and 3 long in time unless time has a stride.

    Args:
        filters: Channels out.
        strides: `(time, height, width)`.
        factorised: A convolution in space, then one in time, instead of one in both
            (arXiv 1711.11248).
        residual: Add the input to the output, before the last ReLU.
        normalised: Whether batch normalisation follows each convolution; else it has a bias.
        pad_before: Where SAME padding of height and width is uneven, pad the first side instead
            of the last.

    Call arguments:
        x: `(batch, T, H, W, channels)`.

    Returns:
        `(batch, T', H', W', filters)`, each size divided by its stride and rounded up.

    Raises:
        ValueError: A residual unit that changes its input's shape.
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
        time, height, width = self.strides
        # A strided temporal kernel is as long as its stride, so windows don't overlap.
        length = time if time > 1 else 3
        if factorised:
            self.convs = [
                self._conv((1, 3, 3), (1, height, width)),
                self._conv((length, 1, 1), (time, 1, 1)),
            ]
        else:
            self.convs = [self._conv((length, 3, 3), self.strides)]
        self.norms = [self._norm() for _ in self.convs]

    def _conv(self, kernel, strides):
        return layers.Conv3D(
            self.filters,
            kernel,
            strides=strides,
            padding="same",
            use_bias=not self.normalised,
            kernel_initializer="he_normal",
            dtype=self.dtype_policy,
        )

    def _norm(self):
        if self.normalised:
            return layers.BatchNormalization(momentum=0.9, dtype=self.dtype_policy)
        return layers.Identity(dtype=self.dtype_policy)

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
        """Multiplications and additions of the convolutions, forward, for one clip."""
        flop, shape = 0, input_shape
        for conv in self.convs:
            shape = conv.compute_output_shape(shape)
            flop += 2 * math.prod(conv.kernel.shape) * math.prod(shape[1:4])
        return flop

    def _convolve(self, conv, x):
        if not self.pad_before or conv.strides[1:] == (1, 1):
            return convolve(conv, x)
        return _rotated(convolve(conv, _rotated(x)))

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


def _rotated(x):
    """Frames turned by half a turn; one axis at a time, all that Keras 3.13's flip takes."""
    return ops.flip(ops.flip(x, 2), 3)
