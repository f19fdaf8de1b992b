"""Captions whose attention is known."""

import numpy as np

from v2t_lib.models.caption import Caption


def example(words=("red", "</script>", "red"), frames=4, size=20, grid=(2, 2, 2)):
    """A caption whose n-th word attends to the n-th cell, the last one to all cells equally."""
    attention = np.zeros((len(words), *grid), "float32")
    for number in range(len(words)):
        attention[number].flat[number] = 1
    if len(words) > 1:
        attention[-1] = 1 / np.prod(grid)
    return Caption(
        " ".join(words),
        tuple(words),
        np.linspace(0.9, 0.3, len(words)),
        -1.0,
        attention,
        np.full((frames, size, size, 3), 120, np.uint8),
        np.arange(frames) / 5,
        tuple((("blue", 0.05), ("<end>", 0.01)) for _ in words),
    )
