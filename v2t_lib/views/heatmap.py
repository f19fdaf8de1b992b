"""Heat maps: one word's attention weights as colours over the frames."""

import matplotlib
import numpy as np

from v2t_lib.models.caption import cell_of

#: Opacity of the heat where attention is highest; the frame stays visible underneath.
HEAT_OPACITY = 0.65


def heat_maps(
    attention: np.ndarray, shape: tuple[int, int, int], shift: tuple[float, float] = (0.0, 0.0)
) -> np.ndarray:
    """Resizes one word's weights `(T', h', w')` to the frames' `shape`, float32 `(T, H, W)`.

    Bilinear in space, by `Caption.cell_shift`; constant within a time step; the highest becomes 1.
    """
    frames, height, width = shape
    scaled = attention.astype(np.float32) / max(float(attention.max()), 1e-12)
    maps = np.stack([bilinear(step, (height, width), shift) for step in scaled])
    return maps[cell_of(np.arange(frames), frames, len(scaled))]


def bilinear(values: np.ndarray, shape: tuple[int, int], shift=(0.0, 0.0)) -> np.ndarray:
    """`(h', w')` to `shape`, `(H, W)`, interpolated between the centres of what the cells see."""
    for axis, (size, offset) in enumerate(zip(shape, shift, strict=True)):
        count = values.shape[axis]
        at = np.clip((np.arange(size) + 0.5) * count / size - 0.5 - offset, 0, count - 1)
        low = np.minimum(at.astype(int), max(count - 2, 0))
        along = (at - low).reshape((-1, 1) if axis == 0 else (1, -1)).astype(np.float32)
        low, high = values.take(low, axis), values.take(np.minimum(low + 1, count - 1), axis)
        values = low * (1 - along) + high * along
    return values


def heated(
    frames: np.ndarray, attention: np.ndarray, shift: tuple[float, float] = (0.0, 0.0)
) -> np.ndarray:
    """Frames uint8 `(T, H, W, 3)` under the heat of weights `(T', h', w')`.

    The colour map is safe for colour-blind readers; the opacity is proportional to the heat.
    """
    heat = heat_maps(attention, frames.shape[:3], shift)
    colours = matplotlib.colormaps["inferno"](heat)[..., :3] * 255
    share = HEAT_OPACITY * heat[..., None]
    return np.round(frames * (1 - share) + colours * share).astype(np.uint8)


def enlarge(frames: np.ndarray, width: int) -> np.ndarray:
    """Repeats the pixels of frames `(..., H, W, 3)` by the largest whole factor that fits `width`.

    Frames that are wider already are returned as they are.
    """
    scale = max(1, width // frames.shape[-2])
    return frames.repeat(scale, axis=-3).repeat(scale, axis=-2)
