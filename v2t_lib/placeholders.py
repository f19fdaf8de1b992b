"""Placeholders: the picture that a host serves where a clip has been removed.

It is one grey tone with a line or two of small text, the same in every frame. The rule: no pixel of
the sampled, shrunken frames changes by more than `STILL_LEVELS`, and at least `UNIFORM_SHARE` of
the pixels lie within `UNIFORM_LEVELS` of their median colour. Levels are of 255, in whichever
of red, green and blue differs most.
"""

import numpy as np

STILL_LEVELS = 6
UNIFORM_LEVELS = 16
UNIFORM_SHARE = 0.9


def change(frames: np.ndarray) -> int:
    """The most levels that any pixel of uint8 `(T, H, W, 3)` changes by over the frames."""
    return int((frames.max(axis=0) - frames.min(axis=0)).max())


def uniform_share(frames: np.ndarray) -> float:
    """The share of pixels near the first frame's median colour, of uint8 `(T, H, W, 3)`."""
    first = frames[0].reshape(-1, 3).astype(np.int16)
    far = np.abs(first - np.median(first, axis=0)).max(axis=1)
    return float((far <= UNIFORM_LEVELS).mean())


def is_placeholder(frames: np.ndarray) -> bool:
    """Whether uint8 frames `(T, H, W, 3)` are a placeholder by the rule above."""
    return change(frames) <= STILL_LEVELS and uniform_share(frames) >= UNIFORM_SHARE
