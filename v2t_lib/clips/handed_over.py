"""What callers hand over as a clip: bytes in any form, pictures, frames."""

import contextlib
import mmap
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageSequence

from v2t_lib.clips.colour import flatten
from v2t_lib.errors import ClipError

#: Seconds a frame shows that carries no time of its own.
FRAME_SECONDS = 0.1
EXPECTED = (
    "expected a clip: a path or URL, bytes, a file opened in binary mode, a picture of Pillow's, "
    "or frames (H, W, 3), RGB, as an array (N, H, W, 3) or a list, uint8 or floats from 0 to 1"
)


class Frames:
    """Decoded frames, uint8 `(N, H, W, 3)`, with the interface of `Animation` and `Video`."""

    fault = ""

    def __init__(self, frames: np.ndarray, durations: Sequence[float] = ()):
        self._frames, self.durations = frames, durations or [FRAME_SECONDS] * len(frames)
        self.size = frames.shape[2], frames.shape[1]

    def render(self, numbers: Sequence[int]) -> Iterator[Image.Image]:
        yield from (Image.fromarray(self._frames[number]) for number in numbers)


def opened(source: Any) -> bytes | mmap.mmap | Frames:
    """What a caller handed over, a path excepted, as a file's bytes or as frames.

    A file is read from its beginning. Frames of a picture lie over white, as in a browser.

    Raises:
        ClipError: It is something else.
    """
    if isinstance(source, bytes | mmap.mmap):
        return source
    if isinstance(source, bytearray | memoryview):
        return bytes(source)
    if isinstance(source, Image.Image):
        return _of_picture(source)
    if hasattr(source, "read"):
        with contextlib.suppress(AttributeError, OSError):  # a pipe can't
            source.seek(0)
        if isinstance(data := source.read(), bytes):
            return data
        raise _refused(f"a file that reads {type(data).__name__}")
    if isinstance(source, list | tuple) and source:
        source = [_rgb(one) if isinstance(one, Image.Image) else one for one in source]
    elif not hasattr(source, "__array__"):
        raise _refused(f"{type(source).__name__}, {str(source)[:60]!r}")
    return Frames(_checked(source))


def _of_picture(picture: Image.Image) -> Frames:
    shown, frames, seconds = picture.tell(), [], []
    for frame in ImageSequence.Iterator(picture):
        frames.append(_rgb(frame))
        seconds.append(frame.info.get("duration", 0) / 1000 or FRAME_SECONDS)
    picture.seek(shown)
    return Frames(np.stack(frames), seconds)


def _rgb(picture: Image.Image) -> np.ndarray:
    return np.asarray(flatten(picture.convert("RGBA")))


def _checked(frames: Any) -> np.ndarray:
    """Frames as uint8 `(N, H, W, 3)`: floats from 0 to 1 and other whole numbers from 0 to 255."""
    try:
        array = np.asarray(frames)
    except Exception as error:  # of frames that differ in size, or that lie on a GPU
        raise _refused(str(error)) from None
    shape = f"{array.dtype} {array.shape}"
    if array.ndim != 4 or array.shape[-1] != 3 or not array.size:
        raise _refused(shape)
    if array.dtype == np.uint8:
        return array
    most = 1 if np.issubdtype(array.dtype, np.floating) else 255
    if most == 255 and not np.issubdtype(array.dtype, np.integer):
        raise _refused(shape)
    if not (array.min() >= 0 and array.max() <= most):
        raise _refused(f"{shape} with values from {array.min()} to {array.max()}")
    return array.astype(np.uint8) if most == 255 else np.rint(array * 255.0).astype(np.uint8)


def _refused(received: str) -> ClipError:
    return ClipError("not-a-clip", f"{EXPECTED}. Received: {received}")
