"""Heat maps, and sheets of frames."""

import io

import numpy as np
import pytest
from PIL import Image

from v2t_lib.views.heatmap import bilinear, enlarge, heat_maps, heated
from v2t_lib.views.sheet import key_frames, strip


@pytest.fixture
def frames():
    made = np.full((4, 20, 20, 3), 120, np.uint8)
    made[..., 0] += (10 * np.arange(4, dtype=np.uint8))[:, None, None]
    return made


def test_heat_is_where_and_when_the_attention_is():
    attention = np.zeros((2, 2, 2), "float32")
    attention[1, 1, 1] = 1.0
    heat = heat_maps(attention, (4, 20, 20))
    assert heat.shape == (4, 20, 20) and heat.dtype == np.float32
    assert not heat[:2].any() and heat.max() == pytest.approx(1)
    assert (heat[2:, 15:, 15:] > 0.9).all() and (heat[2:, :5, :5] < 0.1).all()
    np.testing.assert_allclose(heat_maps(np.full((2, 2, 2), 1 / 8), (4, 20, 20)), 1, rtol=1e-6)


def test_cold_pixels_stay_as_they_are(frames):
    attention = np.zeros((4, 20, 20), "float32")  # a cell a pixel
    attention[1, 3, 4] = 0.5
    laid = heated(frames, attention)
    changed = (laid != frames).any(-1)
    assert changed.sum() == 1 and changed[1, 3, 4]
    # Inferno's last colour, (252, 255, 164), over the frame at 65%.
    expected = 0.35 * frames[1, 3, 4] + 0.65 * np.array([252, 255, 164])
    np.testing.assert_allclose(laid[1, 3, 4], expected, atol=1)


def test_pixels_are_repeated_a_whole_number_of_times(frames):
    large = enlarge(frames, 59)
    assert large.shape == (4, 40, 40, 3)
    np.testing.assert_array_equal(large[:, 1::2, ::2], frames)
    np.testing.assert_array_equal(enlarge(frames, 10), frames)  # never smaller


def test_heat_peaks_where_the_cell_looks():
    values = np.zeros((5, 5), np.float32)
    values[2, 1] = 1
    plain, shifted = (bilinear(values, (40, 40), shift) for shift in ((0, 0), (0.25, -0.5)))
    at = np.arange(40) + 0.5
    centres = [[at @ heat.sum(axis) / heat.sum() for axis in (1, 0)] for heat in (plain, shifted)]
    np.testing.assert_allclose(centres, [[20, 12], [22, 8]], rtol=1e-3)
    heat = heat_maps(values[None], (3, 40, 40), (0.25, -0.5))
    np.testing.assert_allclose(heat, np.stack([shifted] * 3), rtol=1e-6)


def test_key_frames_are_the_most_attended_in_order_of_time():
    weights = np.zeros((2, 4, 1, 1))
    weights[:, 3], weights[:, 1], weights[:, 0] = 0.6, 0.3, 0.1
    assert key_frames(weights, 8, 2) == [3, 7]
    assert key_frames(weights, 8, 9) == [1, 3, 5, 7]


def test_a_strip_shows_every_frame_below_its_time():
    frames = np.stack([np.full((12, 24, 3), 60 * number, np.uint8) for number in range(4)])
    with Image.open(io.BytesIO(strip(frames, np.arange(4) / 5))) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape == (19 + 96, 4 * (192 + 4), 3)
    for number in range(4):
        left = number * 196
        assert (pixels[19:, left : left + 192] == 60 * number).all()
        assert (pixels[:19, left : left + 192] < 100).any()  # the time, in black on white
        assert (pixels[:, left + 192 : left + 196] == 255).all()
