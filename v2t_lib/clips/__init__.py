"""Clips: from bytes of any format to frames as Chromium shows them, sampled evenly in time.

May import `captions_file`, `specs` and `errors`, NumPy, Pillow and PyAV; no network, no TensorFlow.
Start reading at `decode`; `files` finds and reads clips, `problems` says what makes a file none.
"""
