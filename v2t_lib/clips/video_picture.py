"""Converts decoded video frames to RGB pictures: colours, transparency and orientation."""

import numpy as np
from PIL import Image

from v2t_lib.clips import hdr
from v2t_lib.clips.background import flatten
from v2t_lib.errors import ClipError

#: ITU-T H.273's numbers for the BT.709 colour matrix and an unspecified one. Browsers take the
#: latter for BT.709 from this height up, except in WebM.
_BT709, _UNSPECIFIED, _HD_HEIGHT = 1, 2, 720
#: FFmpeg's number for levels of 0 to 255, not 16 to 235.
_FULL_RANGE = 2


class PictureConverter:
    """Converts the frames of one video stream.

    Args:
        kind: "mov", "matroska" or "avi".
        context: The stream's PyAV codec context.
    """

    def __init__(self, kind: str, context):
        # Imported here: loading PyAV takes as long as decoding ten GIFs.
        import av
        from av.video.reformatter import VideoReformatter

        # Setting one up takes longer than converting a small frame, so it serves all frames.
        self._reformat = VideoReformatter().reformat
        # From version 17 on, PyAV by default starts a thread a core for every frame.
        self._threads = {"threads": 1} if int(av.__version__.split(".")[0]) >= 17 else {}
        self._kind = kind
        self._transfer, self._primaries = context.color_trc, context.color_primaries
        # Uncompressed 32-bit AVI has an alpha channel by its layout, but leaves it undefined.
        self._opaque = kind == "avi" and context.name == "rawvideo"

    def __call__(self, frame) -> Image.Image:
        """Returns the frame as an upright RGB picture over white.

        Raises:
            ClipError: `corrupt` where the pixel format can't be converted.
        """
        try:
            pixels = self._rgb(frame)
        except Exception as error:
            raise ClipError(
                "corrupt", f"expected a known pixel format. Received: {error}"
            ) from None
        picture = Image.fromarray(np.ascontiguousarray(upright(pixels, frame)))
        return flatten(picture) if picture.mode == "RGBA" else picture

    def _rgb(self, frame) -> np.ndarray:
        """uint8 `(H, W, 3)`, or `(H, W, 4)` where there is transparency."""
        matrix = frame.colorspace
        if hdr.needs_mapping(self._transfer, self._primaries):
            matrix = hdr.BT2020 if matrix == _UNSPECIFIED else matrix
            wide = self._converted(frame, "rgb48le", matrix)
            return hdr.to_sdr(wide, self._transfer)
        if matrix == _UNSPECIFIED and frame.height >= _HD_HEIGHT and self._kind != "matroska":
            matrix = _BT709
        transparent = not self._opaque and _has_alpha(frame.format)
        return self._converted(frame, "rgba" if transparent else "rgb24", matrix)

    def _converted(self, frame, form: str, matrix: int) -> np.ndarray:
        # Older PyAV ignores what the frame states, and a colour space equal to that of RGB, which
        # has none.
        options = dict(self._threads)
        if frame.color_range == _FULL_RANGE:
            options["src_color_range"] = _FULL_RANGE
        if matrix in (_BT709, hdr.BT2020):
            options |= {"src_colorspace": matrix, "dst_colorspace": "itu601"}
        return self._reformat(frame, format=form, **options).to_ndarray()


def _has_alpha(form) -> bool:
    """Whether pixels of a PyAV format may be transparent; palettes have four channels."""
    return form.name == "pal8" or any(component.is_alpha for component in form.components)


def upright(pixels: np.ndarray, frame) -> np.ndarray:
    """Applies a frame's display matrix: quarter turns and mirroring, as phones write them."""
    try:
        matrix = np.frombuffer(bytes(frame.side_data["DISPLAYMATRIX"]), np.int32)
    except KeyError:
        return pixels
    # A pixel at (x, y) is displayed at (a x + c y, b x + d y).
    a, b, c, d = (int(value) for value in matrix[[0, 1, 3, 4]])
    if abs(b) + abs(c) > abs(a) + abs(d):
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    if a < 0:
        pixels = pixels[:, ::-1]
    return pixels[::-1] if d < 0 else pixels
