"""Encoders by name, and what each costs. A new one is a file and a line in `ENCODERS`."""

import math

import keras
from keras import layers, ops

from v2t_lib.models.encoders.catalogue import Cost
from v2t_lib.models.encoders.conv3d import C3DEncoder, Conv3DEncoder, ConvUnit, R2Plus1DEncoder
from v2t_lib.models.encoders.frame import (
    ConvNeXtTinyEncoder,
    EfficientNetV2B0Encoder,
    FrameEncoder,
    MobileNetV3LargeEncoder,
    MobileNetV3SmallEncoder,
)
from v2t_lib.specs import ClipSpec


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


#: What `v2t train --encoder NAME` takes; each has its row in `catalogue.COSTS`.
ENCODERS = {
    "conv3d": Conv3DEncoder,
    "r2plus1d": R2Plus1DEncoder,
    "c3d": C3DEncoder,
    "mobilenet_v3_small": MobileNetV3SmallEncoder,
    "mobilenet_v3_large": MobileNetV3LargeEncoder,
    "efficientnet_v2_b0": EfficientNetV2B0Encoder,
    "convnext_tiny": ConvNeXtTinyEncoder,
    "blind": BlindEncoder,
}


def get(name: str, **config) -> layers.Layer:
    """The encoder called `name`, made with `config`."""
    if name not in ENCODERS:
        raise ValueError(f"expected an encoder among {', '.join(ENCODERS)}. Received: {name!r}")
    pictures = config.keys() & {"weights", "frozen"}
    if pictures and not issubclass(ENCODERS[name], FrameEncoder):
        raise ValueError(
            f"expected a picture network over frames with {', '.join(sorted(pictures))}. "
            f"Received: {name!r}"
        )
    return ENCODERS[name](**config)


def cost(encoder: layers.Layer, spec: ClipSpec) -> Cost:
    """What an encoder makes of a clip of `spec`, and what that takes.

    Counted are the multiplications and additions of convolutions and dense layers, the forward
    pass of one clip; a training step takes three times as many.
    """
    if not encoder.built:
        encoder.build((None, *spec.shape))
    shape, flop = (None, *spec.shape), 0
    if isinstance(encoder, FrameEncoder):
        flop += spec.frames * sum(map(_own_flop, _leaves(encoder.backbone)))
        shape = (None, *encoder.feature_shape)
    for unit in getattr(encoder, "units", ()):
        if isinstance(unit, ConvUnit):
            flop += unit.flop(shape)
        shape = unit.compute_output_shape(shape)
    return Cost(encoder.grid(spec), encoder.memory_size, encoder.count_params(), flop)


def _leaves(model):
    for layer in model.layers:
        yield from _leaves(layer) if hasattr(layer, "layers") else (layer,)


def _own_flop(layer) -> int:
    """Each entry of a kernel is used once a cell of the output."""
    kernel = getattr(layer, "kernel", None)
    return (
        0 if kernel is None else 2 * math.prod(kernel.shape) * math.prod(layer.output.shape[1:-1])
    )
