"""Strided 3D convolutions, computed in the way that is fast on the device."""

import math
from collections.abc import Sequence

import keras
from keras import layers, ops


def convolve(conv: layers.Conv3D, x):
    """`conv(x)` of a built convolution with SAME padding, channels last.

    On a CPU with Keras on JAX it is computed `in_blocks`: XLA has no fast gradient there of a
    convolution with strides for its input.
    """
    if math.prod(conv.strides) == 1 or not _on_cpu_by_jax():
        return conv(x)
    return in_blocks(conv, x)


def _on_cpu_by_jax() -> bool:
    return keras.backend.backend() == "jax" and all(
        device.startswith("cpu") for device in keras.distribution.list_devices()
    )


def in_blocks(conv: layers.Conv3D, x):
    """`conv(x)` but for rounding, as a convolution without strides.

    What a stride steps over becomes channels, in the input and in the kernel, which zeros fill up
    to whole strides.
    """
    kernel, strides = ops.convert_to_tensor(conv.kernel), conv.strides
    pads, fills = [], []
    for size, length, stride in zip(x.shape[1:4], kernel.shape[:3], strides, strict=True):
        last, blocks = -(-size // stride) - 1, -(-length // stride)
        before = max(last * stride + length - size, 0) // 2  # as SAME padding has it
        pads.append((before, (last + blocks) * stride - size - before))
        fills.append((0, blocks * stride - length))
    x = _to_channels(ops.pad(x, [(0, 0), *pads, (0, 0)]), 1, strides)
    kernel = _to_channels(ops.pad(kernel, [*fills, (0, 0), (0, 0)]), 0, strides)
    y = ops.conv(x, kernel, padding="valid", data_format="channels_last")
    return y + conv.bias if conv.use_bias else y


def _to_channels(x, axis: int, strides: Sequence[int]):
    """Cuts the three axes from `axis` on into blocks of `strides`; joins these to the next axis."""
    outer, inner = x.shape[:axis], x.shape[axis + 3 :]
    sizes = [n // stride for n, stride in zip(x.shape[axis : axis + 3], strides, strict=True)]
    pairs = [n for pair in zip(sizes, strides, strict=True) for n in pair]
    x = ops.reshape(x, (*outer, *pairs, *inner))
    places, steps = (range(axis + first, axis + 6, 2) for first in (0, 1))
    x = ops.transpose(x, (*range(axis), *places, *steps, *range(axis + 6, len(x.shape))))
    return ops.reshape(x, (*outer, *sizes, math.prod(strides) * inner[0], *inner[1:]))
