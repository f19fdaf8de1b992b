"""Subframes: the pictures an animation's file stores, each a box on the canvas."""

import dataclasses
import io

import numpy as np
from PIL import Image, ImageOps

#: Disposal: what happens to a subframe's box before the next one is drawn.
KEEP, CLEAR, RESTORE = range(3)


class FrameError(Exception):
    """A frame that doesn't decode; those before it may still be used.

    Args:
        number: The frame's number, from 0.
        reason: The decoder's error.
    """

    def __init__(self, number: int, reason: object):
        super().__init__(number, reason)
        self.number, self.reason = number, str(reason) or type(reason).__name__


@dataclasses.dataclass(frozen=True)
class Subframe:
    """One stored picture, not yet decoded.

    Attributes:
        box: Left, top, right and bottom on the canvas, in pixels; may extend beyond it.
        milliseconds: The duration that the file states.
        disposal: What happens to the box before the next subframe: KEEP leaves it, CLEAR makes it
            transparent, RESTORE brings back what was there before.
        blend: Whether transparent pixels leave the canvas visible; if not, they overwrite it.
        data: Bytes that hold the pixels: a PNG, WebP, JPEG or BMP file.
    """

    box: tuple[int, int, int, int]
    milliseconds: int
    disposal: int
    blend: bool
    data: bytes

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        left, top, right, bottom = self.box
        return right - left, bottom - top

    def covers(self, size: tuple[int, int]) -> bool:
        """Whether the box covers a canvas of this width and height."""
        left, top, right, bottom = self.box
        return left <= 0 and top <= 0 and right >= size[0] and bottom >= size[1]

    def draw(self, canvas: Image.Image) -> None:
        """Decodes the pixels and draws them onto an RGBA canvas."""
        with Image.open(io.BytesIO(self.data), formats=("PNG", "WEBP", "JPEG", "BMP")) as picture:
            pixels = _rgba(picture)
        if self.blend:
            canvas.alpha_composite(pixels, self.box[:2])
        else:
            canvas.paste(pixels, self.box[:2])


def _rgba(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):
        # 16-bit grey: Pillow would clip it to 8 bits instead of scaling it.
        grey = np.asarray(picture).astype(np.uint16)
        alpha = np.where(grey == picture.info.get("transparency", -1), 0, 255)
        levels = (grey >> 8).astype(np.uint8)
        return Image.fromarray(np.dstack([levels, levels, levels, alpha.astype(np.uint8)]))
    if picture.format == "JPEG":
        # Apply the camera's orientation, as browsers do.
        picture = ImageOps.exif_transpose(picture)
    return picture.convert("RGBA")
