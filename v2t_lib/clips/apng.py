"""APNGs: their chunks to parts, each a PNG of its own (the PNG specification, third edition)."""

import struct
import zlib
from collections.abc import Iterator

from v2t_lib.clips.subframe import Part

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_png(data: bytes) -> Iterator:
    """Yields the canvas's size, then each part; of a PNG that isn't animated, its one picture.

    Ends where the format's rules are broken.

    Raises:
        IndexError, struct.error: The file is cut off.
    """
    size = struct.unpack_from(">II", data, 16)
    yield size
    shared, control, pixels, count = b"", None, [], None
    for kind, body in _chunks(data, 33):
        if kind in (b"PLTE", b"tRNS"):
            shared += _chunk(kind, body)
        elif kind == b"acTL" and not pixels:
            count = struct.unpack_from(">I", body)[0]
        elif kind == b"IDAT" and (count is None or control):
            # Without a control chunk before it, an APNG's IDAT is for readers that know no APNG.
            pixels.append(body)
        elif kind == b"fdAT" and control:
            pixels.append(body[4:])
        elif kind in (b"fcTL", b"IEND"):
            if pixels:
                part = _part(size, control, data[24:29], shared, pixels)
                if part is None:
                    return
                yield part
                pixels = []
                count = count - 1 if count else None
            if kind == b"IEND" or count == 0:
                return
            control = body


def _chunks(data: bytes, at: int) -> Iterator[tuple[bytes, bytes]]:
    while True:
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        if struct.unpack_from(">I", data, at + 8 + length)[0] != zlib.crc32(kind + body):
            return
        yield kind, body
        at += 12 + length


def _part(size, control, header, shared, pixels) -> Part | None:
    """The part that an fcTL chunk, None for a still, describes; None where it breaks the rules."""
    width, height, left, top, delay, per, after, over = *size, 0, 0, 0, 0, 0, 0
    if control is not None:
        width, height, left, top, delay, per, after, over = struct.unpack_from(">4x4I2H2B", control)
    box = (left, top, left + width, top + height)
    if not (width and height and box[2] <= size[0] and box[3] <= size[1] and after < 3):
        return None
    # A part's disposal has the file's own numbers: 0 keeps, 1 clears, 2 brings back.
    header = _chunk(b"IHDR", struct.pack(">II", width, height) + header)
    file = _SIGNATURE + header + shared + _chunk(b"IDAT", b"".join(pixels)) + _chunk(b"IEND", b"")
    return Part(box, 1000 * delay // (per or 100), after, bool(over), file)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
