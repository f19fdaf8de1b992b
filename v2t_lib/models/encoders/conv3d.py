"""Encoders of 3D convolutions, trained from random weights: the default one and R(2+1)D."""

import keras
from keras import layers, ops

from v2t_lib.models.encoders.grid import GridEncoder
from v2t_lib.models.encoders.registry import register_encoder


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

    Makes `(batch, T, H, W, channels)` to `(batch, T', H', W', filters)`, each size divided by its
    stride and rounded up.
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
            data_format="channels_last",
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

    def compute_output_shape(self, input_shape):
        for conv in self.convs:
            input_shape = conv.compute_output_shape(input_shape)
        return input_shape

    def call(self, x, training=False):
        y = x
        for conv, norm in zip(self.convs, self.norms, strict=True):
            if conv is not self.convs[0]:
                y = ops.relu(y)
            turned = self.pad_before and conv.strides[1:] != (1, 1)
            y = _rotated(conv(_rotated(y))) if turned else conv(y)
            y = norm(y, training=training)
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


@register_encoder("conv3d")
class Conv3DEncoder(GridEncoder):
    """3D convolutions with residual units, trained from random weights (arXiv 1512.03385).

    Each stage is a strided `ConvUnit`, with batch normalisation in all stages but the first.

    SAME padding of an even size pads the last side only, which shifts cell centres, by up to half
    a cell over all stages. The last spatial stride pads the first side instead, which cancels it.

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
        self.widths, self.memory_size = tuple(widths), widths[-1]
        self.strides = tuple(tuple(s) for s in strides)
        self.residual_from = residual_from
        spatial = [stage for stage, stride in enumerate(self.strides) if stride[1:] != (1, 1)]
        self.units = []
        alike = {"factorised": self.factorised, "dtype": self.dtype_policy}
        for stage, (width, stride) in enumerate(zip(self.widths, self.strides, strict=True)):
            # The first stage has by far the most cells: normalising it takes a third of a step.
            options = {"normalised": stage > 0, "pad_before": stage in spatial[-1:]}
            self.units.append(ConvUnit(width, stride, **options, **alike))
            if stage >= residual_from:
                self.units.append(ConvUnit(width, residual=True, **alike))

    def get_config(self):
        return super().get_config() | {
            "widths": self.widths,
            "strides": self.strides,
            "residual_from": self.residual_from,
        }


@register_encoder("r2plus1d")
class R2Plus1DEncoder(Conv3DEncoder):
    """`conv3d` with each convolution split into one in space and one in time (arXiv 1711.11248)."""

    factorised = True
