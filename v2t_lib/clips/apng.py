"""APNG: reads the chunks into subframes, each a PNG file (PNG specification, third edition)."""

import struct
import zlib
from collections.abc import Iterator

from v2t_lib.clips.animation import Subframe

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_png(data: bytes) -> Iterator[tuple[int, int] | Subframe]:
    """Yields the canvas size, then each subframe up to a chunk that breaks the format's rules.

    A PNG without animation has one.

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
            # An APNG's IDAT with no fcTL before it is for readers without APNG support: skip it.
            pixels.append(body)
        elif kind == b"fdAT" and control:
            pixels.append(body[4:])
        elif kind in (b"fcTL", b"IEND"):
            if pixels:
                subframe = _subframe(size, control, data[24:29], shared, b"".join(pixels))
                if subframe is None:
                    return
                yield subframe
                pixels = []
                count = count - 1 if count else None
            if kind == b"IEND" or count == 0:
                return
            control = body


def _chunks(data: bytes, at: int) -> Iterator[tuple[bytes, bytes]]:
    """Yields the type and body of each chunk up to the first with a wrong checksum."""
    while True:
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        if struct.unpack_from(">I", data, at + 8 + length)[0] != zlib.crc32(kind + body):
            return
        yield kind, body
        at += 12 + length


def _subframe(
    size: tuple[int, int], control: bytes | None, header: bytes, shared: bytes, pixels: bytes
) -> Subframe | None:
    """A subframe by the body of its fcTL chunk, if it has one; None if it is invalid."""
    width, height, left, top, delay, per, disposal, blend = *size, 0, 0, 0, 0, 0, 0
    if control is not None:
        fields = struct.unpack_from(">4x4I2H2B", control)
        width, height, left, top, delay, per, disposal, blend = fields
    box = (left, top, left + width, top + height)
    if not (width and height and box[2] <= size[0] and box[3] <= size[1] and disposal < 3):
        return None
    header = _chunk(b"IHDR", struct.pack(">II", width, height) + header)
    file = _SIGNATURE + header + shared + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")
    return Subframe(
        box=box,
        milliseconds=1000 * delay // (per or 100),
        disposal=disposal,  # numbered as KEEP, CLEAR and RESTORE are
        blend=bool(blend),
        data=file,
    )


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
