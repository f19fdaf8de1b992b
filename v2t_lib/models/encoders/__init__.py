"""Encoders: uint8 clips `(batch, T, H, W, 3)` to a memory `(batch, S, D)`.

May import Keras 3 and `specs`.
Start reading at `registry`, then `conv3d`; one file a family.
"""
