"""WebP, animated (RFC 9649) or not, and still JPEG and BMP, whose pictures Pillow decodes.

Pillow's own reading of animated WebP gives nothing of a file that is cut off.
"""

import io
import struct
import warnings
from collections.abc import Iterator

from PIL import ExifTags, Image

from v2t_lib.clips.animation import CLEAR, KEEP, Subframe
from v2t_lib.errors import ClipError


def read_still(data: bytes) -> Iterator[tuple[int, int] | Subframe]:
    """Yields the size of a still picture, then its one subframe."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data), formats=("JPEG", "BMP", "WEBP"))
        # Orientations 5 to 8 swap width and height when `Subframe.draw` applies them.
        profile = picture.info.get("icc_profile", b"")
        turned = picture.format == "JPEG" and picture.getexif().get(ExifTags.Base.Orientation, 1)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ClipError("too-big", f"expected a smaller picture. Received: {error}") from None
    except Exception:
        return  # Pillow raises many kinds of exception; each means that there is no picture.
    width, height = picture.size[::-1] if turned in (5, 6, 7, 8) else picture.size
    yield width, height
    yield Subframe(box=(0, 0, width, height), data=data, colours=profile)


def read_webp(data: bytes) -> Iterator[tuple[int, int] | Subframe]:
    """Yields the canvas size, then each subframe up to a chunk that breaks the format's rules.

    Raises:
        IndexError: The file is cut off.
    """
    if data[12:16] != b"VP8X" or not data[20] & 2:
        yield from read_still(data)
        return
    canvas = _uint24(data, 24) + 1, _uint24(data, 27) + 1
    yield canvas
    for kind, body in _chunks(data, 30):
        if kind != b"ANMF":
            continue
        left, top, width, height, delay = (_uint24(body, at) for at in range(0, 15, 3))
        box = (2 * left, 2 * top, 2 * left + width + 1, 2 * top + height + 1)
        if box[2] > canvas[0] or box[3] > canvas[1]:
            return
        # A still WebP with transparency, of the frame's size: libwebp refuses pixels of another.
        header = b"WEBPVP8X\x0a\0\0\0\x10\0\0\0" + body[6:12]
        file = struct.pack("<4sI", b"RIFF", len(header + body) - 16) + header + body[16:]
        yield Subframe(
            box=box,
            milliseconds=delay,
            disposal=CLEAR if body[15] & 1 else KEEP,
            blend=not body[15] & 2,
            data=file,
        )


def _uint24(data: bytes, at: int) -> int:
    return data[at] | data[at + 1] << 8 | data[at + 2] << 16


def _chunks(data: bytes, at: int) -> Iterator[tuple[bytes, bytes]]:
    """Yields the type and body of each RIFF chunk up to the first that is cut off."""
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        if at + 8 + length > len(data):
            return
        yield kind, data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
