"""Placeholders: what a host serves where a clip has been removed.

Such a picture is one tone with a line or two of small text, the same from first to last. The rule,
in levels of 255, taken in whichever of red, green and blue differs most: in no frame does a pixel
differ by more than `STILL_LEVELS` from the first frame's, and at least `UNIFORM_SHARE` of the
first frame's pixels lie within `UNIFORM_LEVELS` of its median colour. Up to `LOOKS` frames, evenly
spread, are looked at.
"""

from collections.abc import Iterable

import numpy as np

LOOKS = 64
STILL_LEVELS = 8
UNIFORM_LEVELS = 16
UNIFORM_SHARE = 0.9


def stands_still(frames: np.ndarray) -> bool:
    """Whether uint8 frames `(T, H, W, 3)` differ by at most `STILL_LEVELS` from one another."""
    return int((frames.max(axis=0) - frames.min(axis=0)).max()) <= STILL_LEVELS


def uniform_share(frame: np.ndarray) -> float:
    """The share of pixels of uint8 `(H, W, 3)` within `UNIFORM_LEVELS` of their median colour."""
    near = np.ones(frame.shape[:2], bool)
    for channel in np.moveaxis(frame, -1, 0):
        below = np.bincount(channel.ravel(), minlength=256).cumsum()
        median = int(np.searchsorted(below, channel.size / 2))
        near &= channel >= max(median - UNIFORM_LEVELS, 0)
        near &= channel <= min(median + UNIFORM_LEVELS, 255)
    return float(near.mean())


def is_placeholder(frames: Iterable[np.ndarray]) -> bool:
    """Whether frames, uint8 `(H, W, 3)` at their native size, are a placeholder by the rule."""
    frames = iter(frames)
    first = next(frames)
    if uniform_share(first) < UNIFORM_SHARE:
        return False
    return all(
        frame.shape == first.shape and stands_still(np.stack([first, frame])) for frame in frames
    )
