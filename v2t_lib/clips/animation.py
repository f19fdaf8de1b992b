"""Animations: composes subframes on a canvas into the frames a browser shows.

Reading decodes no pixels; rendering decodes only the subframes that the requested frames need.
"""

import dataclasses
import itertools
import struct
from collections.abc import Iterator, Sequence

from PIL import Image

from v2t_lib.clips.apng import read_png
from v2t_lib.clips.background import BACKGROUND, flatten
from v2t_lib.clips.gif import GifSubframe, read_gif
from v2t_lib.clips.limits import MAX_FRAMES, check_animation, check_canvas, check_frames
from v2t_lib.clips.still import read_still
from v2t_lib.clips.subframe import CLEAR, KEEP, RESTORE, FrameError, Subframe
from v2t_lib.clips.webp import read_webp
from v2t_lib.errors import ClipError

#: Delays up to 10 ms are usually a mistake; browsers show such frames for 100 ms.
TOO_SHORT_MS, DEFAULT_MS = 10, 100


@dataclasses.dataclass(frozen=True)
class Animation:
    """A canvas and the subframes drawn on it in turn.

    Attributes:
        size: The canvas's width and height in pixels.
        subframes: At least one.
        fault: Why the file ends early, where it is cut off; else empty.
    """

    size: tuple[int, int]
    subframes: Sequence[Subframe]
    fault: str = ""

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

        Subframes that no requested frame shows are not decoded.

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
            for number in range(start, goal):
                canvas.advance(number, self.subframes[number])
            yield from canvas.render(goal, self.subframes[goal])
            at = goal + 1

    def _check(self, numbers: Sequence[int], starts: Sequence[int]) -> None:
        """Checks how many pixels rendering decodes, clears and converts."""
        pixels = len(numbers) * self.size[0] * self.size[1]
        for start, goal in zip(starts, numbers, strict=True):
            for subframe in self.subframes[start : goal + 1]:
                pixels += subframe.size[0] * subframe.size[1]
        check_animation(pixels, self.size)

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

        Composing palette indices is faster than composing colours. It needs one palette for all
        subframes, and an index for empty canvas that is never drawn: the transparent one where all
        subframes have the same, or any index where the canvas is never empty.
        """
        first, *others = self.subframes
        if not isinstance(first, GifSubframe) or any(s.palette != first.palette for s in others):
            return None
        if first.blend and all(other.transparent == first.transparent for other in others):
            at, palette = 3 * first.transparent, first.palette
            return first.transparent, palette[:at] + bytes(BACKGROUND) + palette[at + 3 :]
        emptied = any(s.disposal == CLEAR for s in self.subframes) or first.disposal == RESTORE
        return None if emptied or not first.fills(self.size) else (0, first.palette)


class _Canvas:
    """The composed picture: indices into one palette where possible, else RGBA."""

    def __init__(self, animation: Animation):
        self._empty = (0, 0, 0, 0)
        indexed = animation.indexed()
        if indexed is None:
            self._picture = Image.new("RGBA", animation.size)
        else:
            self._empty, palette = indexed
            self._picture = Image.new("P", animation.size, self._empty)
            self._picture.putpalette(palette)

    def clear(self, box: tuple[int, int, int, int]) -> None:
        """Empties the box."""
        if box[2] > box[0] and box[3] > box[1]:
            self._picture.paste(self._empty, box)

    def advance(self, number: int, subframe: Subframe) -> None:
        """Draws and disposes a subframe that isn't requested itself."""
        if subframe.disposal == KEEP:
            self._draw(number, subframe)
        elif subframe.disposal == CLEAR:
            self.clear(subframe.box)

    def render(self, number: int, subframe: Subframe) -> Iterator[Image.Image]:
        """Draws a subframe, yields the frame, then disposes the subframe."""
        saved = self._picture.crop(subframe.box) if subframe.disposal == RESTORE else None
        self._draw(number, subframe)
        yield self._rgb()
        if subframe.disposal == CLEAR:
            self.clear(subframe.box)
        elif saved is not None:
            self._picture.paste(saved, subframe.box)

    def _draw(self, number: int, subframe: Subframe) -> None:
        try:
            subframe.draw(self._picture)
        except Exception as error:
            # Pillow's decoders raise many kinds of exception on broken bytes.
            raise FrameError(number, error) from None

    def _rgb(self) -> Image.Image:
        if self._picture.mode == "P":
            return self._picture.convert("RGB")
        return flatten(self._picture)


_READERS = {
    "gif": read_gif,
    "png": read_png,
    "webp": read_webp,
    "jpeg": read_still,
    "bmp": read_still,
}


def read_animation(kind: str, data: bytes) -> Animation:
    """Reads the subframes and checks their number and sizes; decodes no pixels.

    Where the file is cut off or breaks its format's rules, the subframes before that are used.

    Args:
        kind: "gif", "png", "webp", "jpeg" or "bmp", as `sniff` returns it.
        data: The file.

    Raises:
        ClipError: `corrupt` where there are no subframes; `too-big`.
    """
    size, subframes, fault = None, [], ""
    try:
        for found in _READERS[kind](data):
            if size is None:
                size = found
                check_canvas(*size)
                continue
            subframes.append(found)
            check_frames(len(subframes), MAX_FRAMES)
            if all(found.size):
                check_canvas(*found.size)
    except (IndexError, struct.error):
        fault = "the file is cut off"
    if not subframes:
        received = fault or "none"
        raise ClipError("corrupt", f"expected frames in the {kind} file. Received: {received}")
    return Animation(size, subframes, fault)
