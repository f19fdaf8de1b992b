"""Parts: the frames of an animated picture as its file has them, before they are composed."""

import dataclasses
import io

import numpy as np
from PIL import Image, ImageOps

#: What becomes of a part's box when the next part comes.
KEEP, CLEAR, PREVIOUS = range(3)


class BadFrame(Exception):
    """A frame that doesn't decode; those before it do.

    Args:
        number: Its number, from 0.
        why: What the decoder says.
    """

    def __init__(self, number: int, why: object):
        super().__init__(number, why)
        self.number, self.why = number, str(why) or type(why).__name__


@dataclasses.dataclass(frozen=True)
class Part:
    """One frame as the file has it.

    Attributes:
        box: Left, top, right and bottom on the canvas, in pixels; may reach beyond it.
        milliseconds: How long it shows, as the file says.
        after: KEEP, CLEAR or PREVIOUS: what becomes of the box when the next part comes.
        over: Whether what was there shines through; else the part replaces its box.
        file: The bytes that its pixels lie in: a PNG, WebP, JPEG or BMP of its own.
    """

    box: tuple[int, int, int, int]
    milliseconds: int
    after: int
    over: bool
    file: bytes

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        left, top, right, bottom = self.box
        return right - left, bottom - top

    def covers(self, size: tuple[int, int]) -> bool:
        """Whether the box is all of a canvas of this size."""
        left, top, right, bottom = self.box
        return left <= 0 and top <= 0 and right >= size[0] and bottom >= size[1]

    def draw(self, canvas: Image.Image) -> None:
        """Puts the pixels onto an RGBA canvas."""
        with Image.open(io.BytesIO(self.file), formats=("PNG", "WEBP", "JPEG", "BMP")) as picture:
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
    if picture.format == "JPEG":
        # Cameras write which way up they were held; browsers turn the picture by it.
        picture = ImageOps.exif_transpose(picture)
    return picture.convert("RGBA")
