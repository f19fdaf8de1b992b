"""GIFs: their blocks to parts, and a part's LZW codes to pixels (the GIF89a specification)."""

import dataclasses
import struct
from collections.abc import Iterator

import numpy as np
from PIL import Image

from v2t_lib.clips.subframe import CLEAR, KEEP, PREVIOUS, Part

#: What follows a frame, by its disposal method; 0, 1 and the unused 5 to 7 keep it.
_DISPOSALS = {2: CLEAR, 3: PREVIOUS, 4: PREVIOUS}
_NO_PALETTE = bytes(768)


@dataclasses.dataclass(frozen=True)
class GifPart(Part):
    """A GIF's frame; `file` is the whole GIF.

    Attributes:
        palette: 768 bytes, red, green and blue of 256 colours.
        transparent: The index that shows nothing, -1 for none.
        start: Where its LZW blocks begin in the file.
        end: Where they end.
        bits: LZW's least code size.
        interlaced: Whether its rows come in four passes.
    """

    palette: bytes
    transparent: int
    start: int
    end: int
    bits: int
    interlaced: bool

    def decode(self, picture: Image.Image, transparent: int = -1) -> None:
        """Puts indices onto a palette picture of its size, all but those that are `transparent`."""
        codes = self.file[self.start : self.end]
        picture.frombytes(codes, "gif", (self.bits, self.interlaced, transparent))

    def fills(self, size: tuple[int, int]) -> bool:
        """Whether every pixel of a canvas of this size gets a colour."""
        if not self.covers(size):
            return False
        if not self.over:
            return True
        picture = Image.new("P", self.size)
        try:
            self.decode(picture)
        except Exception:
            return False  # Drawing it will say why.
        return picture.histogram()[self.transparent] == 0

    def draw(self, canvas: Image.Image) -> None:
        """Puts the pixels onto an RGBA canvas, or as indices onto a palette canvas."""
        if not all(self.size):
            return
        if canvas.mode == "RGBA":
            picture = Image.new("P", self.size)
            self.decode(picture)
            colours = np.full((256, 4), 255, np.uint8)
            colours[:, :3] = np.frombuffer(self.palette, np.uint8).reshape(256, 3)
            if self.over:
                colours[self.transparent, 3] = 0
            picture.putpalette(colours.tobytes(), "RGBA")
            picture = picture.convert("RGBA")
            canvas.paste(picture, self.box[:2], picture if self.over else None)
        elif self.box == (0, 0, *canvas.size):
            self.decode(canvas, self.transparent)
        else:
            picture = canvas.crop(self.box)
            self.decode(picture, self.transparent)
            canvas.paste(picture, self.box[:2])


def read_gif(data: bytes) -> Iterator:
    """Yields the canvas's size, then each part; ends where the format's rules are broken.

    Raises:
        IndexError, struct.error: The file is cut off.
    """
    size, at = struct.unpack_from("<HH", data, 6), 13
    shared, at = _palette(data, data[10], at)
    control, sized = (0, KEEP, -1), False
    while at < len(data):
        if data[at] == 0x21:
            end = _after_blocks(data, at + 2)
            if data[at + 1] == 0xF9:
                if data[at + 2] != 4:
                    return
                flags, delay, transparent = struct.unpack_from("<BHB", data, at + 3)
                after = _DISPOSALS.get(flags >> 2 & 7, KEEP)
                control = (10 * delay, after, transparent if flags & 1 else -1)
            at = end
        elif data[at] == 0x2C:
            part, at = _image(data, at + 1, shared, *control)
            if not 1 <= part.bits <= 8:
                return
            if not sized:
                # A first frame that reaches beyond the canvas widens it; no other does.
                sized = True
                yield max(size[0], part.box[2]), max(size[1], part.box[3])
            yield part
            control = (0, KEEP, -1)
        else:
            return


def _image(data, at, shared, delay, after, transparent) -> tuple[GifPart, int]:
    """The part that an image descriptor begins, and where the next block begins."""
    left, top, width, height, flags = struct.unpack_from("<HHHHB", data, at)
    local, at = _palette(data, flags, at + 9)
    end = _after_blocks(data, at + 1)
    part = GifPart(
        box=(left, top, left + width, top + height),
        milliseconds=delay,
        after=after,
        over=transparent >= 0,
        file=data,
        palette=local or shared or _NO_PALETTE,
        transparent=transparent,
        start=at + 1,
        end=end,
        bits=data[at],
        interlaced=bool(flags & 0x40),
    )
    return part, end


def _palette(data: bytes, flags: int, at: int) -> tuple[bytes, int]:
    """The palette, black beyond its end, and where it ends; empty where `flags` has none."""
    if not flags & 0x80:
        return b"", at
    end = at + (3 << (flags & 7) + 1)
    return data[at:end].ljust(768, b"\0"), end


def _after_blocks(data: bytes, at: int) -> int:
    while size := data[at]:
        at += size + 1
    return at + 1
