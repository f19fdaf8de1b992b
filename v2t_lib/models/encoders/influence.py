"""Where in the picture the cells of an image network look, measured by disturbing the picture."""

import itertools
from collections.abc import Callable

import numpy as np

#: Bands of pixels that are disturbed one after the other, for each cell.
BANDS = 3


def centre_shift(
    network: Callable[[np.ndarray], np.ndarray],
    picture: tuple[int, int],
    pictures: int = 2,
    seed: int = 0,
) -> tuple[float, float]:
    """How far the centres of what cells depend on lie from the cells' own, on average.

    Strided convolutions with SAME padding on an even size see half a pixel more to the lower right,
    at each stage; training may undo it. On pictures of noise, a band of rows is drawn anew and the
    change in each cell is the band's influence on it; then the same with columns.

    Args:
        network: uint8 `(N, H, W, 3)` to `(N, h', w', C)`.
        picture: `(H, W)`.
        pictures: How many pictures of noise.
        seed: Of the noise.

    Returns:
        `(down, right)`, in cells.
    """
    rng = np.random.default_rng(seed)
    noise, other = rng.integers(0, 256, (2, pictures, *picture, 3), dtype=np.uint8)
    before = network(noise)
    shifts = []
    for axis, size in enumerate(picture, start=1):
        count = before.shape[axis]
        edges = np.linspace(0, size, BANDS * count + 1).round().astype(int)
        bands = []
        for start, end in itertools.pairwise(edges):
            band = (slice(None),) * axis + (slice(start, end),)
            disturbed = noise.copy()
            disturbed[band] = other[band]
            change = np.abs(network(disturbed) - before)
            bands.append(change.sum(axis=tuple(a for a in range(4) if a != axis)))
        influence = np.array(bands)  # (bands, cells)
        middles = (edges[:-1] + edges[1:]) / 2
        centres = middles @ influence / np.maximum(influence.sum(0), 1e-12)
        own = (np.arange(count) + 0.5) * size / count
        shifts.append(float((centres - own).mean() * count / size))
    down, right = shifts
    return down, right
