"""The bootstrap over clips: how much a figure would vary with other clips."""

from collections.abc import Callable, Sequence

import numpy as np


def bootstrap(
    figure: Callable[[np.ndarray], object],
    clips: Sequence[object] | np.ndarray,
    seed: int = 0,
    resamples: int = 1000,
) -> np.ndarray:
    """A figure for samples of clips drawn with replacement (Efron and Tibshirani 1993).

    All rows of a clip are drawn together. The same seed draws the same clips for every figure, so
    that the difference of two results is paired.

    Args:
        figure: From weights, int `(rows,)`, how often each row was drawn, to a number or an array;
            NaN where a sample can't give it. `np.repeat(np.arange(rows), weights)` are the rows.
        clips: Each row's clip.

    Returns:
        float `(resamples, ...)`, for `interval`.
    """
    rng = np.random.default_rng(seed)
    names, clip_of = np.unique(np.asarray(clips), return_inverse=True)
    draws = (rng.integers(len(names), size=len(names)) for _ in range(resamples))
    values = [figure(np.bincount(draw, minlength=len(names))[clip_of]) for draw in draws]
    return np.array(values, float)


def interval(samples: np.ndarray) -> list[float]:
    """The 95% interval `[low, high]` of `bootstrap`'s samples; NaN samples don't count."""
    return [float(value) for value in np.nanpercentile(samples, [2.5, 97.5])]
