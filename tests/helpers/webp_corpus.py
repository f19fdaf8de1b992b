"""Draws animated WebPs for the tests of the decoder."""

import io
import struct

import numpy as np
from PIL import Image

from helpers.apng_corpus import rgba
from helpers.gif_writer import HEIGHT, WIDTH


def _riff(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def _webp_picture(pixels: np.ndarray, lossless: bool) -> bytes:
    """The chunks of a still WebP that a frame of an animated one holds."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", lossless=lossless, exact=True, quality=80)
    data, at, out = file.getvalue(), 12, b""
    while at < len(data):
        size = struct.unpack("<I", data[at + 4 : at + 8])[0]
        if data[at : at + 4] in (b"ALPH", b"VP8 ", b"VP8L"):
            out += data[at : at + 8 + size + size % 2]
        at += 8 + size + size % 2
    return out


def webp(frames, size=(WIDTH, HEIGHT), lossless=True, background=(255, 0, 0, 255)) -> bytes:
    """An animated WebP of `(pixels, (x, y), milliseconds, dispose, over)`; places are even."""

    def three(n: int) -> bytes:
        return struct.pack("<I", n)[:3]

    body = _riff(b"VP8X", struct.pack("<I", 0x12) + three(size[0] - 1) + three(size[1] - 1))
    body += _riff(b"ANIM", bytes(background) + b"\0\0")
    for pixels, at, delay, dispose, over in frames:
        head = three(at[0] // 2) + three(at[1] // 2)
        head += three(pixels.shape[1] - 1) + three(pixels.shape[0] - 1) + three(delay)
        head += bytes([dispose | (not over) << 1])
        body += _riff(b"ANMF", head + _webp_picture(pixels, lossless))
    return _riff(b"RIFF", b"WEBP" + body)


def webp_corpus() -> dict[str, bytes]:
    # The bytes of lossy files depend on the encoder, so the goldens keep those they were made of.
    places = [((0, 0), WIDTH, HEIGHT), ((4, 2), 12, 9), ((8, 6), 13, 10), ((0, 4), 20, 6)]
    clips = {}
    for dispose in range(2):
        for over in range(2):
            clips[f"webp-dispose-{dispose}-over-{over}"] = webp(
                [(rgba(n, w, h), at, 40 + n, dispose, over) for n, (at, w, h) in enumerate(places)]
            )
    clips["webp-opaque"] = webp(
        [(rgba(n, w, h, "none")[..., :3], at, 50, 0, 0) for n, (at, w, h) in enumerate(places)]
    )
    for alpha in ("none", "some"):
        clips[f"webp-lossy-alpha-{alpha}"] = webp(
            [(rgba(n, w, h, alpha), at, 50, 0, 1) for n, (at, w, h) in enumerate(places)],
            lossless=False,
        )
    clips["webp-first-smaller"] = webp([(rgba(n, 10, 8), (6, 4), 50, 0, 1) for n in range(3)])
    clips["webp-delays"] = webp(
        [(rgba(n), (0, 0), d, 0, 0) for n, d in enumerate((0, 5, 10, 11, 20, 9000))]
    )
    clips["webp-one-frame"] = webp([(rgba(1), (0, 0), 50, 0, 0)])
    return clips
