"""Colours: frames of videos to sRGB as a browser shows them, transparency to white.

HDR and wide-gamut video is mapped to what an SDR screen shows: PQ and HLG (ITU-R BT.2100) are
decoded to light, scaled so that diffuse white, 203 cd/m2 (ITU-R BT.2408: 58% of PQ, 75% of HLG),
becomes white, and converted from BT.2020 to BT.709 primaries. Brighter colours keep their hue and
clip at full brightness; so SDR content that was graded into HDR comes back as it was.
"""

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from v2t_lib.errors import ClipError

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame

#: What transparent pixels show, as on a web page: red, green and blue of white.
BACKGROUND = (255, 255, 255)
#: ITU-T H.273's numbers, as in FFmpeg: transfer functions, then primaries and matrices.
PQ, HLG = 16, 18
_BT2020, _BT709, _UNSPECIFIED = 9, 1, 2
#: Browsers take an unspecified matrix for BT.709 from this height up, except in WebM.
_HD_HEIGHT = 720
#: FFmpeg's number for levels of 0 to 255, not 16 to 235.
_FULL_RANGE = 2
#: Diffuse white, and the peak of the screen that HLG is defined for, in cd/m2.
WHITE, HLG_PEAK = 203.0, 1000.0
#: BT.2020's luminance weights, for HLG's system gamma.
_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)
#: Linear RGB of BT.2020 primaries to linear RGB of BT.709 primaries (ITU-R BT.2407).
_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    np.float32,
)
#: Pixels that are mapped at a time: a strip that fits the processor's cache.
_STRIP = 2**15


def flatten(picture: Image.Image) -> Image.Image:
    """An RGBA picture over `BACKGROUND`, as RGB."""
    alpha = picture.getchannel("A")
    if alpha.getextrema()[0] == 255:
        return picture.convert("RGB")
    shown = Image.new("RGB", picture.size, BACKGROUND)
    shown.paste(picture, mask=alpha)
    return shown


def to_sdr(pixels: np.ndarray, transfer: int) -> np.ndarray:
    """Maps RGB of BT.2020 primaries to sRGB.

    Args:
        pixels: uint16 `(H, W, 3)`, full range: R'G'B' as coded.
        transfer: `PQ`, `HLG`, or any other number for SDR's gamma of 2.4 (BT.1886).

    Returns:
        uint8 `(H, W, 3)`.
    """
    out = np.empty(pixels.shape, np.uint8)
    height, width, _ = pixels.shape
    step = max(1, _STRIP // width)
    for top in range(0, height, step):
        rows = slice(top, top + step)
        light = np.take(_linear(transfer), np.moveaxis(pixels[rows], -1, 0).reshape(3, -1))
        if transfer == HLG:
            # System gamma: 1.2 on the luminance of the scene.
            light *= np.float32(HLG_PEAK / WHITE) * (_LUMINANCE @ light) ** np.float32(0.2)
        light = _TO_BT709 @ light  # (3, N), diffuse white is 1
        light /= np.maximum(light.max(axis=0), 1)
        levels = (np.maximum(light, 0) * 65535).astype(np.uint16)
        out[rows] = np.moveaxis(np.take(_srgb(), levels).reshape(3, -1, width), 0, -1)
    return out


@functools.cache
def _linear(transfer: int) -> np.ndarray:
    """Code values 0 to 65535 to linear light, float32: of the scene for HLG, else of the screen."""
    code = np.arange(65536) / 65535
    if transfer == PQ:
        m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
        power = code ** (1 / m2)
        light = (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1) * 10000 / WHITE
    elif transfer == HLG:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    else:
        light = code**2.4
    return light.astype(np.float32)


@functools.cache
def _srgb() -> np.ndarray:
    """Linear light in 65,536 steps to uint8 sRGB values."""
    light = np.arange(65536) / 65535
    code = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(255 * code).astype(np.uint8)


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
        self._kind, self._transfer = kind, context.color_trc
        self._wide = self._transfer in (PQ, HLG) or context.color_primaries == _BT2020
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
        if self._wide:
            matrix = _BT2020 if matrix == _UNSPECIFIED else matrix
            return to_sdr(self._converted(frame, "rgb48le", matrix), self._transfer)
        if matrix == _UNSPECIFIED and frame.height >= _HD_HEIGHT and self._kind != "matroska":
            matrix = _BT709
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
        if matrix in (_BT709, _BT2020):
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
