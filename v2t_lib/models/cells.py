"""How pixels and frames map to the encoder's cells: for views and metrics alike."""

import numpy as np

#: The share of cells that a deletion test blanks.
DELETED = 0.1


def cell_of(position, size: int, cells: int, shift: float = 0.0):
    """The cell, of `cells`, that holds the middle of pixel or frame `position`, of `size`.

    Args:
        position: An integer, or an array of them.
        size: Number of pixels or frames along the axis.
        cells: Number of cells along the axis.
        shift: How far the centres of what the cells see lie beyond the cells' own, in cells
            (`FrameEncoder.cell_shift`).
    """
    if not shift:
        return (2 * position + 1) * cells // (2 * size)
    return np.clip(np.floor((position + 0.5) * cells / size - shift).astype(int), 0, cells - 1)


def over_pixels(values: np.ndarray, shape: tuple[int, ...], shift=(0.0, 0.0)) -> np.ndarray:
    """Each pixel's value of its cell: `(T', h', w')` to `shape`, `(T, H, W)`."""
    for axis, (size, offset) in enumerate(zip(shape, (0.0, *shift), strict=True)):
        cell = cell_of(np.arange(size), size, values.shape[axis], offset)
        values = values.take(cell, axis=axis)
    return values


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


def most(values: np.ndarray) -> np.ndarray:
    """bool, shaped as `values`: the tenth of the cells with the highest, at least one."""
    order = np.argsort(-values, axis=None, kind="stable")
    cells = np.zeros(values.size, bool)
    cells[order[: max(1, round(DELETED * values.size))]] = True
    return cells.reshape(values.shape)


def blank(frames: np.ndarray, cells: np.ndarray, shift=(0.0, 0.0)) -> np.ndarray:
    """Fills some cells with the clip's mean colour.

    Args:
        frames: uint8 `(T, H, W, 3)`.
        cells: bool `(T', h', w')`.
        shift: `Caption.cell_shift`.

    Returns:
        uint8 `(T, H, W, 3)`, a copy.
    """
    blanked = frames.copy()
    blanked[over_pixels(cells, frames.shape[:3], shift)] = np.round(frames.mean(axis=(0, 1, 2)))
    return blanked
