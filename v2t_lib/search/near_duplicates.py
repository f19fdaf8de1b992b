"""Near-duplicates: clips that show almost the same pictures."""

from collections.abc import Sequence

import numpy as np

#: Rows and columns that a frame is reduced to.
SIDE = 8
#: Clips are near-duplicates whose reduced frames differ by at most this share of their contrast.
#: Of MSR-VTT's test clips two copies differ by 0.02, and the next two clips by 0.33; drawn clips of
#: the same sentence by 0.5 or more.
DIFFERENCE = 0.25


def thumbprint(frames: np.ndarray) -> np.ndarray:
    """uint8 `(T, H, W, 3)` to uint8 `(T * SIDE * SIDE * 3,)`: each frame's mean colours in a grid.

    Another size, another compression or slightly different colours change it little.
    """
    rows, columns = (
        np.linspace(0, size, SIDE + 1).round().astype(int) for size in frames.shape[1:3]
    )
    sums = frames.astype(np.int64).cumsum(axis=1).cumsum(axis=2)
    sums = np.pad(
        sums, ((0, 0), (1, 0), (1, 0), (0, 0))
    )  # sums[t, y, x] over rows < y, columns < x
    corners = sums[:, rows][:, :, columns]
    totals = np.diff(np.diff(corners, axis=1), axis=2)  # (T,SIDE,SIDE,3)
    areas = np.diff(rows)[:, None, None] * np.diff(columns)[:, None]
    return np.round(totals / np.maximum(areas, 1)).astype(np.uint8).ravel()


def groups(thumbprints: np.ndarray, order: Sequence[int], count: int) -> list[list[int]]:
    """Groups clips with their near-duplicates.

    Args:
        thumbprints: uint8 `(clips, F)`.
        order: Clips, best first. Each joins the first group whose best clip it resembles.
        count: How many groups; clips that resemble none of them are left out.

    Returns:
        The groups in the order of their best clips, each best first.
    """
    found, leaders = [], np.empty((0, thumbprints.shape[1]), np.float32)
    for clip in order:
        centred = thumbprints[clip].astype(np.float32)
        centred -= centred.mean()
        contrasts = np.linalg.norm(leaders, axis=1)
        differences = np.linalg.norm(leaders - centred, axis=1)
        alike = differences <= DIFFERENCE * np.maximum(contrasts, np.linalg.norm(centred))
        if alike.any():
            found[int(alike.argmax())].append(clip)
        elif len(found) < count:
            found.append([clip])
            leaders = np.concatenate([leaders, centred[None]])
    return found
