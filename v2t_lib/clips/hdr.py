"""Maps HDR and wide-gamut video to what an SDR screen shows (sRGB).

PQ and HLG (ITU-R BT.2100) are decoded to light, scaled so that diffuse white, 203 cd/m2
(ITU-R BT.2408: 58% of PQ, 75% of HLG), becomes white, and converted from BT.2020 to BT.709
primaries. Brighter colours keep their hue and clip at full brightness; so SDR content that was
graded into HDR comes back as it was.
"""

import functools

import numpy as np

#: ITU-T H.273's numbers, which FFmpeg uses: transfer functions, and BT.2020's primaries.
PQ, HLG = 16, 18
BT2020 = 9
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


def needs_mapping(transfer: int, primaries: int) -> bool:
    """Whether a video of this transfer function and these primaries isn't plain SDR already."""
    return transfer in (PQ, HLG) or primaries == BT2020


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
