"""Clips: bytes of any kind, or an array, to frames sampled evenly in time.

What a file is, its bytes say, never its name.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from v2t_lib.clips.animation import Animation, read_animation
from v2t_lib.clips.placeholder import LOOKS, is_placeholder, stands_still
from v2t_lib.clips.sniff import MAX_BYTES, VIDEOS, sniff
from v2t_lib.clips.subframe import BadFrame
from v2t_lib.clips.video import Video
from v2t_lib.errors import ClipError
from v2t_lib.specs import ClipSpec

#: Frames in an array say nothing of their time; they count as ten a second.
ARRAY_SECONDS = 0.1


@dataclasses.dataclass(frozen=True)
class Original:
    """What a clip was before it was sampled.

    Attributes:
        kind: What its bytes are: "gif", "webp", "png", ...
        frames: How many.
        seconds: For which they show, once through.
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
    """Sampled frames and when they show.

    Attributes:
        frames: uint8 `(T, H, W, 3)`, RGB.
        seconds: float64 `(T,)`, the moment each frame was sampled at, from the clip's start.
        original: What they were taken from.
    """

    frames: np.ndarray
    seconds: np.ndarray
    original: Original


def read_clip(source: str | Path) -> bytes:
    """The bytes of a file.

    Raises:
        ClipError: Nothing there, not readable, empty, or over `MAX_BYTES`.
    """
    try:
        with open(source, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ClipError("gone", f"expected a clip at {source}. Received: no such file") from None
    except (OSError, ValueError) as error:
        raise ClipError("unreachable", f"expected a clip at {source}. Received: {error}") from None
    if not data:
        raise ClipError("not-a-clip", f"expected a clip in {source}. Received: no bytes at all")
    if len(data) > MAX_BYTES:
        raise ClipError(
            "too-big", f"expected at most {MAX_BYTES:,} bytes in {source}. Received: more"
        )
    return data


class _Array:
    """Frames that are decoded already, beside `Animation` and `Video`."""

    fault = ""

    def __init__(self, frames: np.ndarray):
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or not frames.size:
            raise ClipError(
                "not-a-clip",
                f"expected uint8 frames (N, H, W, 3). Received: {frames.dtype} {frames.shape}",
            )
        self._frames, self.durations = frames, [ARRAY_SECONDS] * len(frames)
        self.size = frames.shape[2], frames.shape[1]

    def show(self, wanted: Sequence[int]) -> Iterator[Image.Image]:
        yield from (Image.fromarray(self._frames[number]) for number in wanted)


def _open(data: bytes | np.ndarray) -> Animation | Video | _Array:
    if isinstance(data, np.ndarray):
        return _Array(data)
    kind = sniff(data)
    return Video(kind, data) if kind in VIDEOS else read_animation(kind, data)


def iter_frames(data: bytes | np.ndarray) -> Iterator[tuple[np.ndarray, float]]:
    """Yields each frame at its native size, composited over white, and the seconds it shows.

    Args:
        data: A GIF, APNG, WebP, MP4, MOV, WebM or AVI, a PNG, JPEG or BMP, or uint8
            `(N, H, W, 3)`.

    Yields:
        `(frame, seconds)`: uint8 `(H, W, 3)`, float.

    Raises:
        ClipError: `not-a-clip`, `corrupt` or `too-big`; `corrupt` may come after the frames that
            are whole.
    """
    source = _open(data)
    try:
        for picture, seconds in zip(
            source.show(range(len(source.durations))), source.durations, strict=True
        ):
            yield np.asarray(picture), seconds
    except BadFrame as bad:
        raise _corrupt(bad.number, bad.why) from None
    if source.fault:
        raise _corrupt(len(source.durations), source.fault)


def _corrupt(number: int, why: str) -> ClipError:
    return ClipError("corrupt", f"expected whole frames. Received: {why} in frame {number + 1}")


def sample_times(durations: list[float], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Which frames to take for `count` samples even in time, and when.

    A sample stands for one of `count` equal slices of the clip and is what shows in its middle.

    Returns:
        int64 `(count,)` frame numbers and float64 `(count,)` seconds.
    """
    ends = np.cumsum(durations)
    seconds = (np.arange(count) + 0.5) / count * ends[-1]
    # A moment on the edge of two frames shows the second one, whatever adding up has rounded.
    return np.searchsorted(ends[:-1] - 1e-9, seconds, side="right"), seconds


def decode_clip(data: bytes | np.ndarray, spec: ClipSpec) -> Clip:
    """Decodes a clip to what the model sees: `spec.frames` frames, area-averaged to its size.

    Of a clip with a fault, what comes before it counts, as in a browser.

    Args:
        data: A GIF, APNG, animated WebP, MP4, MOV, WebM or AVI, or uint8 `(N, H, W, 3)`.
        spec: Frames, height and width.

    Raises:
        ClipError: `still` where there is a single frame; `placeholder` where the clip is the
            picture of a removed one (see `placeholders`); else as `iter_frames`.
    """
    source, clip = _open(data), None
    kind = "array" if isinstance(data, np.ndarray) else sniff(data)
    while clip is None:
        try:
            clip = _sample(kind, source, spec)
        except BadFrame as bad:
            if bad.number == 0:
                raise _corrupt(0, bad.why) from None
            source = source.before(bad)
    alone = len(source.durations) < 2
    if alone and source.fault:
        raise _corrupt(1, source.fault)
    if not isinstance(source, _Array) and stands_still(clip.frames):
        _refuse_placeholder(source)
    if alone:
        raise ClipError("still", "expected a clip of at least 2 frames. Received: a single picture")
    return clip


def _refuse_placeholder(source: Animation | Video) -> None:
    """Looks at more frames, in full size: those that were sampled may have missed a move."""
    count = len(source.durations)
    pictures = source.show(range(0, count, -(-count // LOOKS)))
    try:
        if is_placeholder(np.asarray(picture) for picture in pictures):
            raise ClipError("placeholder", "expected a clip. Received: one tone that never changes")
    except BadFrame:
        pass  # A frame that isn't sampled; the clip is as good as it was.


def _sample(kind: str, source: Animation | Video | _Array, spec: ClipSpec) -> Clip:
    wanted, seconds = sample_times(source.durations, spec.frames)
    numbers, places = np.unique(wanted, return_inverse=True)
    small = np.empty((len(numbers), *spec.shape[1:]), np.uint8)
    for place, picture in enumerate(source.show(numbers.tolist())):
        small[place] = picture.resize((spec.width, spec.height), Image.Resampling.BOX)
    shown = len(source.durations), float(sum(source.durations))
    return Clip(small[places], seconds, Original(kind, *shown, *source.size))
