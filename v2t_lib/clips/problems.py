"""Reasons to refuse a file: another format, too large, a notice that the clip was removed.

Headers are checked before anything of the size that they state is allocated.
"""

import mmap
import struct
from collections.abc import Iterable

import numpy as np

from v2t_lib.errors import ClipError
from v2t_lib.signatures import CONVERT, HEAD, what_is

#: Size in bytes of a file, except a local video's.
MAX_BYTES = 100 * 2**20
#: Pixels of one picture: 4096 x 2304, in any shape.
MAX_PIXELS = 4096 * 2304
#: Frames of an animation, and of a video: four hours at 60 a second.
MAX_FRAMES, MAX_VIDEO_FRAMES = 20_000, 2**20
#: Pixels to decode for one request, of an animation (2,600 frames of 500 x 400) and of a video,
#: which decodes faster (4,142 frames of 1920 x 1080).
MAX_DECODED, MAX_VIDEO_DECODED = 2**29, 2**33

VIDEOS = ("mov", "matroska", "avi")
_SIGNATURES = (
    ("gif", 0, b"GIF87a"),
    ("gif", 0, b"GIF89a"),
    ("png", 0, b"\x89PNG\r\n\x1a\n"),
    ("webp", 8, b"WEBP"),
    ("jpeg", 0, b"\xff\xd8\xff"),
    ("avi", 8, b"AVI "),
    ("matroska", 0, b"\x1a\x45\xdf\xa3"),
    ("bmp", 0, b"BM"),
)
_MOV_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
#: What a piece of a stream begins with, after the first one, which has the index.
PIECES = (b"styp", b"sidx", b"moof", b"emsg", b"prft")
#: Boxes of an MP4 that are looked at, to tell why it gives no frames.
_BOXES = 10_000
_SHRINK = (
    "scale it down first, with a key frame every 30 frames: "
    "ffmpeg -i IN -vf scale=-2:480 -g 30 OUT.mp4"
)


class FrameError(Exception):
    """A frame that doesn't decode, by its number from 0; those before it may still be used."""

    def __init__(self, number: int, reason: object):
        super().__init__(number, reason)
        self.number, self.reason = number, str(reason) or type(reason).__name__


def sniff(data: bytes | mmap.mmap) -> str:
    """The format by a file's first bytes: "gif", "png", "webp", "jpeg", "bmp" or one of `VIDEOS`.

    MP4, MOV and AVIF share the name "mov" and WebM is "matroska", as in FFmpeg.

    Raises:
        ClipError: `not-a-clip` for any other file, `too-big` for pictures over `MAX_BYTES`.
    """
    for name, at, signature in _SIGNATURES:
        if data[at : at + len(signature)] == signature:
            if name not in VIDEOS and len(data) > MAX_BYTES:
                raise _too_big(f"{MAX_BYTES:,} bytes", f"{len(data):,}; {_SHRINK}")
            return name
    if data[4:8] in _MOV_BOXES + PIECES:
        return "mov"
    head = bytes(data[:HEAD])
    unknown = f"{len(data):,} bytes that begin with {head[:12]!r}; if it is a video, {CONVERT}"
    read, what = "GIF, APNG, WebP, AVIF, MP4, WebM, MOV, AVI", what_is(head) or unknown
    raise ClipError("not-a-clip", f"expected {read} or a picture. Received: {what}")


def lacking(kind: str, data: bytes | mmap.mmap) -> str:
    """What an MP4 or MOV that gives no frames lacks, and what to do; "" where that isn't known."""
    if kind != "mov":
        return ""
    names, at = set(), 0
    for _ in range(_BOXES):
        if at + 8 > len(data):
            break
        size, name = struct.unpack_from(">I4s", data, at)
        names.add(name)
        size = int.from_bytes(data[at + 8 : at + 16], "big") if size == 1 else size
        at += size if size >= 8 else len(data)
    if b"moov" in names:
        alone = "the first piece (init segment) of a stream alone; join it with the pieces after it"
        return "" if names & {b"mdat", b"moof"} else alone
    if names & {*PIECES}:
        return (
            "a piece of a stream without its beginning (init segment); join them first: "
            "cat INIT PIECES > OUT.mp4"
        )
    index = "one without its index, as where a download or recording was cut off; get it anew"
    return what_is(data[:HEAD]) or index


def _too_big(most: str, received: str) -> ClipError:
    return ClipError("too-big", f"expected at most {most}. Received: {received}")


def check_canvas(width: int, height: int) -> None:
    """Refuses a picture without pixels as `corrupt`, one over `MAX_PIXELS` as `too-big`."""
    if width < 1 or height < 1:
        raise ClipError("corrupt", f"expected a canvas. Received: {width} x {height} pixels")
    if width * height > MAX_PIXELS:
        most = f"{MAX_PIXELS:,} pixels, such as 4096 x 2304"
        raise _too_big(most, f"{width} x {height}; {_SHRINK}")


def check_frames(count: int, limit: int) -> None:
    """Refuses more frames than `limit` as `too-big`."""
    if count > limit:
        cut = "more; cut out a minute first: ffmpeg -i IN -t 60 OUT"
        raise _too_big(f"{limit:,} frames", cut)


def check_decoded(pixels: int, size: tuple[int, int], limit: int = MAX_DECODED) -> None:
    """Refuses as `too-big` to decode and compose more pixels than `limit`, in frames of `size`."""
    if pixels > limit:
        width, height = size
        most, received = (count // (width * height) for count in (limit, pixels))
        expected = f"{most:,} frames of {width} x {height} to decode"
        raise _too_big(expected, f"{received:,}; {_SHRINK}")


#: A placeholder is what image hosts serve for a removed clip: one plain colour with a line or two
#: of small text, which doesn't move. In levels of 255, on the channel that differs most: no pixel
#: of any frame differs by more than `STILL_LEVELS` from the first frame, and `UNIFORM_SHARE` of the
#: first frame's pixels are within `UNIFORM_LEVELS` of its median colour.
STILL_LEVELS, UNIFORM_LEVELS, UNIFORM_SHARE = 8, 16, 0.9


def is_static(frames: np.ndarray) -> bool:
    """Whether uint8 frames `(T, H, W, 3)` differ by at most `STILL_LEVELS` from one another."""
    return int((frames.max(axis=0) - frames.min(axis=0)).max()) <= STILL_LEVELS


def uniform_share(frame: np.ndarray) -> float:
    """The share of pixels of uint8 `(H, W, 3)` within `UNIFORM_LEVELS` of their median colour."""
    near = np.ones(frame.shape[:2], bool)
    for channel in np.moveaxis(frame, -1, 0):  # five times as fast as NumPy's median
        below = np.bincount(channel.ravel(), minlength=256).cumsum()
        median = int(np.searchsorted(below, channel.size / 2))
        near &= channel >= max(median - UNIFORM_LEVELS, 0)
        near &= channel <= min(median + UNIFORM_LEVELS, 255)
    return float(near.mean())


def is_placeholder(frames: Iterable[np.ndarray]) -> bool:
    """Whether frames, uint8 `(H, W, 3)` at their native size, are a host's placeholder."""
    frames = iter(frames)
    first = next(frames)
    if uniform_share(first) < UNIFORM_SHARE:
        return False
    return all(
        frame.shape == first.shape and is_static(np.stack([first, frame])) for frame in frames
    )
