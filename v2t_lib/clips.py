"""Clips: the bytes of a GIF, animated WebP or APNG to frames, as a browser shows them."""

import dataclasses
import io
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from v2t_lib.downloads import read_url
from v2t_lib.errors import ClipError
from v2t_lib.specs import ClipSpec

#: Transparent pixels lie over this colour.
BACKGROUND = (255, 255, 255)
#: Delays up to 10 ms are a slip of the maker's; browsers show such frames for 100 ms.
HASTY_MS, HASTY_SHOWN_MS = 10, 100
#: Frames in an array say nothing of their time; they count as ten a second.
ARRAY_SECONDS = 0.1
MAX_BYTES = 100 * 2**20
MAX_PIXELS = 4096 * 4096
_FORMATS = ("GIF", "WEBP", "PNG", "JPEG", "BMP", "TIFF")


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
    """The bytes of a file or of an http(s) URL.

    Raises:
        ClipError: Nothing there, not reachable, empty, or over `MAX_BYTES`.
    """
    try:
        if str(source).lower().startswith(("http://", "https://")):
            return read_url(str(source))
        with open(source, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ClipError("gone", f"expected a clip at {source}. Received: no such file") from None
    except OSError as error:
        raise ClipError("unreachable", f"expected a clip at {source}. Received: {error}") from None
    if not data:
        raise ClipError("not-a-clip", f"expected a clip in {source}. Received: no bytes at all")
    if len(data) > MAX_BYTES:
        raise ClipError(
            "too-big", f"expected at most {MAX_BYTES:,} bytes in {source}. Received: more"
        )
    return data


def _open(data: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data), formats=_FORMATS)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ClipError("too-big", f"expected a smaller canvas. Received: {error}") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, struct.error):
        raise ClipError(
            "not-a-clip",
            "expected a GIF, an animated WebP or an animated PNG. "
            f"Received: {len(data)} bytes that begin with {data[:12]!r}",
        ) from None
    if picture.width * picture.height > MAX_PIXELS:
        raise ClipError(
            "too-big",
            f"expected a canvas of at most {MAX_PIXELS:,} pixels. "
            f"Received: {picture.width} x {picture.height}",
        )
    return picture


def _pictures(data: bytes | np.ndarray) -> Iterator[tuple[Image.Image, float]]:
    """Each frame, as Pillow composes it, and its seconds; the picture is valid until the next."""
    if isinstance(data, np.ndarray):
        yield from ((Image.fromarray(frame), ARRAY_SECONDS) for frame in _checked(data))
        return
    picture = _open(data)
    number = 0
    try:
        while True:
            picture.seek(number)
            picture.load()
            delay = picture.info.get("duration", 0)
            yield picture, (delay if delay > HASTY_MS else HASTY_SHOWN_MS) / 1000
            number += 1
    except EOFError:
        pass
    except (OSError, SyntaxError, ValueError, IndexError, struct.error) as error:
        # Pillow reports what it can't decode in any of these; ClipError is what callers wait for.
        raise ClipError(
            "corrupt", f"expected whole frames. Received: {error} in frame {number + 1}"
        ) from None


def _checked(frames: np.ndarray) -> np.ndarray:
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or not frames.size:
        raise ClipError(
            "not-a-clip",
            f"expected uint8 frames (N, H, W, 3). Received: {frames.dtype} {frames.shape}",
        )
    return frames


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode == "RGB":
        return picture.copy()
    canvas = Image.new("RGBA", picture.size, (*BACKGROUND, 255))
    return Image.alpha_composite(canvas, picture.convert("RGBA")).convert("RGB")


def iter_frames(data: bytes) -> Iterator[tuple[np.ndarray, float]]:
    """Yields each frame at its native size, composited over white, and the seconds it shows.

    Args:
        data: The bytes of a GIF, WebP or PNG.

    Yields:
        `(frame, seconds)`: uint8 `(H, W, 3)`, float.

    Raises:
        ClipError: `not-a-clip`, `corrupt` or `too-big`.
    """
    for picture, seconds in _pictures(data):
        yield np.asarray(_rgb(picture)), seconds


def sample_times(durations: list[float], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Which frames to take for `count` samples even in time, and when.

    A sample stands for one of `count` equal slices of the clip and is what shows in its middle.

    Returns:
        int64 `(count,)` frame numbers and float64 `(count,)` seconds.
    """
    ends = np.cumsum(durations)
    seconds = (np.arange(count) + 0.5) / count * ends[-1]
    return np.searchsorted(ends, seconds, side="right"), seconds


def decode_clip(data: bytes | np.ndarray, spec: ClipSpec) -> Clip:
    """Decodes a clip to what the model sees: `spec.frames` frames, area-averaged to its size.

    Args:
        data: The bytes of a GIF, an animated WebP or an animated PNG, or uint8 `(N, H, W, 3)`.
        spec: Frames, height and width.

    Raises:
        ClipError: `still` where there is a single frame; else as `iter_frames`.
    """
    durations, size, kind = [], (0, 0), "array"
    for picture, seconds in _pictures(data):
        durations.append(seconds)
        size, kind = picture.size, (picture.format or kind).lower()
    if len(durations) < 2:
        raise ClipError("still", "expected a clip of at least 2 frames. Received: a single picture")
    wanted, seconds = sample_times(durations, spec.frames)
    frames = np.empty(spec.shape, np.uint8)
    for number, (picture, _) in enumerate(_pictures(data)):
        places = np.flatnonzero(wanted == number)
        if len(places):
            small = _rgb(picture).resize((spec.width, spec.height), Image.Resampling.BOX)
            frames[places] = np.asarray(small)
        if number == wanted[-1]:
            break
    return Clip(frames, seconds, Original(kind, len(durations), sum(durations), *size))
