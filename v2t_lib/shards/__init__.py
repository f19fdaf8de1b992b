"""Decoded clips with their captions as TFRecords, and the `dataset.json` that describes them.

May import `clips`, `text` and the ground modules; TensorFlow in functions of `format` only.
Start reading at `format` for what is on disk, then `pack` and `reader`.
"""
