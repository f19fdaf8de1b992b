"""GIF: reads the blocks into subframes and decodes their LZW data (GIF89a specification)."""

import dataclasses
import struct
from collections.abc import Iterator

import numpy as np
from PIL import Image

from v2t_lib.clips.animation import CLEAR, KEEP, RESTORE, Subframe

#: GIF's disposal methods; 0, 1 and the undefined 5 to 7 keep the frame.
_DISPOSALS = {2: CLEAR, 3: RESTORE, 4: RESTORE}
_NO_PALETTE = bytes(768)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GifSubframe(Subframe):
    """A picture in a GIF; `data` is the whole file, with LZW blocks from `start` to `end`."""

    start: int
    end: int
    bits: int  # the LZW minimum code size
    interlaced: bool

    def decode(self, picture: Image.Image, transparent: int = -1) -> None:
        """Writes all colour indices but `transparent` into a palette picture of the same size."""
        codes = self.data[self.start : self.end]
        picture.frombytes(codes, "gif", (self.bits, self.interlaced, transparent))

    def fills(self, size: tuple[int, int]) -> bool:
        if super().fills(size) or not self.covers(size):
            return self.covers(size)
        picture = Image.new("P", self.size)
        try:
            self.decode(picture)
        except Exception:
            return False  # `draw` will raise the same error, where it is handled.
        return picture.histogram()[self.transparent] == 0

    def draw(self, canvas: Image.Image) -> None:
        """Draws the pixels onto an RGBA canvas, or their indices onto a palette canvas."""
        if not all(self.size):
            return
        if canvas.mode == "RGBA":
            picture = Image.new("P", self.size)
            self.decode(picture)
            colours = np.full((256, 4), 255, np.uint8)
            colours[:, :3] = np.frombuffer(self.palette, np.uint8).reshape(256, 3)
            if self.blend:
                colours[self.transparent, 3] = 0
            picture.putpalette(colours.tobytes(), "RGBA")
            picture = picture.convert("RGBA")
            canvas.paste(picture, self.box[:2], picture if self.blend else None)
        elif self.box == (0, 0, *canvas.size):
            self.decode(canvas, self.transparent)
        else:
            picture = canvas.crop(self.box)
            self.decode(picture, self.transparent)
            canvas.paste(picture, self.box[:2])


def read_gif(data: bytes) -> Iterator[tuple[int, int] | Subframe]:
    """Yields the canvas size, then each subframe up to a block that breaks the format's rules.

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
                disposal = _DISPOSALS.get(flags >> 2 & 7, KEEP)
                control = (10 * delay, disposal, transparent if flags & 1 else -1)
            at = end
        elif data[at] == 0x2C:
            subframe, at = _image(data, at + 1, shared, *control)
            if not 1 <= subframe.bits <= 8:
                return
            if not sized:
                # Browsers enlarge the canvas to hold the first subframe, but no later one.
                sized = True
                yield max(size[0], subframe.box[2]), max(size[1], subframe.box[3])
            yield subframe
            control = (0, KEEP, -1)
        else:
            return


def _image(
    data: bytes, at: int, shared: bytes, delay: int, disposal: int, transparent: int
) -> tuple[GifSubframe, int]:
    left, top, width, height, flags = struct.unpack_from("<HHHHB", data, at)
    local, at = _palette(data, flags, at + 9)
    end = _after_blocks(data, at + 1)
    subframe = GifSubframe(
        box=(left, top, left + width, top + height),
        milliseconds=delay,
        disposal=disposal,
        blend=transparent >= 0,
        data=data,
        palette=local or shared or _NO_PALETTE,
        transparent=transparent,
        start=at + 1,
        end=end,
        bits=data[at],
        interlaced=bool(flags & 0x40),
    )
    return subframe, end


def _palette(data: bytes, flags: int, at: int) -> tuple[bytes, int]:
    """Reads a palette, padded with black, and where it ends; empty where `flags` has none."""
    if not flags & 0x80:
        return b"", at
    end = at + (3 << (flags & 7) + 1)
    return data[at:end].ljust(768, b"\0"), end


def _after_blocks(data: bytes, at: int) -> int:
    """Where a chain of data sub-blocks ends."""
    while size := data[at]:
        at += size + 1
    return at + 1
