"""Animations: subframes, composed on a canvas into the frames that a browser shows.

Rendering decodes only the subframes that the requested frames need.
"""

import dataclasses
import io
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image, ImageOps

from v2t_lib.clips.colour import BACKGROUND, ColourSpace, flatten, shown
from v2t_lib.clips.problems import FrameError, check_decoded

#: Disposal of a subframe's box before the next is drawn: it stays, becomes transparent, or shows
#: again what was there before.
KEEP, CLEAR, RESTORE = range(3)
#: Delays up to 10 ms are usually a mistake; browsers show such frames for 100 ms.
TOO_SHORT_MS, DEFAULT_MS = 10, 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subframe:
    """One stored picture of an animation, not yet decoded."""

    box: tuple[int, int, int, int]  # left, top, right, bottom on the canvas; may extend beyond it
    milliseconds: int = 0  # as the file states them
    disposal: int = KEEP
    blend: bool = False  # whether transparent pixels leave the canvas visible, or overwrite it
    data: bytes  # a PNG, WebP, JPEG or BMP file
    palette: bytes = b""  # 768 bytes, RGB of 256 colours, where pixels are indices
    transparent: int = -1  # the index of the transparent colour, -1 for none
    colours: ColourSpace | bytes | None = None  # what the file says of them, see `colour.shown`

    @property
    def size(self) -> tuple[int, int]:
        left, top, right, bottom = self.box
        return right - left, bottom - top

    def covers(self, size: tuple[int, int]) -> bool:
        """Whether the box covers a canvas of this width and height."""
        left, top, right, bottom = self.box
        return left <= 0 and top <= 0 and right >= size[0] and bottom >= size[1]

    def fills(self, size: tuple[int, int]) -> bool:
        """Whether it covers a canvas of this size with no transparent pixel."""
        return self.covers(size) and not self.blend

    def draw(self, canvas: Image.Image) -> None:
        """Decodes the pixels and draws them onto an RGBA canvas."""
        with Image.open(io.BytesIO(self.data), formats=("PNG", "WEBP", "JPEG", "BMP")) as picture:
            pixels = shown(_rgba(picture), self.colours)
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
        picture = ImageOps.exif_transpose(picture)  # turned as the camera was, as browsers do
    return picture.convert("RGBA")


@dataclasses.dataclass(frozen=True)
class Animation:
    """A canvas and the subframes drawn on it in turn."""

    size: tuple[int, int]  # width and height in pixels
    subframes: Sequence[Subframe]  # at least one
    fault: str = ""  # why the file ends early, where it is cut off

    @property
    def durations(self) -> list[float]:
        """Seconds each frame shows in a browser."""
        delays = [subframe.milliseconds for subframe in self.subframes]
        return [(delay if delay > TOO_SHORT_MS else DEFAULT_MS) / 1000 for delay in delays]

    def cut_at(self, error: FrameError) -> "Animation":
        """The animation that ends before a frame that doesn't decode."""
        return Animation(self.size, self.subframes[: error.number], error.reason)

    def render(self, numbers: Sequence[int]) -> Iterator[Image.Image]:
        """Yields the frames of these numbers, ascending, as RGB pictures over `BACKGROUND`.

        Raises:
            FrameError: A subframe that was needed doesn't decode.
            ClipError: `too-big` where too much has to be decoded.
        """
        starts = [self._independent(a + 1, b) for a, b in itertools.pairwise([-1, *numbers])]
        self._check(numbers, starts)
        canvas, at = _Canvas(self), 0
        for start, goal in zip(starts, numbers, strict=True):
            if start > at:
                canvas.clear((0, 0, *self.size))
            for number in range(start, at := goal + 1):
                try:
                    picture = canvas.add(self.subframes[number], shows=number == goal)
                except Exception as error:  # Pillow's decoders raise many kinds on broken bytes.
                    raise FrameError(number, error) from None
            yield picture

    def _check(self, numbers: Sequence[int], starts: Sequence[int]) -> None:
        pixels = len(numbers) * self.size[0] * self.size[1]
        for start, goal in zip(starts, numbers, strict=True):
            for subframe in self.subframes[start : goal + 1]:
                pixels += subframe.size[0] * subframe.size[1]
        check_decoded(pixels, self.size)

    def _independent(self, first: int, last: int) -> int:
        """The last subframe from `first` to `last` that depends on none before it."""
        for number in range(last, first, -1):
            subframe, before = self.subframes[number], self.subframes[number - 1]
            replaces = not subframe.blend and subframe.covers(self.size)
            if replaces and subframe.disposal != RESTORE:
                return number
            if before.disposal == CLEAR and before.covers(self.size):
                return number
        return first

    def indexed(self) -> tuple[int, bytes] | None:
        """The index of an empty canvas and the palette, where indices can be composed, else None.

        That is faster than composing colours. It needs one palette for all subframes, and an index
        that is never drawn: all subframes' transparent one, or any if the canvas is never empty.
        """
        first, *others = self.subframes
        if not first.palette or any(other.palette != first.palette for other in others):
            return None
        if first.blend and all(other.transparent == first.transparent for other in others):
            at, palette = 3 * first.transparent, first.palette
            return first.transparent, palette[:at] + bytes(BACKGROUND) + palette[at + 3 :]
        emptied = any(s.disposal == CLEAR for s in self.subframes) or first.disposal == RESTORE
        return None if emptied or not first.fills(self.size) else (0, first.palette)


class _Canvas:
    """The composed picture: indices into one palette where possible, else RGBA."""

    def __init__(self, animation: Animation):
        self._empty: int | tuple[int, int, int, int] = (0, 0, 0, 0)
        indexed = animation.indexed()
        if indexed is None:
            self._picture = Image.new("RGBA", animation.size)
        else:
            self._empty, palette = indexed
            self._picture = Image.new("P", animation.size, self._empty)
            self._picture.putpalette(palette)

    def clear(self, box: tuple[int, int, int, int]) -> None:
        if box[2] > box[0] and box[3] > box[1]:
            self._picture.paste(self._empty, box)

    def add(self, subframe: Subframe, shows: bool) -> Image.Image:
        """Draws and disposes a subframe; returns the picture in between, in RGB if it `shows`."""
        saved, picture = None, self._picture
        if shows or subframe.disposal == KEEP:
            saved = self._picture.crop(subframe.box) if subframe.disposal == RESTORE else None
            subframe.draw(self._picture)
        if shows:
            picture = picture.convert("RGB") if picture.mode == "P" else flatten(picture)
        if subframe.disposal == CLEAR:
            self.clear(subframe.box)
        elif saved is not None:
            self._picture.paste(saved, subframe.box)
        return picture
