"""Decodes a clip of any format, read from its bytes, or an array to frames evenly in time."""

import contextlib
import dataclasses
import re
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image

from v2t_lib.clips.animation import Animation
from v2t_lib.clips.apng import read_png
from v2t_lib.clips.gif import read_gif
from v2t_lib.clips.handed_over import Frames, opened
from v2t_lib.clips.pictures import read_still, read_webp
from v2t_lib.clips.problems import (
    MAX_FRAMES,
    VIDEOS,
    FrameError,
    check_canvas,
    check_frames,
    is_placeholder,
    is_static,
    sniff,
)
from v2t_lib.clips.video import Video
from v2t_lib.errors import ClipError
from v2t_lib.specs import ClipSpec, NativeClipSpec

#: Frames, and pixels of them, that are checked for a placeholder; longer videos are none.
MAX_CHECKED, MAX_CHECKED_PIXELS, MAX_PLACEHOLDER_SECONDS = 64, 2**26, 10


@dataclasses.dataclass(frozen=True)
class Original:
    """A clip before sampling: its number of frames, seconds when played once, size in pixels."""

    kind: str  # the format, as `sniff` names it, or "array"
    frames: int
    seconds: float
    width: int
    height: int


@dataclasses.dataclass(frozen=True)
class Clip:
    """Sampled frames and their times.

    Attributes:
        frames: uint8 `(T, H, W, 3)`, RGB.
        seconds: float64 `(T,)`, the time of each sample from the clip's start.
        original: The clip's properties before sampling.
    """

    frames: np.ndarray
    seconds: np.ndarray
    original: Original


#: The video behind the picture in a "motion photo" of a phone, which is a JPEG or HEIC.
_IN_A_PHOTO = re.compile(rb"\0{3}[\x10-\x60]ftyp(isom|iso\d|mp4\d|avc1|MSNV|qt  )")
_PHOTOS = (b"heic", b"heix", b"mif1", b"msf1")

_READERS = dict.fromkeys(("jpeg", "bmp"), read_still)
_READERS |= {"gif": read_gif, "png": read_png, "webp": read_webp}


def read_animation(kind: str, data: bytes) -> Animation:
    """Reads the subframes of a file of this kind (see `sniff`); decodes no pixels.

    Where the file is cut off or breaks its format's rules, the subframes before that are used.

    Raises:
        ClipError: `corrupt` where there are no subframes; `too-big`.
    """
    size, subframes, fault = None, [], ""
    try:
        for found in _READERS[kind](data):
            if isinstance(found, tuple):
                size = found
                check_canvas(*size)
                continue
            subframes.append(found)
            check_frames(len(subframes), MAX_FRAMES)
            if all(found.size):
                check_canvas(*found.size)
    except (IndexError, struct.error):
        fault = "the file is cut off"
    if size is None or not subframes:
        received = fault or "none"
        raise ClipError("corrupt", f"expected frames in the {kind} file. Received: {received}")
    return Animation(size, subframes, fault)


def _open(data: Any) -> tuple[str, Animation | Video | Frames]:
    data = opened(data)
    if isinstance(data, Frames):
        return "array", data
    kind = sniff(data)
    if (kind == "jpeg" or data[8:12] in _PHOTOS) and (video := _IN_A_PHOTO.search(data, 12)):
        kind, data = "mov", data[video.start() :]
    return kind, Video(kind, data) if kind in VIDEOS else read_animation(kind, bytes(data))


def iter_frames(data: Any) -> Iterator[tuple[np.ndarray, float]]:
    """Yields each frame at its native size and the seconds it shows.

    Frames are as a browser shows them: transparent pixels lie over white, HDR is mapped to SDR, and
    what a phone recorded turned or mirrored is upright.

    Args:
        data: A GIF, APNG, WebP, AVIF, MP4, MOV, WebM or AVI, a PNG, JPEG or BMP: its bytes, or a
            file opened in binary mode; a picture of Pillow's; or frames `(H, W, 3)`, an array
            `(N, H, W, 3)` or a list, uint8 or floats from 0 to 1.

    Yields:
        `(frame, seconds)`: uint8 `(H, W, 3)`, float.

    Raises:
        ClipError: `not-a-clip`, `corrupt` or `too-big`; `corrupt` may come after some frames.
    """
    _, source = _open(data)
    numbers = range(len(source.durations))
    try:
        for picture, seconds in zip(source.render(numbers), source.durations, strict=True):
            yield np.asarray(picture), seconds
    except FrameError as error:
        raise _corrupt(error.number, error.reason) from None
    if source.fault:
        raise _corrupt(len(source.durations), source.fault)


def _corrupt(number: int, reason: str) -> ClipError:
    return ClipError("corrupt", f"expected whole frames. Received: {reason} in frame {number + 1}")


def sample_times(durations: Sequence[float], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Chooses the frames that show in the middle of `count` slices of the same length.

    Returns:
        int64 `(count,)` frame numbers and float64 `(count,)` seconds.
    """
    ends = np.cumsum(durations)
    seconds = (np.arange(count) + 0.5) / count * ends[-1]
    # A time on the boundary of two frames belongs to the second one, despite rounding in the sum.
    return np.searchsorted(ends[:-1] - 1e-9, seconds, side="right"), seconds


def decode_clip(data: Any, spec: ClipSpec) -> Clip:
    """Decodes a clip to the model's input: `spec.frames` frames, resized by area averaging.

    Takes what `iter_frames` takes. A clip with a fault is used up to the fault, as in a browser.

    Raises:
        ClipError: `still` where there is a single frame; `placeholder` where the clip is a
            host's notice that it was removed (see `is_placeholder`); else as `iter_frames`.
    """
    (kind, source), clip = _open(data), None
    while clip is None:
        try:
            clip = _sample(kind, source, spec)
        except FrameError as error:
            if error.number == 0:
                raise _corrupt(0, error.reason) from None
            assert not isinstance(source, Frames)  # its frames are decoded already
            source = source.cut_at(error)
    single = len(source.durations) < 2
    if single and source.fault:
        raise _corrupt(1, source.fault)
    if not isinstance(source, Frames) and is_static(clip.frames):
        _refuse_placeholder(source)
    if single:
        raise ClipError("still", "expected a clip of at least 2 frames. Received: a single picture")
    return clip


def _refuse_placeholder(source: Animation | Video) -> None:
    """Checks more frames at full size, as the samples may have missed movement."""
    if isinstance(source, Video) and sum(source.durations) > MAX_PLACEHOLDER_SECONDS:
        return
    count, area = len(source.durations), source.size[0] * source.size[1]
    step = -(-count // max(1, min(MAX_CHECKED, MAX_CHECKED_PIXELS // area)))
    found = False
    # Errors in frames that weren't sampled leave the clip usable.
    with contextlib.suppress(FrameError, ClipError):
        found = is_placeholder(map(np.asarray, source.render(range(0, count, step))))
    if found:
        raise ClipError("placeholder", "expected a clip. Received: one tone that never changes")


def _sample(kind: str, source: Animation | Video | Frames, spec: ClipSpec) -> Clip:
    chosen, seconds = sample_times(source.durations, spec.frames)
    numbers, inverse = np.unique(chosen, return_inverse=True)
    small = np.stack([np.asarray(_fitted(p, spec)) for p in source.render(numbers.tolist())])
    frames, length = len(source.durations), float(sum(source.durations))
    return Clip(small[inverse], seconds, Original(kind, frames, length, *source.size))


def _fitted(picture: Image.Image, spec: ClipSpec) -> Image.Image:
    if isinstance(spec, NativeClipSpec):
        factor = min(picture.width // spec.width, picture.height // spec.height)
        return picture.reduce(factor) if factor > 1 else picture
    return picture.resize((spec.width, spec.height), Image.Resampling.BOX)
