"""How frames map to the encoder's time steps."""


def cell_of(frame, frames: int, cells: int):
    """The time step, of `cells`, that holds the middle of frame number `frame`, of `frames`."""
    return (2 * frame + 1) * cells // (2 * frames)
