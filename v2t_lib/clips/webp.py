"""Animated WebP: reads the chunks into subframes, each a WebP file (RFC 9649)."""

import struct
from collections.abc import Iterator

from v2t_lib.clips.subframe import CLEAR, KEEP, Subframe


def read_webp(data: bytes) -> Iterator:
    """Yields the canvas size, then each `Subframe`; a WebP without animation has one.

    Stops at the first chunk that breaks the format's rules.

    Raises:
        IndexError, struct.error: The file is cut off.
    """
    chunks = _chunks(data, 12)
    kind, body = next(chunks, (b"", b""))
    if kind != b"VP8X" or not body[0] & 2:
        found = {kind: body} | dict(chunks)
        size = _size(found)
        yield size
        yield Subframe((0, 0, *size), 0, KEEP, False, _file(found, size))
        return
    width, height = _uint24(body, 4) + 1, _uint24(body, 7) + 1
    yield width, height
    for kind, body in chunks:
        if kind != b"ANMF":
            continue
        left, top = 2 * _uint24(body, 0), 2 * _uint24(body, 3)
        box = (left, top, left + _uint24(body, 6) + 1, top + _uint24(body, 9) + 1)
        found = dict(_chunks(body, 16))
        size = _size(found)
        if box[2] > width or box[3] > height or size != (box[2] - left, box[3] - top):
            return
        disposal, blend = CLEAR if body[15] & 1 else KEEP, not body[15] & 2
        yield Subframe(box, _uint24(body, 12), disposal, blend, _file(found, size))


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


def _size(chunks: dict[bytes, bytes]) -> tuple[int, int]:
    """Width and height in the bitstream's own header, which the decoder allocates by."""
    if b"VP8L" in chunks:
        bits = struct.unpack_from("<I", chunks[b"VP8L"], 1)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", chunks.get(b"VP8 ", b""), 6)
    return width & 0x3FFF, height & 0x3FFF


def _file(chunks: dict[bytes, bytes], size: tuple[int, int]) -> bytes:
    """A still WebP file made of the chunks that hold pixels."""
    kinds = (b"VP8L",) if b"VP8L" in chunks else (b"ALPH", b"VP8 ")
    kept = [(kind, chunks[kind]) for kind in kinds if kind in chunks]
    if kept[0][0] == b"ALPH":
        sides = b"".join(struct.pack("<I", side - 1)[:3] for side in size)
        kept.insert(0, (b"VP8X", struct.pack("<I", 0x10) + sides))
    body = b"WEBP"
    for kind, chunk in kept:
        body += struct.pack("<4sI", kind, len(chunk)) + chunk + b"\0" * (len(chunk) % 2)
    return struct.pack("<4sI", b"RIFF", len(body)) + body
