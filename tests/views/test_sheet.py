import io

import numpy as np
from PIL import Image

from v2t_lib.views.sheet import key_frames, strip


def test_key_frames_are_the_most_attended_in_order_of_time():
    weights = np.zeros((2, 4, 1, 1))
    weights[:, 3], weights[:, 1], weights[:, 0] = 0.6, 0.3, 0.1
    assert key_frames(weights, 8, 2) == [3, 7]
    assert key_frames(weights, 8, 9) == [1, 3, 5, 7]


def test_a_strip_shows_every_frame_below_its_time():
    frames = np.stack([np.full((10, 20, 3), 60 * number, np.uint8) for number in range(4)])
    with Image.open(io.BytesIO(strip(frames, np.arange(4) / 5, height=20))) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape == (19 + 20, 4 * (40 + 4), 3)
    for number in range(4):
        left = number * 44
        assert (pixels[19:, left : left + 40] == 60 * number).all()
        assert (pixels[:19, left : left + 40] < 100).any()  # the time, in black on white
        assert (pixels[:, left + 40 : left + 44] == 255).all()
