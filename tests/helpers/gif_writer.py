"""Writes GIFs byte by byte, as no library writes the corner cases that the tests need."""

import struct
from random import Random

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 24, 18
PALETTE = np.array(
    [[0, 0, 0], [255, 0, 0], [0, 200, 0], [0, 0, 255], [255, 255, 0], [0, 255, 255]]
    + [[255, 0, 255], [250, 250, 250]],
    np.uint8,
)
OTHER = PALETTE[::-1] // 2 + 40


def pattern(number: int, width: int, height: int) -> np.ndarray:
    """A picture uint8 `(height, width)` of eight indices that differs from number to number."""
    y, x = np.mgrid[:height, :width]
    return ((x // 3 + y // 2 * 3 + number * 5 + (x * y + number) % 7 // 5) % 8).astype(np.uint8)


def _table(palette) -> tuple[int, bytes]:
    if palette is None:
        return 0, b""
    size = max(1, (len(palette) - 1).bit_length())
    return 0x80 | (size - 1), palette.tobytes().ljust(3 << size, b"\0")


def screen(size=(WIDTH, HEIGHT)) -> bytes:
    flags, table = _table(PALETTE)
    return b"GIF89a" + struct.pack("<HHBBB", *size, flags, 0, 0) + table


def control(delay=5, disposal=0, transparent=None) -> bytes:
    """A graphic control extension; `delay` in hundredths of a second."""
    flags = disposal << 2 | (transparent is not None)
    return b"!\xf9\x04" + struct.pack("<BHB", flags, delay, transparent or 0) + b"\0"


def image(pixels, at=(0, 0), palette=None, interlaced=False, empty=False) -> bytes:
    """An image block of uint8 indices `(height, width)`; `empty` has no data."""
    height, width = pixels.shape
    flags, table = _table(palette)
    if interlaced:
        pixels = np.vstack([pixels[0::8], pixels[4::8], pixels[2::4], pixels[1::2]])
    data = b"" if empty else Image.fromarray(pixels).tobytes("gif", "L", 8)
    head = b"," + struct.pack("<HHHHB", *at, width, height, flags | interlaced << 6)
    return head + table + b"\x08" + data + b"\0"


def gif(*parts: bytes, head: bytes | None = None, trailer: bytes = b";") -> bytes:
    return (screen() if head is None else head) + b"".join(parts) + trailer


def random_gif(seed: int) -> bytes:
    """Up to seven frames with one palette or two, any boxes, disposals and transparent indices."""
    # Of Python's generators this one gives the same for a seed in every version.
    random = Random(seed).random

    def below(limit: int) -> int:
        return int(limit * random())

    parts, several, agreed = [], random() < 0.2, random() < 0.3
    for _ in range(1 + below(7)):
        left, top, width, height = 0, 0, WIDTH, HEIGHT
        if random() < 0.5:
            left, top, width, height = below(12), below(12), 1 + below(20), 1 + below(20)
        colours = 1 + below(8)
        pixels = np.array([below(colours) for _ in range(width * height)], np.uint8)
        disposal = (0, 1, 1, 1, 2, 3)[below(6)]
        transparent = 3 if agreed else (None, below(9))[below(2)]
        local = OTHER if several and random() < 0.5 else None
        pixels = pixels.reshape(height, width)
        parts.append(control(5, disposal, transparent))
        parts.append(image(pixels, (left, top), local, interlaced=random() < 0.5))
    return gif(*parts)
