"""Bytes to frames: GIF, APNG, WebP and video as a browser shows them, sampled evenly in time.

May import `specs` and `errors`, NumPy, Pillow and PyAV; no network, no TensorFlow.
Start reading at `decode`, whose `decode_clip` everything else calls.
"""
