"""Familiarity: is a clip like those that the model was trained on?"""

import dataclasses
from collections.abc import Iterable, Mapping, MutableMapping

import numpy as np

#: Principal components of the training clips that are kept, at most.
COMPONENTS = 32
_PARTS = ("mean", "axes", "deviations", "residual")


def pooled(memory: np.ndarray) -> np.ndarray:
    """Clips' memories `(batch, S, D)` to `(batch, 2 * D)`: mean and deviation over their cells."""
    return np.concatenate([memory.mean(axis=1), memory.std(axis=1)], axis=-1)


@dataclasses.dataclass(frozen=True)
class Familiarity:
    """A normal distribution of the training clips' pooled memories, in few components.

    Attributes:
        mean: float32 `(F,)`, of the training clips.
        axes: float32 `(F, K)`, the first principal components.
        deviations: float32 `(K,)`, the standard deviation along each.
        residual: float32 `(1,)`, the root mean square of what the components leave.
        threshold: The distance beyond which a clip is unlike the training data; held-out clips
            exceed it once in a hundred.
    """

    mean: np.ndarray
    axes: np.ndarray
    deviations: np.ndarray
    residual: np.ndarray
    threshold: float = float("inf")

    @classmethod
    def fit(cls, pooled: np.ndarray) -> "Familiarity":
        """Fits all but the threshold to training clips, `(clips, F)`."""
        mean = pooled.mean(axis=0)
        centred = pooled - mean
        count = max(1, min(COMPONENTS, len(pooled) // 4))
        _, scales, axes = np.linalg.svd(centred, full_matrices=False)
        axes = axes[:count].T
        rest = centred - centred @ axes @ axes.T
        parts = (mean, axes, scales[:count] / np.sqrt(len(pooled)), [np.sqrt((rest**2).mean())])
        return cls._of((np.asarray(part, np.float32) for part in parts), float("inf"))

    def distances(self, pooled: np.ndarray) -> np.ndarray:
        """Mahalanobis distances `(clips,)` of `(clips, F)`, about 1 for a training clip."""
        centred = pooled - self.mean
        along = centred @ self.axes
        rest = centred - along @ self.axes.T
        tiny = 1e-6
        inside = ((along / (self.deviations + tiny)) ** 2).sum(axis=1)
        outside = ((rest / (self.residual + tiny)) ** 2).mean(axis=1) * len(self.deviations)
        return np.sqrt((inside + outside) / (2 * len(self.deviations)))

    def unlike(self, pooled: np.ndarray) -> np.ndarray:
        """bool `(clips,)`: whether each is unlike the training clips."""
        return self.distances(pooled) > self.threshold

    def save(self, store: MutableMapping) -> None:
        """Puts the arrays into `store`."""
        for part in _PARTS:
            store[f"familiarity_{part}"] = getattr(self, part)

    @classmethod
    def load(cls, store: Mapping, threshold: float) -> "Familiarity":
        """Takes the arrays from `store`."""
        return cls._of((np.asarray(store[f"familiarity_{part}"]) for part in _PARTS), threshold)

    @classmethod
    def _of(cls, arrays: Iterable[np.ndarray], threshold: float) -> "Familiarity":
        mean, axes, deviations, residual = arrays
        return cls(mean, axes, deviations, residual, threshold)
