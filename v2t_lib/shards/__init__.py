"""Decoded clips with their captions as TFRecords, and the `dataset.json` that describes them.

May import `clips`, `text` and the ground modules; TensorFlow in `example`, `reader`, `epochs`.
Start reading at `format` and `example` for what is on disk, then `writer` and `reader`.
"""
