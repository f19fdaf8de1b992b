"""Memory cells, and the frames that they stand for."""


def cell_of(frame, frames: int, cells: int):
    """The time cell, of `cells`, that the middle of frame number `frame`, of `frames`, lies in."""
    return (2 * frame + 1) * cells // (2 * frames)
