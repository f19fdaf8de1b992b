"""Draws the clips that the decoder is tested on: every corner of GIF, APNG and animated WebP.

GIF and APNG are written here byte by byte, for no library writes the corners. `corpus()` gives
`{name: bytes}`; what Chromium makes of each lies in `goldens/chromium.npz`, which
`benchmarks/chromium_goldens.py` takes.
"""

import io
import struct
import zlib

import numpy as np
from PIL import Image

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


# --- GIF ---------------------------------------------------------------------------------------


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


def _three(disposal, transparent=None, palette=None, bits=None) -> list[bytes]:
    """Three frames: whole canvas, then two partial ones that overlap."""
    places = [((0, 0), WIDTH, HEIGHT), ((4, 3), 12, 9), ((9, 7), 13, 10)]
    return [
        control(5 + n, disposal, transparent) + image(pattern(n, w, h), at, palette, bits=bits)
        for n, (at, w, h) in enumerate(places)
    ]


def gif_corpus() -> dict[str, bytes]:
    """GIFs that browsers show in full."""
    whole = [pattern(n, WIDTH, HEIGHT) for n in range(4)]
    frame = [control(6) + image(picture) for picture in whole]
    small = pattern(9, 10, 8)
    wide = pattern(3, WIDTH, HEIGHT, 256)
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 256, (70, 90)).astype(np.uint8)
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
        control(5, 3) + image(whole[0]), control(5, 1, 1) + image(whole[1]), frame[2]
    )
    clips["disposal-2-full-then-partial"] = gif(
        control(5, 2) + image(whole[0]), control(5) + image(small, (3, 3)), frame[1]
    )
    clips["some-transparent"] = gif(
        frame[0], control(5, 1, 3) + image(whole[1]), control(5, 1) + image(small, (2, 2))
    )
    clips["two-transparent-indices"] = gif(
        control(5, 2, 3) + image(whole[0]), control(5, 1, 1) + image(whole[1]), frame[2]
    )
    clips["transparent-beyond-palette"] = gif(
        control(5, 1, 200) + image(whole[0]), control(5, 2, 200) + image(small, (5, 5)), frame[1]
    )
    clips["first-fills"] = gif(
        control(5, 1, 12) + image(whole[0]), control(5, 1, 3) + image(whole[1]),
        control(5, 3, 2) + image(small, (4, 4)), control(5, 1, 0) + image(small, (9, 7)),
    )  # fmt: skip
    pierced = whole[0].copy()
    pierced[4, 5] = 12
    clips["first-all-but-fills"] = gif(
        control(5, 1, 12) + image(pierced), control(5, 1, 3) + image(whole[1]),
        control(5, 1, 0) + image(small, (9, 7)),
    )  # fmt: skip
    clips["background-colour"] = gif(*_three(2), head=screen(background=3))
    clips["first-smaller"] = gif(control(5) + image(small, (6, 4)), frame[1], frame[2])
    clips["first-smaller-transparent"] = gif(
        control(5, 1, 2) + image(small, (6, 4)), control(5, 1, 2) + image(small, (1, 1)), frame[2]
    )
    clips["later-off-canvas"] = gif(frame[0], control(5, 1) + image(small, (18, 14)), frame[2])
    clips["later-off-canvas-disposed"] = gif(
        frame[0], control(5, 2) + image(small, (18, 14)), control(5, 3) + image(small, (20, 0)),
        control(5, 1, 5) + image(small, (2, 2)),
    )  # fmt: skip
    clips["wholly-off-canvas"] = gif(frame[0], control(5, 1) + image(small, (30, 30)), frame[2])
    clips["first-larger"] = gif(frame[0], frame[1], head=screen((16, 12)))
    clips["first-off-canvas"] = gif(control(5) + image(small, (18, 14)), frame[1])
    clips["interlaced"] = gif(*(control(5) + image(p, interlaced=True) for p in whole))
    clips["interlaced-partial"] = gif(
        frame[0],
        *(
            control(5, 1, 2) + image(pattern(h, 9, h), (3, 2), interlaced=True)
            for h in range(1, 10)
        ),
    )
    clips["local-palettes"] = gif(
        frame[0], control(5) + image(whole[1], palette=OTHER), control(5, 1, 2) + image(whole[2])
    )
    clips["local-only"] = gif(
        *(control(5, 1, n) + image(whole[n], palette=OTHER + n) for n in range(3)),
        head=screen(palette=None),
    )
    clips["no-palette"] = gif(*frame[:2], head=screen(palette=None))
    clips["no-palette-then-local"] = gif(
        frame[0], control(5) + image(small, (2, 2), OTHER), head=screen(palette=None)
    )
    clips["index-beyond-palette"] = gif(
        control(5) + image(whole[0]),
        control(5, 1) + image(whole[1]),
        head=screen(palette=PALETTE[:4]),
    )
    clips["index-beyond-local"] = gif(frame[0], control(5, 1) + image(whole[1], palette=OTHER[:4]))
    clips["delays"] = gif(
        *(
            control(d) + image(whole[n % 4])
            for n, d in enumerate((0, 1, 2, 3, 9, 10, 11, 500, 65535))
        )
    )
    clips["no-control"] = gif(*(image(picture) for picture in whole))
    clips["control-once"] = gif(
        control(20, 2, 3) + image(small, (2, 2)), image(small, (5, 5)), frame[0]
    )
    clips["two-controls"] = gif(
        frame[0], control(20, 2, 3) + control(7) + image(small, (3, 3)), frame[1]
    )
    clips["control-then-comment"] = gif(
        frame[0], control(20, 1, 3) + b"!\xfe" + blocks(b"hello") + image(whole[1]), frame[2]
    )
    clips["control-then-text"] = gif(
        frame[0], control(20, 1, 3) + b"!\x01\x0c" + bytes(12) + blocks(b"x") + image(whole[1])
    )
    clips["comments"] = gif(
        b"!\xfe" + blocks(b"a" * 600, 200),
        frame[0],
        b"!\xfe\0",
        frame[1],
        b"!\xfe" + blocks(b";,!"),
    )
    clips["unknown-extensions"] = gif(
        b"!\x77" + blocks(b"unknown"),
        frame[0],
        b"!\xff\x0bXMP DataXMP" + blocks(b"x" * 300),
        frame[1],
    )
    clips["loop-0"], clips["loop-3"] = gif(loop(0), *frame[:2]), gif(loop(3), *frame[:2])
    clips["loop-late"] = gif(*frame[:2], loop(2), frame[2])
    clips["version-87a"] = gif(*frame[:3], head=screen(version=b"GIF87a"))
    clips["no-trailer"] = gif(*frame[:3], trailer=b"")
    clips["garbage-after"] = gif(*frame[:3], trailer=b";garbage,,,!!!")
    clips["one-frame"] = gif(frame[0])
    clips["one-frame-transparent"] = gif(control(5, 0, 2) + image(small, (3, 3)))
    clips["frames-1000"] = gif(
        image(pattern(0, 8, 6)),
        *(
            control(2 + n % 9, n % 4, 5) + image(pattern(n, 5, 4), (n % 4, n % 3))
            for n in range(999)
        ),
        head=screen((8, 6)),
    )
    two = whole[0] % 2
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
        *(control() + image(p, bits=3, data=lzw(p, 3, clear=False)) for p in whole[:2])
    )
    clips["lzw-no-end"] = gif(
        *(control() + image(p, bits=3, data=lzw(p, 3, end=False)) for p in whole[:2])
    )
    clips["lzw-runs"] = gif(*(control() + image(np.full_like(whole[0], n)) for n in range(3)))
    clips["lzw-clear-often"] = gif(
        frame[0], control() + image(
            whole[1], bits=3, data=pack_codes([c for v in whole[1].flat for c in ((8, 4), (int(v), 4))])
        ),
    )  # fmt: skip
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
        frame[0], control() + image(whole[1], bits=3)[:11] + blocks(lzw(whole[1], 3), 1)
    )
    clips["lzw-data-beyond"] = gif(
        frame[0], control() + image(whole[1], bits=3, data=lzw(np.vstack([whole[1], whole[2]]), 3))
    )
    return clips


def broken_gifs() -> dict[str, bytes]:
    """GIFs with a fault that browsers get round, or don't."""
    whole = [pattern(n, WIDTH, HEIGHT) for n in range(4)]
    frame = [control(6) + image(picture) for picture in whole]
    small = pattern(9, 10, 8)
    half = lzw(whole[1][:9], 3)
    return {
        "short-data": gif(frame[0], control() + image(whole[1], bits=3, data=half), frame[2]),
        "short-data-first": gif(control() + image(whole[1], bits=3, data=half), frame[2]),
        "short-data-transparent": gif(
            frame[0], control(5, 1, 2) + image(whole[1], bits=3, data=half), frame[2]
        ),
        "no-data": gif(frame[0], control() + image(whole[1], bits=3, data=b""), frame[2]),
        "bad-code": gif(
            frame[0],
            control() + image(whole[1], bits=3, data=pack_codes([(8, 4), (1, 4), (15, 4), (2, 4)])),
            frame[2],
        ),
        "bits-0": gif(frame[0], control() + image(whole[1], bits=3)[:10] + b"\0\0", frame[2]),
        "bits-9": gif(frame[0], control() + image(whole[1], bits=9), frame[2]),
        "bits-12": gif(frame[0], control() + image(whole[1], bits=12, data=b"\1\2\3\4"), frame[2]),
        "cut-in-frame": gif(*frame[:3], trailer=b"")[:-40],
        "cut-in-first": gif(frame[0], trailer=b"")[:-40],
        "cut-in-header": gif(*frame)[:9],
        "cut-in-palette": gif(*frame)[:20],
        "cut-in-control": gif(*frame[:2], control()[:4], trailer=b""),
        "cut-in-image-header": gif(*frame[:2], frame[2][8:13], trailer=b""),
        "garbage-between": gif(frame[0], b"\x99\x98garbage", frame[1]),
        "empty-frame": gif(frame[0], control() + image(small[:0], bits=3), frame[2]),
        "empty-first": gif(control() + image(small[:0], bits=3), frame[1], frame[2]),
        "empty-canvas": gif(*frame[:2], head=screen((0, 0))),
        "no-frames": gif(),
        "control-only": gif(control()),
        "short-control": gif(frame[0], b"!\xf9\x02\x05\x00\0" + image(whole[1]), frame[2]),
    }


# --- APNG --------------------------------------------------------------------------------------


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
    """An APNG of `(pixels, (x, y), (delay, of), dispose, blend)`; `hidden` is shown to old readers."""
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
    """A picture uint8 `(height, width, 4)`, partly clear or see-through unless `alpha` is "none"."""
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


# --- WebP --------------------------------------------------------------------------------------


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
    # The bytes of the lossy ones hang on the encoder: the goldens keep them as they were taken.
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


def corpus() -> dict[str, bytes]:
    """Everything drawn here, by name."""
    return gif_corpus() | broken_gifs() | apng_corpus() | webp_corpus()
