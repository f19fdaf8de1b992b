"""Draws APNGs for the tests of the decoder."""

import struct
import zlib

import numpy as np

from helpers.gif_writer import HEIGHT, PALETTE, WIDTH, pattern


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _scan(pixels: np.ndarray, filters: bool = True) -> bytes:
    """PNG scan lines, compressed; every other one filtered by the line above."""
    rows = pixels.reshape(len(pixels), -1)
    if pixels.dtype == ">u2":
        rows = pixels.reshape(len(pixels), -1).view(np.uint8)
    out, before = b"", np.zeros(rows.shape[1], np.uint8)
    for n, row in enumerate(rows):
        up = filters and n % 2
        out += bytes([2 if up else 0]) + (row - before if up else row).astype(np.uint8).tobytes()
        before = row
    return zlib.compress(out)


COLOUR_TYPES = {"grey": 0, "rgb": 2, "palette": 3, "grey-alpha": 4, "rgba": 6}


def apng(frames, kind="rgba", size=(WIDTH, HEIGHT), extra=b"", hidden=None, count=None) -> bytes:
    """An APNG of `(pixels, (x, y), (delay, of), dispose, blend)`; `hidden` is for old readers."""
    depth = 16 if frames[0][0].dtype == ">u2" else 8
    out = b"\x89PNG\r\n\x1a\n"
    out += chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, COLOUR_TYPES[kind], 0, 0, 0))
    out += chunk(b"acTL", struct.pack(">II", len(frames) if count is None else count, 0)) + extra
    if hidden is not None:
        out += chunk(b"IDAT", _scan(hidden))
    number = 0
    for n, (pixels, at, delay, dispose, blend) in enumerate(frames):
        box = (pixels.shape[1], pixels.shape[0], *at)
        out += chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, *box, *delay, dispose, blend))
        number += 1
        if n == 0 and hidden is None:
            out += chunk(b"IDAT", _scan(pixels))
        else:
            out += chunk(b"fdAT", struct.pack(">I", number) + _scan(pixels))
            number += 1
    return out + chunk(b"IEND", b"")


def rgba(number: int, width: int = WIDTH, height: int = HEIGHT, alpha: str = "some") -> np.ndarray:
    """A picture uint8 `(height, width, 4)`, partly see-through unless `alpha` is "none"."""
    picture = np.full((height, width, 4), 255, np.uint8)
    picture[..., :3] = PALETTE[pattern(number, width, height)]
    if alpha != "none":
        levels = np.array([255, 0, 128, 255, 60, 200, 255, 3], np.uint8)
        picture[..., 3] = levels[pattern(number + 3, width, height)]
    return picture


def apng_corpus() -> dict[str, bytes]:
    places = [((0, 0), WIDTH, HEIGHT), ((4, 3), 12, 9), ((9, 7), 13, 10), ((0, 5), 20, 6)]
    clips = {}
    for dispose in range(3):
        for blend in range(2):
            clips[f"apng-dispose-{dispose}-blend-{blend}"] = apng(
                [
                    (rgba(n, w, h), at, (n + 4, 100), dispose, blend)
                    for n, (at, w, h) in enumerate(places)
                ]
            )
    clips["apng-opaque"] = apng(
        [
            (rgba(n, w, h, "none")[..., :3], at, (1, 20), 0, 0)
            for n, (at, w, h) in enumerate(places)
        ],
        "rgb",
    )
    clips["apng-hidden"] = apng(
        [(rgba(n), (0, 0), (1, 10), 0, 0) for n in (1, 2)], hidden=rgba(7, alpha="none")
    )
    clips["apng-delays"] = apng(
        [
            (rgba(n), (0, 0), d, 0, 0)
            for n, d in enumerate(((0, 0), (1, 0), (0, 7), (1, 100), (3, 7)))
        ]
    )
    indexed = [(pattern(n, w, h), at, (1, 10), 0, 1) for n, (at, w, h) in enumerate(places)]
    table = chunk(b"PLTE", PALETTE.tobytes())
    clips["apng-palette"] = apng(indexed, "palette", extra=table)
    clips["apng-palette-clear"] = apng(
        indexed, "palette", extra=table + chunk(b"tRNS", bytes([255, 0, 128, 255, 40]))
    )
    grey = [(p[0] * 30, *p[1:]) for p in indexed]
    clips["apng-grey"] = apng(grey, "grey")
    clips["apng-grey-clear"] = apng(grey, "grey", extra=chunk(b"tRNS", struct.pack(">H", 60)))
    clips["apng-grey-alpha"] = apng(
        [(rgba(n)[..., [0, 3]], (0, 0), (1, 10), 0, 1) for n in range(3)], "grey-alpha"
    )
    clips["apng-rgb-clear"] = apng(
        [(rgba(n, w, h)[..., :3], at, (1, 10), 0, 1) for n, (at, w, h) in enumerate(places)],
        "rgb", extra=chunk(b"tRNS", struct.pack(">HHH", 255, 0, 0)),
    )  # fmt: skip
    clips["apng-16-bit"] = apng(
        [(rgba(n, alpha="none").astype(">u2") * 257, (0, 0), (1, 10), 0, 0) for n in range(2)]
    )
    clips["apng-fewer-than-said"] = apng(
        [(rgba(n), (0, 0), (1, 10), 0, 0) for n in range(3)], count=5
    )
    clips["apng-more-than-said"] = apng(
        [(rgba(n), (0, 0), (1, 10), 0, 0) for n in range(3)], count=2
    )
    clips["apng-one-frame"] = apng([(rgba(1), (0, 0), (1, 10), 0, 0)])
    return clips
