"""Placeholders: what hosts serve in place of a removed clip."""

import io

import numpy as np
import pytest
from helpers.clips import removed
from PIL import Image

from v2t_lib.clips.decode import decode_clip
from v2t_lib.clips.problems import UNIFORM_SHARE, is_placeholder, is_static, uniform_share
from v2t_lib.datasets.shapes import draw, encode_gif
from v2t_lib.errors import ClipError
from v2t_lib.specs import ClipSpec


def written(pictures, form="GIF", **options) -> bytes:
    file = io.BytesIO()
    pictures[0].save(file, form, save_all=True, append_images=pictures[1:], **options)
    return file.getvalue()


def kind_of(data: bytes) -> str:
    try:
        decode_clip(data, ClipSpec(frames=8, height=48, width=48))
    except ClipError as error:
        return error.kind
    return "ok"


@pytest.mark.parametrize("size", [(500, 281), (250, 141), (100, 100)])
def test_the_removed_picture_is_a_placeholder_moving_or_not(size):
    picture = removed(size)
    shade = Image.new("RGB", size, (221, 221, 222))  # Keeps Pillow from merging equal frames.
    other = Image.blend(picture, shade, 0.02)
    assert uniform_share(np.asarray(picture)) > UNIFORM_SHARE + 0.02
    assert kind_of(written([picture])) == "placeholder"
    assert kind_of(written([picture], "PNG")) == "placeholder"
    assert kind_of(written([picture, other, picture], duration=500)) == "placeholder"


def test_what_moves_or_has_colours_is_none():
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (60, 80, 3), np.uint8))
    assert kind_of(written([noise])) == "still"
    plain = [Image.new("RGB", (80, 60), (n, n, n)) for n in (0, 90, 180)]
    assert kind_of(written(plain)) == "ok"
    # Still for all but one frame, which the samples miss.
    text, flash = removed((250, 141)), Image.new("RGB", (250, 141), (255, 0, 0))
    clip = [text, flash, text.copy()]
    assert kind_of(written(clip, duration=[4000, 20, 4000])) == "ok"


def test_no_drawn_clip_is_a_placeholder():
    for seed in range(40):
        drawing = draw(np.random.default_rng(seed))
        assert kind_of(encode_gif(drawing.pictures, drawing.palette, drawing.delays)) == "ok"


def test_the_rule_by_hand():
    grey = np.full((10, 10, 3), 100, np.uint8)
    ten, eleven = grey.copy(), grey.copy()
    ten[0, :10] = (100, 117, 100)
    eleven[0, :10] = eleven[1, 0] = (100, 117, 100)
    assert uniform_share(grey) == 1 and uniform_share(ten) == 0.9 and uniform_share(eleven) == 0.89
    assert uniform_share(grey + np.uint8(16) * (ten > 100)) == 1
    assert is_placeholder([ten, ten]) and not is_placeholder([eleven, eleven])
    assert is_placeholder([grey, grey + np.uint8(8)])
    assert not is_placeholder([grey, grey, grey + np.uint8(9)])
    assert is_static(np.stack([grey, grey + np.uint8(8)]))
    assert not is_static(np.stack([grey, grey - np.uint8(9)]))
