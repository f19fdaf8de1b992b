import numpy as np
import pytest

from v2t_lib.clips.colour import HLG, PQ, to_sdr


def mapped(colour, transfer: int) -> list[int]:
    """One pixel of R'G'B' from 0 to 1 through `to_sdr`."""
    pixel = np.round(65535 * np.array(colour, float)).astype(np.uint16).reshape(1, 1, 3)
    return to_sdr(pixel, transfer)[0, 0].astype(int).tolist()


@pytest.mark.parametrize(
    ("transfer", "code", "level"),
    [
        # Light as cd/m2 of 203, and its sRGB level: 1 is 255, 0.18 is 118, 0.01 is 25.5.
        (PQ, 0.5807, 255),  # 203 cd/m2, table in ITU-R BT.2408.
        (PQ, 0.4109, 118),  # 36.54
        (PQ, 0.1891, 25),  # 2.03
        (PQ, 0.7518, 255),  # 1,000: brighter than white is white.
        (PQ, 0, 0),
        # The scene's light is 0.265 at 75%; grey of 18% has 0.265 * 0.18 ** (1 / 1.2) = 0.06347.
        (HLG, 0.75, 255),
        (HLG, (3 * 0.06347) ** 0.5, 118),
        (HLG, 1, 255),
        (HLG, 0, 0),
        (1, 0.5, 121),  # 0.5 ** 2.4 = 0.1895, in sRGB 0.4727.
    ],
)
def test_greys_by_hand(transfer, code, level):
    assert np.abs(np.array(mapped([code] * 3, transfer)) - level).max() <= 1


def test_bright_colours_keep_their_hue():
    # 2.03, 101.5 and 203 cd/m2 of one colour, or five times as much: as bright as the screen goes.
    dim = mapped((0.5807, 0.5096, 0.1891), PQ)
    bright = mapped((0.7535, 0.6782, 0.3009), PQ)
    assert dim[0] == 255 and np.abs(np.array(dim) - bright).max() <= 2


def test_colours_outside_bt709_are_clipped():
    assert mapped((0.58, 0, 0), PQ) == [255, 0, 0]
    assert mapped((0, 0, 0.75), HLG)[:2] == [0, 0]


def test_every_strip_of_a_frame_is_mapped():
    pixels = np.random.default_rng(0).integers(0, 65536, (70, 1000, 3), dtype=np.uint16)
    whole = to_sdr(pixels, HLG)
    for row, column in ((0, 0), (33, 500), (69, 999)):
        one = to_sdr(pixels[row : row + 1, column : column + 1], HLG)[0, 0].astype(int)
        assert np.abs(whole[row, column] - one).max() <= 1
