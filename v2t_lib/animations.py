"""Animated pictures: GIF, APNG and WebP into parts, and parts into what a browser shows.

A part is one frame as the file has it: a box of the canvas, how its pixels go there and what
becomes of the box afterwards. Reading the parts decodes nothing; composing decodes only what the
frames asked for need.
"""

import dataclasses
import io
import struct
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from v2t_lib.containers import check_canvas, check_frames
from v2t_lib.errors import ClipError

#: Transparent pixels lie over this colour.
BACKGROUND = (255, 255, 255)
KEEP, CLEAR, PREVIOUS = range(3)
_NO_PALETTE = bytes(768)


class BadPart(Exception):
    """A part whose pixels don't decode; what comes before it does."""

    def __init__(self, number: int, why: object):
        super().__init__(number, why)
        self.number, self.why = number, why


@dataclasses.dataclass(frozen=True)
class Part:
    """One frame as the file has it.

    Attributes:
        box: Left, top, right and bottom on the canvas, in pixels; may reach beyond it.
        milliseconds: As the file says.
        after: KEEP, CLEAR or PREVIOUS: what becomes of the box when the next part comes.
        over: Whether what was there shines through; else the part replaces its box.
        file: The bytes that its pixels lie in.
    """

    box: tuple[int, int, int, int]
    milliseconds: int
    after: int
    over: bool
    file: bytes

    def draw(self, canvas: Image.Image) -> None:
        """Puts the pixels onto an RGBA canvas."""
        with Image.open(io.BytesIO(self.file), formats=("PNG", "WEBP")) as picture:
            pixels = _rgba(picture)
        if self.over:
            canvas.alpha_composite(pixels, self.box[:2])
        else:
            canvas.paste(pixels, self.box[:2])


def _rgba(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):
        # 16 bits of grey, which Pillow would clip to 8 instead of scaling them.
        grey = np.asarray(picture).astype(np.uint16)
        alpha = np.where(grey == picture.info.get("transparency", -1), 0, 255)
        levels = (grey >> 8).astype(np.uint8)
        return Image.fromarray(np.dstack([levels, levels, levels, alpha.astype(np.uint8)]))
    return picture.convert("RGBA")


@dataclasses.dataclass(frozen=True)
class GifPart(Part):
    """A GIF's frame: indices into `palette`, 768 bytes; `transparent` is -1 where none is."""

    palette: bytes
    transparent: int
    start: int
    end: int
    bits: int
    interlaced: bool

    def _decode(self, picture: Image.Image, transparent: int = -1) -> None:
        # Pillow's C decoder leaves pixels of the transparent index as they were.
        data = self.file[self.start : self.end]
        picture.frombytes(data, "gif", (self.bits, self.interlaced, transparent))

    def draw(self, canvas: Image.Image) -> None:
        """Puts the pixels onto an RGBA canvas, or as indices onto one of mode "P"."""
        left, top, right, bottom = self.box
        if right <= left or bottom <= top:
            return
        if canvas.mode == "RGBA":
            picture = Image.new("P", (right - left, bottom - top))
            self._decode(picture)
            colours = np.full((256, 4), 255, np.uint8)
            colours[:, :3] = np.frombuffer(self.palette, np.uint8).reshape(256, 3)
            if self.over:
                colours[self.transparent, 3] = 0
            picture.putpalette(colours.tobytes(), "RGBA")
            picture = picture.convert("RGBA")
            canvas.paste(picture, (left, top), picture if self.over else None)
        elif self.box == (0, 0, *canvas.size):
            self._decode(canvas, self.transparent)
        else:
            picture = canvas.crop(self.box)
            self._decode(picture, self.transparent)
            canvas.paste(picture, (left, top))


@dataclasses.dataclass(frozen=True)
class Animation:
    """A canvas of `size` (width, height) pixels and the parts that follow one another on it."""

    size: tuple[int, int]
    parts: Sequence[Part]


def read_animation(kind: str, data: bytes) -> Animation:
    """Reads the parts of a "gif", "png" or "webp" and checks all limits; decodes no pixels.

    Where the file breaks off or breaks its format's rules, the parts before that count.

    Raises:
        ClipError: `corrupt` where there are no parts; `too-big`.
    """
    reader = {"gif": _read_gif, "png": _read_png, "webp": _read_webp}[kind]
    parts: list[Part] = []
    size, pixels = None, 0
    try:
        for found in reader(data):
            if size is None:
                size = found
                check_canvas(*size)
                continue
            left, top, right, bottom = found.box
            pixels += (right - left) * (bottom - top)
            parts.append(found)
            check_frames(len(parts), pixels)
            if (right - left) * (bottom - top):
                check_canvas(right - left, bottom - top)
    except (IndexError, struct.error):
        pass  # Cut off: browsers show what came before.
    if not parts:
        raise ClipError("corrupt", f"expected frames in the {kind}. Received: none")
    return Animation(size, parts)


def _read_gif(data: bytes) -> Iterator:
    """The canvas's size, then each part."""
    size, at = struct.unpack_from("<HH", data, 6), 13
    table, at = _gif_palette(data, data[10], at)
    control, sized = (0, KEEP, -1), False
    while True:
        if data[at] == 0x21:
            end = _after_blocks(data, at + 2)
            if data[at + 1] == 0xF9:
                if data[at + 2] != 4:
                    return
                flags, delay, transparent = struct.unpack_from("<BHB", data, at + 3)
                after = {2: CLEAR, 3: PREVIOUS, 4: PREVIOUS}.get(flags >> 2 & 7, KEEP)
                control = (10 * delay, after, transparent if flags & 1 else -1)
            at = end
        elif data[at] == 0x2C:
            left, top, width, height, flags = struct.unpack_from("<HHHHB", data, at + 1)
            box = (left, top, left + width, top + height)
            local, at = _gif_palette(data, flags, at + 10)
            bits, start = data[at], at + 1
            if not 1 <= bits <= 8:
                return
            at = _after_blocks(data, start)
            if not sized:
                # A first frame that reaches beyond the canvas widens it, and no other does.
                sized = True
                yield max(size[0], box[2]), max(size[1], box[3])
            delay, after, transparent = control
            yield GifPart(
                box, delay, after, transparent >= 0, data, local or table or _NO_PALETTE,
                transparent, start, at, bits, bool(flags & 0x40),
            )  # fmt: skip
            control = (0, KEEP, -1)
        else:
            return


def _gif_palette(data: bytes, flags: int, at: int) -> tuple[bytes, int]:
    """The palette, black beyond its end, and where it ends; empty where `flags` has none."""
    if not flags & 0x80:
        return b"", at
    end = at + (3 << (flags & 7) + 1)
    return data[at:end].ljust(768, b"\0"), end


def _after_blocks(data: bytes, at: int) -> int:
    while data[at]:
        at += data[at] + 1
    return at + 1


def _read_png(data: bytes) -> Iterator:
    """The canvas's size, then each part; of a PNG that isn't animated, its one picture."""
    size = struct.unpack_from(">II", data, 16)
    yield size
    shared, control, pixels, count, at = b"", None, [], None, 33
    while True:
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        data[at + 11 + length]  # An IndexError where the chunk is cut off.
        at += 12 + length
        if kind in (b"PLTE", b"tRNS"):
            shared += _png_chunk(kind, body)
        elif kind == b"acTL" and not pixels:
            count = struct.unpack_from(">I", body)[0]
        elif kind == b"IDAT" and (count is None or control):
            pixels.append(body)
        elif kind == b"fdAT" and control:
            pixels.append(body[4:])
        elif kind in (b"fcTL", b"IEND"):
            if pixels:
                part = _png_part(size, control, data[24:29], shared, pixels)
                if part is None:
                    return
                yield part
                pixels = []
                count = count - 1 if count else None
            if kind == b"IEND" or count == 0:
                return
            control = body


def _png_part(size, control, header, shared, pixels) -> Part | None:
    """The part that an fcTL chunk, None for a still, describes; None where it breaks the rules."""
    width, height, left, top, delay, per, after, over = *size, 0, 0, 0, 0, 0, 0
    if control is not None:
        width, height, left, top, delay, per, after, over = struct.unpack_from(">4x4I2H2B", control)
    box = (left, top, left + width, top + height)
    if not (width and height and box[2] <= size[0] and box[3] <= size[1] and after < 3):
        return None
    file = b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", struct.pack(">II", width, height) + header)
    file += shared + _png_chunk(b"IDAT", b"".join(pixels)) + _png_chunk(b"IEND", b"")
    return Part(box, 1000 * delay // (per or 100), after, bool(over), file)


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _read_webp(data: bytes) -> Iterator:
    """The canvas's size, then each part; of a WebP that isn't animated, its one picture."""
    chunks = _riff_chunks(data, 12)
    kind, body = next(chunks)
    if kind != b"VP8X" or not body[0] & 2:
        found = {kind: body} | (dict(chunks) if kind == b"VP8X" else {})
        size = _webp_size(found)
        yield size
        yield Part((0, 0, *size), 0, KEEP, False, _webp_file(found, size))
        return
    width, height = _three(body, 4) + 1, _three(body, 7) + 1
    yield width, height
    for kind, body in chunks:
        if kind != b"ANMF":
            continue
        left, top = 2 * _three(body, 0), 2 * _three(body, 3)
        box = (left, top, left + _three(body, 6) + 1, top + _three(body, 9) + 1)
        found = dict(_riff_chunks(body, 16))
        size = _webp_size(found)
        if box[2] > width or box[3] > height or size != (box[2] - left, box[3] - top):
            return
        after = CLEAR if body[15] & 1 else KEEP
        yield Part(box, _three(body, 12), after, not body[15] & 2, _webp_file(found, size))


def _three(data: bytes, at: int) -> int:
    return data[at] | data[at + 1] << 8 | data[at + 2] << 16


def _riff_chunks(data: bytes, at: int) -> Iterator[tuple[bytes, bytes]]:
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        if at + 8 + length > len(data):
            return
        yield kind, data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _webp_size(chunks: dict[bytes, bytes]) -> tuple[int, int]:
    """Width and height as the pixels' own header has them, which decides what is allocated."""
    if b"VP8L" in chunks:
        bits = struct.unpack_from("<I", chunks[b"VP8L"], 1)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", chunks.get(b"VP8 ", b""), 6)
    return width & 0x3FFF, height & 0x3FFF


def _webp_file(chunks: dict[bytes, bytes], size: tuple[int, int]) -> bytes:
    """A still WebP of the chunks that hold pixels."""
    kinds = (b"VP8L",) if b"VP8L" in chunks else (b"ALPH", b"VP8 ")
    kept = [(kind, chunks[kind]) for kind in kinds if kind in chunks]
    if kept[0][0] == b"ALPH":
        sides = b"".join(struct.pack("<I", side - 1)[:3] for side in size)
        kept.insert(0, (b"VP8X", struct.pack("<I", 0x10) + sides))
    body = b"WEBP"
    for kind, chunk in kept:
        body += struct.pack("<4sI", kind, len(chunk)) + chunk + b"\0" * (len(chunk) % 2)
    return struct.pack("<4sI", b"RIFF", len(body)) + body


# --- Composing ---------------------------------------------------------------------------------


def _blank_index(animation: Animation) -> int | None:
    """The palette index that may stand for "nothing here" if indices are composed, else None.

    Indices need one palette for all parts, and an index that no part ever draws: the transparent
    one where all parts agree on it, or any at all where the canvas is never bare.
    """
    first, *others = animation.parts
    if not isinstance(first, GifPart):
        return None
    same = (first.palette, first.transparent)
    if first.over and all((part.palette, part.transparent) == same for part in others):
        return first.transparent
    never_bare = not first.over and _covers(first, animation.size) and first.after == KEEP
    if never_bare and all(p.palette == first.palette and p.after != CLEAR for p in others):
        return 0
    return None


def _covers(part: Part, size: tuple[int, int]) -> bool:
    left, top, right, bottom = part.box
    return left <= 0 and top <= 0 and right >= size[0] and bottom >= size[1]


class _Canvas:
    """What shows: indices into one palette where that does, which is quick, else RGBA."""

    def __init__(self, animation: Animation):
        self._blank = _blank_index(animation)
        self._indexed = self._blank is not None
        if self._indexed:
            self.picture = Image.new("P", animation.size, self._blank)
            palette = bytearray(animation.parts[0].palette)
            if animation.parts[0].over:
                palette[3 * self._blank : 3 * self._blank + 3] = bytes(BACKGROUND)
            self.picture.putpalette(bytes(palette))
        else:
            self.picture = Image.new("RGBA", animation.size)

    def clear(self, box: tuple[int, int, int, int] | None = None) -> None:
        box = box or (0, 0, *self.picture.size)
        if box[2] > box[0] and box[3] > box[1]:
            self.picture.paste(self._blank if self._indexed else (0, 0, 0, 0), box)

    def rgb(self) -> Image.Image:
        """What shows, over `BACKGROUND`."""
        if self._indexed or self.picture.getextrema()[3][0] == 255:
            return self.picture.convert("RGB")
        shown = Image.new("RGB", self.picture.size, BACKGROUND)
        shown.paste(self.picture, mask=self.picture.getchannel("A"))
        return shown


def _fresh_start(animation: Animation, first: int, last: int) -> int:
    """The last part from `first` to `last` that owes nothing to those before it."""
    for number in range(last, first, -1):
        part, before = animation.parts[number], animation.parts[number - 1]
        if not part.over and _covers(part, animation.size):
            return number
        if before.after == CLEAR and _covers(before, animation.size):
            return number
    return first


def compose(animation: Animation, wanted: Sequence[int]) -> Iterator[Image.Image]:
    """Yields what shows at each of the parts `wanted`, ascending, as an RGB picture.

    Parts that leave no trace in what is wanted are not decoded.

    Raises:
        BadPart: A part that was needed doesn't decode.
    """
    canvas, at = _Canvas(animation), 0
    for goal in wanted:
        start = _fresh_start(animation, at, goal)
        if start > at:
            canvas.clear()
        for number in range(start, goal + 1):
            part = animation.parts[number]
            shown = number == goal
            saved = canvas.picture.crop(part.box) if shown and part.after == PREVIOUS else None
            if shown or part.after == KEEP:
                try:
                    part.draw(canvas.picture)
                except Exception as error:
                    # Pillow's decoders raise what they like on broken bytes; none of it may pass.
                    raise BadPart(number, error) from None
            if shown:
                yield canvas.rgb()
            if part.after == CLEAR:
                canvas.clear(part.box)
            elif saved is not None:
                canvas.picture.paste(saved, part.box)
        at = goal + 1
