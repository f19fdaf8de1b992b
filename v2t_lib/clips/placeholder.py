"""Recognises placeholders: what image hosts serve in place of a removed clip.

A placeholder is one plain colour with a line or two of small text, and doesn't move. The rule, in
levels of 255, on the channel that differs most: no pixel of any frame differs by more than
`STILL_LEVELS` from the first frame, and at least `UNIFORM_SHARE` of the first frame's pixels are
within `UNIFORM_LEVELS` of its median colour. At most `MAX_CHECKED` frames, and fewer if they are
large, are checked, evenly spread. A video of more than `MAX_SECONDS` is no placeholder.
"""

from collections.abc import Iterable

import numpy as np

MAX_CHECKED, MAX_CHECKED_PIXELS = 64, 2**26
MAX_SECONDS = 10
STILL_LEVELS = 8
UNIFORM_LEVELS = 16
UNIFORM_SHARE = 0.9


def is_static(frames: np.ndarray) -> bool:
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
        frame.shape == first.shape and is_static(np.stack([first, frame])) for frame in frames
    )
