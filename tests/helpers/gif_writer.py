"""Writes GIFs byte by byte, as no library writes the corner cases that the tests need."""

import struct

import numpy as np

WIDTH, HEIGHT = 24, 18
PALETTE = np.array(
    [[0, 0, 0], [255, 0, 0], [0, 200, 0], [0, 0, 255], [255, 255, 0], [0, 255, 255]]
    + [[255, 0, 255], [250, 250, 250]],
    np.uint8,
)
OTHER = PALETTE[::-1] // 2 + 40
WIDE = np.stack([np.arange(256), np.arange(256)[::-1], np.arange(256) * 7 % 256], 1).astype(
    np.uint8
)


def pattern(number: int, width: int, height: int, colours: int = 8) -> np.ndarray:
    """A picture uint8 `(height, width)` of `colours` indices that differs from number to number."""
    y, x = np.mgrid[:height, :width]
    return ((x // 3 + y // 2 * 3 + number * 5 + (x * y + number) % 7 // 5) % colours).astype(
        np.uint8
    )


def lzw(pixels: np.ndarray, bits: int, *, clear=True, end=True, full="clear") -> bytes:
    """LZW as GIF has it; `full` says what follows a full table: a "clear" code, or "keep" it."""
    pixels = pixels.astype(np.uint8).tobytes()
    first = 1 << bits
    codes: list[tuple[int, int]] = [(first, bits + 1)] if clear else []
    table, size, prefix = {bytes([n]): n for n in range(256)}, bits + 1, b""
    after = first + 2
    for n in range(len(pixels)):
        value = pixels[n : n + 1]
        if prefix + value in table:
            prefix += value
            continue
        codes.append((table[prefix], size))
        if after < 4096:
            table[prefix + value] = after
            after += 1
            size = min(12, (after - 1).bit_length())
        elif full == "clear":
            codes.append((first, size))
            table, size, after = {bytes([n]): n for n in range(256)}, bits + 1, first + 2
        prefix = value
    if prefix:
        codes.append((table[prefix], size))
        size = min(12, after.bit_length()) if after < 4096 else 12
    if end:
        codes.append((first + 1, size))
    return pack_codes(codes)


def pack_codes(codes: list[tuple[int, int]]) -> bytes:
    """`(code, bits)` pairs, lowest bit first."""
    total, at = 0, 0
    for code, size in codes:
        total |= code << at
        at += size
    return total.to_bytes((at + 7) // 8, "little")


def blocks(data: bytes, size: int = 255) -> bytes:
    """GIF sub-blocks of `data`, and the empty one that ends them."""
    parts = [data[n : n + size] for n in range(0, len(data), size)]
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def _table(palette) -> tuple[int, bytes]:
    if palette is None:
        return 0, b""
    size = max(1, (len(palette) - 1).bit_length())
    return 0x80 | (size - 1), palette.tobytes().ljust(3 << size, b"\0")


def screen(size=(WIDTH, HEIGHT), palette=PALETTE, background=0, version=b"GIF89a") -> bytes:
    flags, table = _table(palette)
    return version + struct.pack("<HHBBB", *size, flags, background, 0) + table


def loop(times: int) -> bytes:
    return b"!\xff\x0bNETSCAPE2.0" + blocks(b"\1" + struct.pack("<H", times))


def control(delay=5, disposal=0, transparent=None) -> bytes:
    """A graphic control extension; `delay` in hundredths of a second."""
    flags = disposal << 2 | (transparent is not None)
    return b"!\xf9" + blocks(struct.pack("<BHB", flags, delay, transparent or 0))


def image(pixels, at=(0, 0), palette=None, interlaced=False, bits=None, data=None) -> bytes:
    """An image block; `data` replaces the LZW bytes of `pixels`."""
    height, width = pixels.shape
    flags, table = _table(palette)
    bits = bits or max(2, int(pixels.max(initial=0)).bit_length())
    if interlaced:
        pixels = np.vstack([pixels[0::8], pixels[4::8], pixels[2::4], pixels[1::2]])
    if data is None:
        data = lzw(pixels, bits)
    head = b"," + struct.pack("<HHHHB", *at, width, height, flags | interlaced << 6)
    return head + table + bytes([bits]) + blocks(data)


def gif(*parts: bytes, head: bytes | None = None, trailer: bytes = b";") -> bytes:
    return (screen() if head is None else head) + b"".join(parts) + trailer
