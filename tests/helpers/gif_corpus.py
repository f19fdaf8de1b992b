"""Draws GIFs for the tests of the decoder: every corner of the format, one a clip."""

from random import Random

import numpy as np

from helpers.gif_writer import (
    HEIGHT,
    OTHER,
    PALETTE,
    WIDE,
    WIDTH,
    blocks,
    control,
    gif,
    image,
    loop,
    lzw,
    pack_codes,
    pattern,
    screen,
)

#: Four pictures of the whole canvas, frames of them, and a smaller picture.
WHOLE = [pattern(n, WIDTH, HEIGHT) for n in range(4)]
FRAME = [control(6) + image(picture) for picture in WHOLE]
SMALL = pattern(9, 10, 8)


def _three(disposal, transparent=None, palette=None, bits=None) -> list[bytes]:
    """Three frames: whole canvas, then two partial ones that overlap."""
    places = [((0, 0), WIDTH, HEIGHT), ((4, 3), 12, 9), ((9, 7), 13, 10)]
    return [
        control(5 + n, disposal, transparent) + image(pattern(n, w, h), at, palette, bits=bits)
        for n, (at, w, h) in enumerate(places)
    ]


def gif_corpus() -> dict[str, bytes]:
    """GIFs that browsers show in full, by name."""
    drawn = {f"random-{seed}": random_gif(seed) for seed in range(60)}
    return _disposals() | _places() | _palettes() | _blocks() | _lzw() | drawn


def _disposals() -> dict[str, bytes]:
    clips = {f"disposal-{n}": gif(loop(0), *_three(n)) for n in range(5)}
    clips |= {f"disposal-{n}-transparent": gif(*_three(n, 4)) for n in range(4)}
    clips |= {f"disposal-{n}-local": gif(*_three(n, 2, OTHER)) for n in range(4)}
    clips["disposal-mixed"] = gif(
        *(
            control(5, n, 4) + image(pattern(n, 11, 9), (n * 3, n * 2))
            for n in (1, 2, 3, 0, 3, 2, 1)
        )
    )
    clips["first-disposed-to-previous"] = gif(
        control(5, 3) + image(WHOLE[0]), control(5, 1, 1) + image(WHOLE[1]), FRAME[2]
    )
    clips["disposal-2-full-then-partial"] = gif(
        control(5, 2) + image(WHOLE[0]), control(5) + image(SMALL, (3, 3)), FRAME[1]
    )
    clips["some-transparent"] = gif(
        FRAME[0], control(5, 1, 3) + image(WHOLE[1]), control(5, 1) + image(SMALL, (2, 2))
    )
    clips["two-transparent-indices"] = gif(
        control(5, 2, 3) + image(WHOLE[0]), control(5, 1, 1) + image(WHOLE[1]), FRAME[2]
    )
    clips["transparent-beyond-palette"] = gif(
        control(5, 1, 200) + image(WHOLE[0]), control(5, 2, 200) + image(SMALL, (5, 5)), FRAME[1]
    )
    clips["first-fills"] = gif(
        control(5, 1, 12) + image(WHOLE[0]), control(5, 1, 3) + image(WHOLE[1]),
        control(5, 3, 2) + image(SMALL, (4, 4)), control(5, 1, 0) + image(SMALL, (9, 7)),
    )  # fmt: skip
    pierced = WHOLE[0].copy()
    pierced[4, 5] = 12
    clips["first-all-but-fills"] = gif(
        control(5, 1, 12) + image(pierced), control(5, 1, 3) + image(WHOLE[1]),
        control(5, 1, 0) + image(SMALL, (9, 7)),
    )  # fmt: skip
    clips["background-colour"] = gif(*_three(2), head=screen(background=3))
    return clips


def _places() -> dict[str, bytes]:
    clips = {}
    clips["first-smaller"] = gif(control(5) + image(SMALL, (6, 4)), FRAME[1], FRAME[2])
    clips["first-smaller-transparent"] = gif(
        control(5, 1, 2) + image(SMALL, (6, 4)), control(5, 1, 2) + image(SMALL, (1, 1)), FRAME[2]
    )
    clips["later-off-canvas"] = gif(FRAME[0], control(5, 1) + image(SMALL, (18, 14)), FRAME[2])
    clips["later-off-canvas-disposed"] = gif(
        FRAME[0], control(5, 2) + image(SMALL, (18, 14)), control(5, 3) + image(SMALL, (20, 0)),
        control(5, 1, 5) + image(SMALL, (2, 2)),
    )  # fmt: skip
    clips["wholly-off-canvas"] = gif(FRAME[0], control(5, 1) + image(SMALL, (30, 30)), FRAME[2])
    clips["first-larger"] = gif(FRAME[0], FRAME[1], head=screen((16, 12)))
    clips["first-off-canvas"] = gif(control(5) + image(SMALL, (18, 14)), FRAME[1])
    clips["interlaced"] = gif(*(control(5) + image(p, interlaced=True) for p in WHOLE))
    clips["interlaced-partial"] = gif(
        FRAME[0],
        *(
            control(5, 1, 2) + image(pattern(h, 9, h), (3, 2), interlaced=True)
            for h in range(1, 10)
        ),
    )
    return clips


def _palettes() -> dict[str, bytes]:
    clips = {}
    clips["local-palettes"] = gif(
        FRAME[0], control(5) + image(WHOLE[1], palette=OTHER), control(5, 1, 2) + image(WHOLE[2])
    )
    clips["local-only"] = gif(
        *(control(5, 1, n) + image(WHOLE[n], palette=OTHER + n) for n in range(3)),
        head=screen(palette=None),
    )
    clips["no-palette"] = gif(*FRAME[:2], head=screen(palette=None))
    clips["no-palette-then-local"] = gif(
        FRAME[0], control(5) + image(SMALL, (2, 2), OTHER), head=screen(palette=None)
    )
    clips["index-beyond-palette"] = gif(
        control(5) + image(WHOLE[0]),
        control(5, 1) + image(WHOLE[1]),
        head=screen(palette=PALETTE[:4]),
    )
    clips["index-beyond-local"] = gif(FRAME[0], control(5, 1) + image(WHOLE[1], palette=OTHER[:4]))
    return clips


def _blocks() -> dict[str, bytes]:
    clips = {}
    clips["delays"] = gif(
        *(
            control(d) + image(WHOLE[n % 4])
            for n, d in enumerate((0, 1, 2, 3, 9, 10, 11, 500, 65535))
        )
    )
    clips["no-control"] = gif(*(image(picture) for picture in WHOLE))
    clips["control-once"] = gif(
        control(20, 2, 3) + image(SMALL, (2, 2)), image(SMALL, (5, 5)), FRAME[0]
    )
    clips["two-controls"] = gif(
        FRAME[0], control(20, 2, 3) + control(7) + image(SMALL, (3, 3)), FRAME[1]
    )
    clips["control-then-comment"] = gif(
        FRAME[0], control(20, 1, 3) + b"!\xfe" + blocks(b"hello") + image(WHOLE[1]), FRAME[2]
    )
    clips["control-then-text"] = gif(
        FRAME[0], control(20, 1, 3) + b"!\x01\x0c" + bytes(12) + blocks(b"x") + image(WHOLE[1])
    )
    clips["comments"] = gif(
        b"!\xfe" + blocks(b"a" * 600, 200),
        FRAME[0],
        b"!\xfe\0",
        FRAME[1],
        b"!\xfe" + blocks(b";,!"),
    )
    clips["unknown-extensions"] = gif(
        b"!\x77" + blocks(b"unknown"),
        FRAME[0],
        b"!\xff\x0bXMP DataXMP" + blocks(b"x" * 300),
        FRAME[1],
    )
    clips["loop-0"], clips["loop-3"] = gif(loop(0), *FRAME[:2]), gif(loop(3), *FRAME[:2])
    clips["loop-late"] = gif(*FRAME[:2], loop(2), FRAME[2])
    clips["version-87a"] = gif(*FRAME[:3], head=screen(version=b"GIF87a"))
    clips["no-trailer"] = gif(*FRAME[:3], trailer=b"")
    clips["garbage-after"] = gif(*FRAME[:3], trailer=b";garbage,,,!!!")
    clips["one-frame"] = gif(FRAME[0])
    clips["one-frame-transparent"] = gif(control(5, 0, 2) + image(SMALL, (3, 3)))
    clips["frames-1000"] = gif(
        image(pattern(0, 8, 6)),
        *(
            control(2 + n % 9, n % 4, 5) + image(pattern(n, 5, 4), (n % 4, n % 3))
            for n in range(999)
        ),
        head=screen((8, 6)),
    )
    return clips


def _lzw() -> dict[str, bytes]:
    clips = {}
    wide = pattern(3, WIDTH, HEIGHT, 256)
    noise = np.random.default_rng(3).integers(0, 256, (70, 90)).astype(np.uint8)
    two = WHOLE[0] % 2
    clips["lzw-two-colours"] = gif(
        control() + image(two), control() + image(1 - two), head=screen(palette=PALETTE[:2])
    )
    clips["lzw-one-bit"] = gif(
        control() + image(two, bits=1), control() + image(1 - two, bits=1),
        head=screen(palette=PALETTE[:2]),
    )  # fmt: skip
    clips |= {
        f"lzw-bits-{bits}": gif(
            *(
                control() + image(pattern(n, WIDTH, HEIGHT, 1 << min(bits, 3)), bits=bits)
                for n in (1, 2)
            )
        )
        for bits in range(2, 9)
    }
    clips["lzw-no-first-clear"] = gif(
        *(control() + image(p, bits=3, data=lzw(p, 3, clear=False)) for p in WHOLE[:2])
    )
    clips["lzw-no-end"] = gif(
        *(control() + image(p, bits=3, data=lzw(p, 3, end=False)) for p in WHOLE[:2])
    )
    clips["lzw-runs"] = gif(*(control() + image(np.full_like(WHOLE[0], n)) for n in range(3)))
    often = [code for value in WHOLE[1].flat for code in ((8, 4), (int(value), 4))]
    clips["lzw-clear-often"] = gif(
        FRAME[0], control() + image(WHOLE[1], bits=3, data=pack_codes(often))
    )
    for full in ("clear", "keep"):
        clips[f"lzw-table-full-{full}"] = gif(
            *(
                control() + image(n, bits=8, data=lzw(n, 8, full=full))
                for n in (noise, noise[::-1])
            ),
            head=screen((90, 70), WIDE),
        )
    clips["lzw-256-colours"] = gif(
        control() + image(wide), control(5, 1, 17) + image(wide[::-1]), head=screen(palette=WIDE)
    )
    clips["lzw-tiny-blocks"] = gif(
        FRAME[0], control() + image(WHOLE[1], bits=3)[:11] + blocks(lzw(WHOLE[1], 3), 1)
    )
    clips["lzw-data-beyond"] = gif(
        FRAME[0], control() + image(WHOLE[1], bits=3, data=lzw(np.vstack([WHOLE[1], WHOLE[2]]), 3))
    )
    return clips


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
