"""Decoded clips with their captions as TFRecords, made slice by slice and read by training.

May import `fetching`, `clips`, `text` and the ground modules; TensorFlow in `example`, `reader` and
`rows` alone. Start at `format` for what is on disk, `slices` and `pack` for how it is made.
"""
