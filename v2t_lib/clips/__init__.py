"""Decoding: the bytes of a GIF, APNG, WebP or video to RGB frames, sampled evenly in time.

May import `specs` and `errors`, NumPy, Pillow and PyAV; no network, no TensorFlow.
Start reading at `decode`: everything else calls its `decode_clip`.
"""
