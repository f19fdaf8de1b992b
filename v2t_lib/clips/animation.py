"""Animations: parts composed on a canvas to what a browser shows.

Reading the parts decodes nothing; composing decodes only what the frames asked for need.
"""

import dataclasses
import io
import struct
import warnings
from collections.abc import Iterator, Sequence

from PIL import ExifTags, Image

from v2t_lib.clips.apng import read_png
from v2t_lib.clips.gif import GifPart, read_gif
from v2t_lib.clips.sniff import check_canvas, check_frames
from v2t_lib.clips.subframe import CLEAR, KEEP, PREVIOUS, BadFrame, Part
from v2t_lib.clips.webp import read_webp
from v2t_lib.errors import ClipError

#: Transparent pixels lie over this colour.
BACKGROUND = (255, 255, 255)
#: Delays up to 10 ms are a slip of the maker's; browsers show such frames for 100 ms.
HASTY_MS, HASTY_SHOWN_MS = 10, 100


@dataclasses.dataclass(frozen=True)
class Animation:
    """Parts that follow one another on a canvas.

    Attributes:
        size: The canvas's width and height in pixels.
        parts: At least one.
        fault: Why there are no more parts, where the file is cut off; else empty.
    """

    size: tuple[int, int]
    parts: Sequence[Part]
    fault: str = ""

    @property
    def durations(self) -> list[float]:
        """Seconds that each frame shows, as browsers have it."""
        shown = [part.milliseconds for part in self.parts]
        return [(delay if delay > HASTY_MS else HASTY_SHOWN_MS) / 1000 for delay in shown]

    def before(self, bad: BadFrame) -> "Animation":
        """What there is before a frame that doesn't decode."""
        return Animation(self.size, self.parts[: bad.number], bad.why)

    def show(self, wanted: Sequence[int]) -> Iterator[Image.Image]:
        """Yields the frames numbered `wanted`, ascending, as RGB pictures over `BACKGROUND`.

        Parts that leave no trace in what is wanted are not decoded.

        Raises:
            BadFrame: A part that was needed doesn't decode.
        """
        canvas, at = _Canvas(self), 0
        for goal in wanted:
            start = self._fresh_start(at, goal)
            if start > at:
                canvas.clear((0, 0, *self.size))
            for number in range(start, goal):
                canvas.pass_by(number, self.parts[number])
            yield from canvas.stop_at(goal, self.parts[goal])
            at = goal + 1

    def _fresh_start(self, first: int, last: int) -> int:
        """The last part from `first` to `last` that owes nothing to those before it."""
        for number in range(last, first, -1):
            part, before = self.parts[number], self.parts[number - 1]
            if not part.over and part.covers(self.size) and part.after != PREVIOUS:
                return number
            if before.after == CLEAR and before.covers(self.size):
                return number
        return first

    def indexed(self) -> tuple[int, bytes] | None:
        """Blank index and palette if indices may be composed, which is quick, instead of colours.

        Indices need one palette for all parts, and an index for "nothing here" that no part ever
        draws: the transparent one where all parts agree on it, or any at all where the canvas is
        never bare.
        """
        first, *others = self.parts
        if not isinstance(first, GifPart) or any(p.palette != first.palette for p in others):
            return None
        if first.over and all(part.transparent == first.transparent for part in others):
            at, palette = 3 * first.transparent, first.palette
            return first.transparent, palette[:at] + bytes(BACKGROUND) + palette[at + 3 :]
        bared = any(part.after == CLEAR for part in self.parts) or first.after == PREVIOUS
        return None if bared or not first.fills(self.size) else (0, first.palette)


class _Canvas:
    """What shows: indices into one palette where that does, else RGBA."""

    def __init__(self, animation: Animation):
        self._nothing = (0, 0, 0, 0)
        indexed = animation.indexed()
        if indexed is None:
            self._picture = Image.new("RGBA", animation.size)
        else:
            self._nothing, palette = indexed
            self._picture = Image.new("P", animation.size, self._nothing)
            self._picture.putpalette(palette)

    def clear(self, box: tuple[int, int, int, int]) -> None:
        """Leaves nothing in the box."""
        if box[2] > box[0] and box[3] > box[1]:
            self._picture.paste(self._nothing, box)

    def pass_by(self, number: int, part: Part) -> None:
        """Does what the part leaves behind."""
        if part.after == KEEP:
            self._draw(number, part)
        elif part.after == CLEAR:
            self.clear(part.box)

    def stop_at(self, number: int, part: Part) -> Iterator[Image.Image]:
        """Yields what shows at the part, then does what the part leaves behind."""
        saved = self._picture.crop(part.box) if part.after == PREVIOUS else None
        self._draw(number, part)
        yield self._rgb()
        if part.after == CLEAR:
            self.clear(part.box)
        elif saved is not None:
            self._picture.paste(saved, part.box)

    def _draw(self, number: int, part: Part) -> None:
        try:
            part.draw(self._picture)
        except Exception as error:
            # Pillow's decoders raise what they like on broken bytes; none of it may pass.
            raise BadFrame(number, error) from None

    def _rgb(self) -> Image.Image:
        if self._picture.mode == "P":
            return self._picture.convert("RGB")
        alpha = self._picture.getchannel("A")
        if alpha.getextrema()[0] == 255:
            return self._picture.convert("RGB")
        shown = Image.new("RGB", self._picture.size, BACKGROUND)
        shown.paste(self._picture, mask=alpha)
        return shown


def _read_still(data: bytes) -> Iterator:
    """Yields the size of a JPEG or BMP, then its one part."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data), formats=("JPEG", "BMP"))
        # Turned on its side by its camera, it will be put upright, see `parts`.
        aside = picture.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ClipError("too-big", f"expected a smaller picture. Received: {error}") from None
    except Exception:
        return  # As with frames: whatever Pillow raises, there is no picture.
    size = picture.size[::-1] if aside else picture.size
    yield size
    yield Part((0, 0, *size), 0, KEEP, False, data)


_READERS = {
    "gif": read_gif,
    "png": read_png,
    "webp": read_webp,
    "jpeg": _read_still,
    "bmp": _read_still,
}


def read_animation(kind: str, data: bytes) -> Animation:
    """Reads the parts and checks all limits; decodes no pixels.

    Where the file breaks off or breaks its format's rules, the parts before that count.

    Args:
        kind: "gif", "png", "webp", "jpeg" or "bmp", as `containers.sniff` tells.
        data: The file.

    Raises:
        ClipError: `corrupt` where there are no parts; `too-big`.
    """
    size, parts, pixels, fault = None, [], 0, ""
    try:
        for found in _READERS[kind](data):
            if size is None:
                size = found
                check_canvas(*size)
                continue
            width, height = found.size
            pixels += max(width * height, size[0] * size[1])
            parts.append(found)
            check_frames(len(parts), pixels)
            if width * height:
                check_canvas(width, height)
    except (IndexError, struct.error):
        fault = "the file is cut off"
    if not parts:
        why = fault or "none"
        raise ClipError("corrupt", f"expected frames in the {kind} file. Received: {why}")
    return Animation(size, parts, fault)
