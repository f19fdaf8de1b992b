"""APNG: reads the chunks into subframes, each a PNG file (PNG specification, third edition)."""

import contextlib
import dataclasses
import struct
import zlib
from collections.abc import Iterator

from v2t_lib.clips.animation import Subframe
from v2t_lib.clips.colour import PRIMARIES, ColourSpace

_COLOURS = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM")
#: Without chromaticities, a gamma within this share of the usual one is sRGB.
_USUAL_GAMMA, _CLOSE = 1 / 2.2, 0.05
_LARGEST_PROFILE = 1 << 24
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
    about: dict[bytes, bytes] = {}  # what the file says of its colours
    for kind, body in _chunks(data, 33):
        if kind in (b"PLTE", b"tRNS"):
            shared += _chunk(kind, body)
        elif kind in _COLOURS and not pixels:
            about.setdefault(kind, body)
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
                yield dataclasses.replace(subframe, colours=_colours(about, data[25]))
                pixels = []
                count = count - 1 if count else None
            if kind == b"IEND" or count == 0:
                return
            control = body


def _colours(about: dict[bytes, bytes], kind: int) -> ColourSpace | bytes | None:
    """What these chunks of a PNG say, in the specification's order; None for sRGB.

    `kind` is the picture's: profiles of greys are for pictures of greys.
    """
    code = about.get(b"cICP", b"")
    if code[2:] == b"\0\1" and (space := ColourSpace.coded(code[0], code[1])):
        return space
    with contextlib.suppress(zlib.error):
        packed = about.get(b"iCCP", b"").partition(b"\0")[2][1:]
        profile = zlib.decompressobj().decompress(packed, _LARGEST_PROFILE)
        if profile[36:40] == b"acsp":
            return profile if profile[16:20] == b"RGB " or kind in (0, 4) else None
    gamma = int.from_bytes(about.get(b"gAMA", b"")) / 1e5
    if b"sRGB" in about or not gamma:
        return None
    primaries = PRIMARIES[1]
    if len(about.get(b"cHRM", b"")) == 32:
        primaries = tuple(part / 1e5 for part in struct.unpack(">8I", about[b"cHRM"]))
    elif abs(gamma / _USUAL_GAMMA - 1) < _CLOSE:
        return None
    return ColourSpace(primaries, 0, 1 / gamma)


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
