"""Decodes a clip of any format, or an array, to frames sampled evenly in time.

The format is read from the bytes; a file's name doesn't matter.
"""

import contextlib
import dataclasses
import mmap
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from v2t_lib.clips.animation import Animation, read_animation
from v2t_lib.clips.limits import MAX_BYTES
from v2t_lib.clips.missing import hint, shown
from v2t_lib.clips.placeholder import (
    MAX_CHECKED,
    MAX_CHECKED_PIXELS,
    MAX_SECONDS,
    is_placeholder,
    is_static,
)
from v2t_lib.clips.sniff import VIDEOS, sniff
from v2t_lib.clips.subframe import FrameError
from v2t_lib.clips.video import Video
from v2t_lib.errors import ClipError
from v2t_lib.specs import ClipSpec

#: Duration of an array's frames, which carry no times of their own.
ARRAY_SECONDS = 0.1


@dataclasses.dataclass(frozen=True)
class Original:
    """Facts of a clip before sampling.

    Attributes:
        kind: Its format: "gif", "webp", "mov", ... (see `sniff`), or "array".
        frames: Number of frames.
        seconds: Duration, played once.
        width: In pixels.
        height: In pixels.
    """

    kind: str
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
        original: Facts of the clip before sampling.
    """

    frames: np.ndarray
    seconds: np.ndarray
    original: Original


def _at_once(path: str, flags: int) -> int:
    """Opens a file; a named pipe too, without waiting for somebody who writes to it."""
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if hasattr(os, "O_NONBLOCK"):
        os.set_blocking(descriptor, True)
    return descriptor


def read_clip(source: str | Path) -> bytes:
    """Reads a clip's file; one of over `MAX_BYTES`, if a video, is mapped into memory instead.

    Raises:
        ClipError: `gone` where there is no file, `unreachable` where it can't be read,
            `not-a-clip` where it is empty, `too-big` where an animation is over `MAX_BYTES`.
    """
    expected = f"expected a clip at {shown(str(source))}"
    try:
        with open(source, "rb", opener=_at_once) as file:
            is_pipe = stat.S_ISFIFO(os.fstat(file.fileno()).st_mode)
            if os.fstat(file.fileno()).st_size > MAX_BYTES:
                mapped: Any = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                data = mapped  # read like bytes, but for videos alone
            else:
                data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        # A drive that isn't mounted says nothing of its clips.
        there = Path(source).parent.is_dir()
        kind, what = ("gone", "") if there else ("unreachable", ", nor its folder")
        raise ClipError(
            kind, f"{expected}. Received: no such file{what}{hint(str(source))}"
        ) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ClipError("unreachable", f"{expected}. Received: {why}{hint(str(source))}") from None
    if not data and is_pipe:
        raise ClipError("unreachable", f"{expected}. Received: a pipe that nobody writes to")
    if not data:
        raise ClipError("not-a-clip", f"expected a clip in {source}. Received: no bytes at all")
    if len(data) > MAX_BYTES:
        sniff(data)  # Raises for what isn't a video.
    return data


class _Array:
    """Decoded frames, with the interface of `Animation` and `Video`."""

    fault = ""

    def __init__(self, frames: np.ndarray):
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or not frames.size:
            raise ClipError(
                "not-a-clip",
                f"expected uint8 frames (N, H, W, 3). Received: {frames.dtype} {frames.shape}",
            )
        self._frames, self.durations = frames, [ARRAY_SECONDS] * len(frames)
        self.size = frames.shape[2], frames.shape[1]

    def render(self, numbers: Sequence[int]) -> Iterator[Image.Image]:
        yield from (Image.fromarray(self._frames[number]) for number in numbers)


def _open(data: bytes | np.ndarray) -> Animation | Video | _Array:
    if isinstance(data, np.ndarray):
        return _Array(data)
    kind = sniff(data)
    return Video(kind, data) if kind in VIDEOS else read_animation(kind, data)


def iter_frames(data: bytes | np.ndarray) -> Iterator[tuple[np.ndarray, float]]:
    """Yields each frame at its native size and the seconds it shows.

    Frames are as a browser shows them: transparent pixels lie over white, HDR is mapped to SDR, and
    what a phone recorded turned or mirrored is upright.

    Args:
        data: A GIF, APNG, WebP, AVIF, MP4, MOV, WebM or AVI, a PNG, JPEG or BMP, or uint8
            `(N, H, W, 3)`.

    Yields:
        `(frame, seconds)`: uint8 `(H, W, 3)`, float.

    Raises:
        ClipError: `not-a-clip`, `corrupt` or `too-big`; `corrupt` may come after some frames.
    """
    source = _open(data)
    try:
        for picture, seconds in zip(
            source.render(range(len(source.durations))), source.durations, strict=True
        ):
            yield np.asarray(picture), seconds
    except FrameError as error:
        raise _corrupt(error.number, error.reason) from None
    if source.fault:
        raise _corrupt(len(source.durations), source.fault)


def _corrupt(number: int, reason: str) -> ClipError:
    return ClipError("corrupt", f"expected whole frames. Received: {reason} in frame {number + 1}")


def sample_times(durations: list[float], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Chooses `count` frames evenly in time.

    The clip is divided into `count` slices of the same length; each sample is the frame that shows
    in the middle of its slice.

    Returns:
        int64 `(count,)` frame numbers and float64 `(count,)` seconds.
    """
    ends = np.cumsum(durations)
    seconds = (np.arange(count) + 0.5) / count * ends[-1]
    # A time on the boundary of two frames belongs to the second one, despite rounding in the sum.
    return np.searchsorted(ends[:-1] - 1e-9, seconds, side="right"), seconds


def decode_clip(data: bytes | np.ndarray, spec: ClipSpec) -> Clip:
    """Decodes a clip to the model's input: `spec.frames` frames, resized by area averaging.

    A clip with a fault is used up to the fault, as in a browser.

    Args:
        data: A GIF, APNG, animated WebP or AVIF, MP4, MOV, WebM or AVI, or uint8 `(N, H, W, 3)`.
        spec: Frames, height and width.

    Raises:
        ClipError: `still` where there is a single frame; `placeholder` where the clip is a
            host's notice that it was removed (see `placeholder`); else as `iter_frames`.
    """
    source, clip = _open(data), None
    kind = "array" if isinstance(data, np.ndarray) else sniff(data)
    while clip is None:
        try:
            clip = _sample(kind, source, spec)
        except FrameError as error:
            if error.number == 0:
                raise _corrupt(0, error.reason) from None
            assert not isinstance(source, _Array)  # its frames are decoded already
            source = source.cut_at(error)
    single = len(source.durations) < 2
    if single and source.fault:
        raise _corrupt(1, source.fault)
    if not isinstance(source, _Array) and is_static(clip.frames):
        _refuse_placeholder(source)
    if single:
        raise ClipError("still", "expected a clip of at least 2 frames. Received: a single picture")
    return clip


def _refuse_placeholder(source: Animation | Video) -> None:
    """Checks more frames at full size, as the samples may have missed movement."""
    if isinstance(source, Video) and sum(source.durations) > MAX_SECONDS:
        return
    count, area = len(source.durations), source.size[0] * source.size[1]
    step = -(-count // max(1, min(MAX_CHECKED, MAX_CHECKED_PIXELS // area)))
    found = False
    # Errors in frames that weren't sampled leave the clip usable.
    with contextlib.suppress(FrameError, ClipError):
        pictures = source.render(range(0, count, step))
        found = is_placeholder(np.asarray(picture) for picture in pictures)
    if found:
        raise ClipError("placeholder", "expected a clip. Received: one tone that never changes")


def _sample(kind: str, source: Animation | Video | _Array, spec: ClipSpec) -> Clip:
    chosen, seconds = sample_times(source.durations, spec.frames)
    numbers, places = np.unique(chosen, return_inverse=True)
    small = np.empty((len(numbers), *spec.shape[1:]), np.uint8)
    for place, picture in enumerate(source.render(numbers.tolist())):
        small[place] = np.asarray(picture.resize((spec.width, spec.height), Image.Resampling.BOX))
    frames, length = len(source.durations), float(sum(source.durations))
    return Clip(small[places], seconds, Original(kind, frames, length, *source.size))
