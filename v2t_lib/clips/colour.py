"""Colours as pictures and videos state them, to sRGB as Chromium 156 shows it, over white.

HDR (PQ and HLG, ITU-R BT.2100) is mapped by its reference white tone mapping: diffuse white, 203
cd/m2, has half the light of the screen's white, which 1,000 cd/m2 gets.
"""

import contextlib
import dataclasses
import functools
import io

import numpy as np
from PIL import Image, ImageCms

#: What transparent pixels show, as on a web page: red, green and blue of white.
BACKGROUND = (255, 255, 255)
#: ITU-T H.273's numbers, as in FFmpeg: transfer functions, then primaries and matrices.
SRGB, PQ, HLG = 13, 16, 18
#: Those whose light is a power of the code value, or nearly; browsers take BT.709's for 2.4.
POWERS = {1: 2.4, 4: 2.2, 5: 2.8, 6: 2.4, 8: 1.0, 11: 2.4, 14: 2.4, 15: 2.4, 17: 2.6}
BT709, BT2020 = 1, 9
_D65 = (0.3127, 0.3290)
#: Chromaticities of white, red, green and blue, each x and y, by their number there.
PRIMARIES = {
    4: (0.310, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    8: (0.310, 0.316, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    10: (1 / 3, 1 / 3, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0),
    11: (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    12: (*_D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    22: (*_D65, 0.63, 0.34, 0.295, 0.605, 0.155, 0.077),
} | dict.fromkeys((1, 6, 7), (*_D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06))
#: Diffuse white, and the peak of the screen that HLG is defined for, in cd/m2.
WHITE, HLG_PEAK = 203.0, 1000.0
#: BT.2020's luminance weights, for HLG's system gamma.
_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)
#: Bradford's cone responses, in which white is adapted.
_CONES = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
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


@dataclasses.dataclass(frozen=True)
class ColourSpace:
    """What code values mean."""

    primaries: tuple[float, ...]  # chromaticities, as in `PRIMARIES`
    transfer: int = SRGB  # or `PQ`, `HLG`; 0: light is the code value to the power of `gamma`
    gamma: float = 0.0

    @classmethod
    def coded(cls, primaries: int, transfer: int) -> "ColourSpace | None":
        """That of two numbers of ITU-T H.273, if browsers know both."""
        known = primaries in PRIMARIES and transfer in {SRGB, PQ, HLG, *POWERS}
        gamma = POWERS.get(transfer, 0.0)
        return cls(PRIMARIES[primaries], 0 if gamma else transfer, gamma) if known else None


def to_srgb(pixels: np.ndarray, space: ColourSpace) -> np.ndarray:
    """Maps full-range R'G'B' `(H, W, 3)`, uint8 or uint16, to sRGB, uint8 `(H, W, 3)`."""
    codes = pixels if pixels.dtype == np.uint16 else pixels.astype(np.uint16) * 257
    out = np.empty(pixels.shape, np.uint8)
    height, width, _ = pixels.shape
    step = max(1, _STRIP // width)
    hdr, target = space.transfer in (PQ, HLG), PRIMARIES[BT709]
    for top in range(0, height, step):
        rows = slice(top, top + step)
        light = np.take(_linear(space), np.moveaxis(codes[rows], -1, 0).reshape(3, -1))
        if space.transfer == HLG:
            # System gamma: 1.2 on the luminance of the scene.
            light *= np.float32(HLG_PEAK / WHITE) * (_LUMINANCE @ light) ** np.float32(0.2)
        if hdr:
            light = _between(space.primaries, PRIMARIES[BT2020]) @ light
            brightest = np.maximum(light.max(axis=0), 1e-9)
            light *= np.interp(brightest, *_tone_curve()).astype(np.float32) / brightest
        light = _between(PRIMARIES[BT2020] if hdr else space.primaries, target) @ light  # (3, N)
        levels = (np.clip(light, 0, 1) * 65535).astype(np.uint16)
        out[rows] = np.moveaxis(np.take(_srgb(), levels).reshape(3, -1, width), 0, -1)
    return out


@functools.lru_cache(maxsize=32)
def _between(primaries: tuple[float, ...], others: tuple[float, ...]) -> np.ndarray:
    """Linear RGB of some primaries to linear RGB of others, float32 `(3, 3)`; primaries that span
    no colours change nothing."""

    def to_xyz(of: tuple[float, ...]) -> np.ndarray:
        places = zip(of[::2], of[1::2], strict=True)
        white, *columns = (np.array([x, y, 1 - x - y]) for x, y in places)
        matrix = np.stack(columns, axis=1)
        matrix = matrix * np.linalg.solve(matrix, white / white[1])
        adapted = (_CONES @ np.ones(3)) / (_CONES @ (white / white[1]))  # all share one white
        return np.linalg.inv(_CONES) @ np.diag(adapted) @ _CONES @ matrix

    with np.errstate(all="ignore"), contextlib.suppress(np.linalg.LinAlgError):
        matrix = (np.linalg.inv(to_xyz(others)) @ to_xyz(primaries)).astype(np.float32)
        if np.isfinite(matrix).all():
            return matrix
    return np.eye(3, dtype=np.float32)


@functools.lru_cache(maxsize=8)
def _linear(space: ColourSpace) -> np.ndarray:
    """Code values 0 to 65535 to linear light, float32: of the scene for HLG, else of the screen."""
    code = np.arange(65536) / 65535
    if space.transfer == PQ:
        m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
        power = code ** (1 / m2)
        light = (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1) * 10000 / WHITE
    elif space.transfer == HLG:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    elif space.transfer == SRGB:
        light = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    else:
        light = code**space.gamma
    return light.astype(np.float32)


@functools.cache
def _tone_curve() -> tuple[np.ndarray, np.ndarray]:
    """Light, 1 for diffuse white, to what is shown of it: half of it up to 1, from where a Bezier
    curve reaches the screen's white at the peak."""
    peak, white, bend = HLG_PEAK / WHITE, 0.5, 0.65
    at = np.linspace(0, 1, 1024)
    middle = 1 + bend * (1 / white - 1), white + bend * (1 - white)
    light, shown = (
        (1 - at) ** 2 * first + 2 * at * (1 - at) * second + at**2 * third
        for first, second, third in ((1, middle[0], peak), (white, middle[1], 1))
    )
    return np.append(0, light), np.append(0, shown)


@functools.cache
def _srgb() -> np.ndarray:
    """Linear light in 65,536 steps to uint8 sRGB values."""
    light = np.arange(65536) / 65535
    code = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(255 * code).astype(np.uint8)


def shown(picture: Image.Image, space: ColourSpace | bytes | None) -> Image.Image:
    """An RGBA picture in sRGB, by a colour space, or by an ICC profile of its colours or greys."""
    if not space:
        return picture
    if isinstance(space, ColourSpace):
        rgb = Image.fromarray(to_srgb(np.asarray(picture)[..., :3], space))
    else:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(space))
            grey = profile.profile.xcolor_space.strip() == "GRAY"
            source = picture.getchannel("R") if grey else picture.convert("RGB")
            srgb = ImageCms.createProfile("sRGB")
            rgb = ImageCms.buildTransform(profile, srgb, source.mode, "RGB").apply(source)
        except (OSError, ImageCms.PyCMSError):  # damaged, or of neither RGB nor greys
            return picture
    rgb.putalpha(picture.getchannel("A"))
    return rgb
