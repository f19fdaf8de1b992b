"""Colours as Chromium 156 shows them: levels measured there by `benchmarks/chromium_goldens.py`."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from v2t_lib.clips.colour import HLG, PQ, ColourSpace, to_srgb
from v2t_lib.clips.decode import iter_frames

SRGB_PRIMARIES = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
P3_PRIMARIES = (0.3127, 0.3290, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
PLAIN = [(55, 55, 55), (117, 251, 76)]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def gamma(value):
    return chunk(b"gAMA", struct.pack(">I", round(1e5 * value)))


def primaries(values):
    return chunk(b"cHRM", struct.pack(">8I", *(round(1e5 * value) for value in values)))


def profile(data=None):
    data = data or ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return chunk(b"iCCP", b"name\0\0" + zlib.compress(data))


def coded(*numbers):
    return chunk(b"cICP", bytes(numbers))


def shown(chunks: bytes, mode: str = "RGB") -> list[tuple[int, ...]]:
    """What an APNG's first frame of `PLAIN` shows with these chunks."""
    pictures = [Image.new("RGB", (2, 1)), Image.new("RGB", (2, 1), "white")]
    pictures[0].putdata(PLAIN)
    pictures = [
        picture.quantize() if mode == "P" else picture.convert(mode) for picture in pictures
    ]
    file = io.BytesIO()
    pictures[0].save(file, "PNG", save_all=True, append_images=pictures[1:], duration=50)
    data = file.getvalue()
    frame, _ = next(iter_frames(data[:33] + chunks + data[33:]))
    return [tuple(map(int, pixel)) for pixel in frame[0]]


@pytest.mark.parametrize("mode", ["RGB", "P", "RGBA"])
@pytest.mark.parametrize(
    ("chunks", "grey", "green"),
    [
        (b"", *PLAIN),
        (gamma(1), (128, 128, 128), (180, 253, 148)),
        (gamma(0.5), (61, 61, 61), (127, 251, 84)),
        (gamma(0.47), *PLAIN),  # as good as usual
        (gamma(0.45455) + primaries(SRGB_PRIMARIES), (52, 52, 52), (118, 251, 75)),
        (gamma(0.45455) + primaries(P3_PRIMARIES), (52, 52, 52), (11, 255, 0)),
        (primaries(P3_PRIMARIES), *PLAIN),  # without a gamma
        (gamma(1) + primaries((0,) * 8), (128, 128, 128), (180, 253, 148)),
        (chunk(b"sRGB", b"\0") + gamma(1), *PLAIN),
        (gamma(1) + profile(), *PLAIN),
        (gamma(1) + profile(b"no profile"), (128, 128, 128), (180, 253, 148)),
        (coded(12, 13, 0, 1), (55, 55, 55), (2, 255, 0)),
        (coded(12, 13, 0, 1) + gamma(1), (55, 55, 55), (2, 255, 0)),
        (coded(12, 13, 0, 0) + gamma(1), (128, 128, 128), (180, 253, 148)),  # not full range
        (coded(12, 9, 0, 1), *PLAIN),  # a transfer function that browsers lack
        (coded(1, 1, 0, 1), (44, 44, 44), (109, 251, 66)),
        (coded(1, 4, 0, 1), (52, 52, 52), (118, 251, 75)),
        (coded(1, 5, 0, 1), (31, 31, 31), (94, 250, 52)),
        (coded(1, 8, 0, 1), (128, 128, 128), (180, 253, 148)),
        (coded(4, 13, 0, 1), (55, 55, 55), (0, 246, 48)),
        (coded(5, 13, 0, 1), (55, 55, 55), (106, 251, 81)),
        (coded(6, 13, 0, 1), *PLAIN),
        (coded(9, 13, 0, 1), (55, 55, 55), (0, 255, 0)),
        (coded(10, 8, 0, 1), (128, 128, 128), (0, 255, 112)),
        (coded(11, 13, 0, 1), (55, 55, 55), (67, 255, 1)),
        (coded(1, 16, 0, 1), (21, 21, 21), (21, 255, 4)),
        (coded(9, 18, 0, 1), (35, 35, 35), (0, 255, 0)),
    ],
)
def test_an_apng_shows_the_colours_that_it_says(chunks, grey, green, mode):
    assert np.abs(np.subtract(shown(chunks, mode), [grey, green])).max() <= 2


def test_a_still_pictures_profile_counts_and_a_damaged_one_does_not():
    """Linear light of a profile that Pillow writes: its red and blue exchanged."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = data.index(b"rXYZ"), data.index(b"bXYZ")
    data[red : red + 4], data[blue : blue + 4] = b"bXYZ", b"rXYZ"
    picture = Image.new("RGB", (8, 8), (200, 100, 50))
    for form, options in (("JPEG", {"quality": 100}), ("WEBP", {"lossless": True})):
        for icc, expected in ((bytes(data), (50, 100, 200)), (b"none", (200, 100, 50))):
            file = io.BytesIO()
            picture.save(file, form, icc_profile=icc, **options)
            frame, _ = next(iter_frames(file.getvalue()))
            assert np.abs(frame[0, 0].astype(int) - expected).max() <= 2


def mapped(colour, space) -> list[int]:
    """One pixel of R'G'B' from 0 to 1 through `to_srgb`."""
    pixel = np.round(65535 * np.array(colour, float)).astype(np.uint16).reshape(1, 1, 3)
    return to_srgb(pixel, space)[0, 0].astype(int).tolist()


@pytest.mark.parametrize(
    ("transfer", "levels"),
    [
        (PQ, [0, 1, 5, 15, 30, 48, 70, 98, 132, 175, 213, 237, 255, 255, 255, 255]),
        (HLG, [0, 3, 14, 29, 43, 57, 71, 85, 99, 115, 135, 160, 189, 212, 228, 243]),
    ],
)
def test_greys_of_hdr(transfer, levels):
    space = ColourSpace.coded(9, transfer)
    found = [mapped([code / 255] * 3, space)[0] for code in range(0, 256, 16)]
    assert np.abs(np.subtract(found, levels)).max() <= 1


def test_colours_outside_bt709_are_clipped():
    assert mapped((0.75, 0, 0), ColourSpace.coded(9, PQ)) == [255, 0, 0]
    assert mapped((0, 0, 0.75), ColourSpace.coded(9, HLG))[:2] == [0, 0]


def test_every_strip_of_a_frame_is_mapped():
    pixels = np.random.default_rng(0).integers(0, 65536, (70, 1000, 3), dtype=np.uint16)
    space = ColourSpace.coded(9, HLG)
    whole = to_srgb(pixels, space)
    for row, column in ((0, 0), (33, 500), (69, 999)):
        one = to_srgb(pixels[row : row + 1, column : column + 1], space)[0, 0].astype(int)
        assert np.abs(whole[row, column] - one).max() <= 1
