"""Encoders: uint8 clips `(batch, T, H, W, 3)` to a memory `(batch, S, D)`.

May import Keras 3 and the ground modules.
Start reading at `conv3d`, then `grid`; one file a family, found by `registry`.
"""
