"""The frames of a video as pictures: upright, in sRGB as a browser shows them, over white."""

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from v2t_lib.clips.colour import (
    BT709,
    BT2020,
    HLG,
    POWERS,
    PQ,
    PRIMARIES,
    SRGB,
    ColourSpace,
    flatten,
    to_srgb,
)
from v2t_lib.errors import ClipError

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame

#: FFmpeg's number of a matrix that isn't said.
_UNSPECIFIED = 2
#: Browsers take an unspecified matrix for BT.709 from this height up, except in WebM.
_HD_HEIGHT = 720
#: FFmpeg's number for levels of 0 to 255, not 16 to 235.
_FULL_RANGE = 2


class PictureConverter:
    """Converts the frames of one video stream to upright RGB pictures over white."""

    def __init__(self, kind: str, context: "VideoCodecContext"):
        # Imported here: loading PyAV takes as long as decoding ten GIFs.
        import av
        from av.video.reformatter import VideoReformatter

        # Setting one up takes longer than converting a small frame, so it serves all frames.
        self._reformat = VideoReformatter().reformat
        # From version 17 on, PyAV by default starts a thread a core for every frame.
        self._options = {"threads": 1} if int(av.__version__.split(".")[0]) >= 17 else {}
        self._kind = kind
        # Browsers show videos of the usual transfer functions as if it were sRGB's.
        usual = {number for number, power in POWERS.items() if power == 2.4}
        known = {PQ, HLG, *POWERS} - usual
        transfer = context.color_trc if context.color_trc in known else SRGB
        primaries = context.color_primaries
        primaries = primaries if primaries in PRIMARIES else BT709
        space = ColourSpace.coded(primaries, transfer)
        self._space = None if space == ColourSpace.coded(BT709, SRGB) else space
        self._bt2020 = transfer in (PQ, HLG) or primaries == BT2020
        # Uncompressed 32-bit AVI has an alpha channel by its layout, but leaves it undefined.
        self._opaque = kind == "avi" and context.name == "rawvideo"

    def __call__(self, frame: "VideoFrame") -> Image.Image:
        try:
            pixels = self._rgb(frame)
        except Exception as error:
            why = f"expected a known pixel format. Received: {error}"
            raise ClipError("corrupt", why) from None
        picture = Image.fromarray(np.ascontiguousarray(_upright(pixels, frame)))
        return flatten(picture) if picture.mode == "RGBA" else picture

    def _rgb(self, frame: "VideoFrame") -> np.ndarray:
        """uint8 `(H, W, 3)`, or `(H, W, 4)` where there is transparency."""
        matrix = int(frame.colorspace)
        if matrix == _UNSPECIFIED and self._bt2020:
            matrix = BT2020
        elif matrix == _UNSPECIFIED and frame.height >= _HD_HEIGHT and self._kind != "matroska":
            matrix = BT709
        if self._space:
            return to_srgb(self._converted(frame, "rgb48le", matrix), self._space)
        transparent = not self._opaque and (
            # A palette has four channels.
            frame.format.name == "pal8" or any(part.is_alpha for part in frame.format.components)
        )
        return self._converted(frame, "rgba" if transparent else "rgb24", matrix)

    def _converted(self, frame: "VideoFrame", form: str, matrix: int) -> np.ndarray:
        # Older PyAV ignores what the frame states, and a colour space equal to that of RGB.
        options: dict = dict(self._options)
        if frame.color_range == _FULL_RANGE:
            options["src_color_range"] = _FULL_RANGE
        if matrix in (BT709, BT2020):
            options |= {"src_colorspace": matrix, "dst_colorspace": "itu601"}
        return self._reformat(frame, format=form, **options).to_ndarray()


def _upright(pixels: np.ndarray, frame: "VideoFrame") -> np.ndarray:
    """Applies a frame's display matrix: quarter turns and mirroring, as phones write them."""
    try:
        side_data: Any = frame.side_data
        matrix = np.frombuffer(bytes(side_data["DISPLAYMATRIX"]), np.int32)
    except KeyError:
        return pixels
    # A pixel at (x, y) is displayed at (a x + c y, b x + d y).
    a, b, c, d = (int(value) for value in matrix[[0, 1, 3, 4]])
    if abs(b) + abs(c) > abs(a) + abs(d):
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    if a < 0:
        pixels = pixels[:, ::-1]
    return pixels[::-1] if d < 0 else pixels
