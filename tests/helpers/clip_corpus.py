"""All drawn GIFs, APNGs and WebPs: what Chromium makes of each lies in `tests/clips/chromium.npz`.

`benchmarks/chromium_goldens.py` takes the goldens.
"""

from helpers.apng_corpus import apng_corpus
from helpers.gif_corpus import FRAME, SMALL, WHOLE, gif_corpus
from helpers.gif_writer import control, gif, image, lzw, pack_codes, screen
from helpers.webp_corpus import webp_corpus


def corpus() -> dict[str, bytes]:
    """Every drawn picture that moves, by name."""
    return gif_corpus() | broken_gifs() | apng_corpus() | webp_corpus()


def broken_gifs() -> dict[str, bytes]:
    """GIFs with a fault, by name; browsers show some of them nevertheless."""
    half = lzw(WHOLE[1][:9], 3)
    return {
        "short-data": gif(FRAME[0], control() + image(WHOLE[1], bits=3, data=half), FRAME[2]),
        "short-data-first": gif(control() + image(WHOLE[1], bits=3, data=half), FRAME[2]),
        "short-data-transparent": gif(
            FRAME[0], control(5, 1, 2) + image(WHOLE[1], bits=3, data=half), FRAME[2]
        ),
        "no-data": gif(FRAME[0], control() + image(WHOLE[1], bits=3, data=b""), FRAME[2]),
        "bad-code": gif(
            FRAME[0],
            control() + image(WHOLE[1], bits=3, data=pack_codes([(8, 4), (1, 4), (15, 4), (2, 4)])),
            FRAME[2],
        ),
        "bits-0": gif(FRAME[0], control() + image(WHOLE[1], bits=3)[:10] + b"\0\0", FRAME[2]),
        "bits-9": gif(FRAME[0], control() + image(WHOLE[1], bits=9), FRAME[2]),
        "bits-12": gif(FRAME[0], control() + image(WHOLE[1], bits=12, data=b"\1\2\3\4"), FRAME[2]),
        "cut-in-frame": gif(*FRAME[:3], trailer=b"")[:-40],
        "cut-in-first": gif(FRAME[0], trailer=b"")[:-40],
        "cut-in-header": gif(*FRAME)[:9],
        "cut-in-palette": gif(*FRAME)[:20],
        "cut-in-control": gif(*FRAME[:2], control()[:4], trailer=b""),
        "cut-in-image-header": gif(*FRAME[:2], FRAME[2][8:13], trailer=b""),
        "garbage-between": gif(FRAME[0], b"\x99\x98garbage", FRAME[1]),
        "empty-frame": gif(FRAME[0], control() + image(SMALL[:0], bits=3), FRAME[2]),
        "empty-first": gif(control() + image(SMALL[:0], bits=3), FRAME[1], FRAME[2]),
        "empty-canvas": gif(*FRAME[:2], head=screen((0, 0))),
        "no-frames": gif(),
        "control-only": gif(control()),
        "short-control": gif(FRAME[0], b"!\xf9\x02\x05\x00\0" + image(WHOLE[1]), FRAME[2]),
    }
