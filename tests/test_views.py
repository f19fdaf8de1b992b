import json
import re

import numpy as np
import pytest
from PIL import Image

from v2t_lib.search import Caption
from v2t_lib.views import heat_maps, overlay, page, save_gif, save_page


@pytest.fixture
def caption():
    attention = np.zeros((3, 2, 2, 2), "float32")
    attention[0, 0, 0, 0] = 1.0
    attention[1, 1, 1, 1] = 1.0
    attention[2] = 1 / 8
    frames = np.full((4, 20, 20, 3), 120, np.uint8)
    frames[..., 0] += (10 * np.arange(4, dtype=np.uint8))[:, None, None]
    words, probs = ("red", "</script>", "red"), np.array([0.9, 0.5, 0.25])
    return Caption(" ".join(words), words, probs, -1.0, attention, frames, np.arange(4) / 5)


def test_heat_is_where_and_when_the_attention_is(caption):
    heat = heat_maps(caption.attention[1], (4, 20, 20))
    assert heat.shape == (4, 20, 20) and heat.dtype == np.float32
    assert not heat[:2].any() and heat.max() == pytest.approx(1)
    assert (heat[2:, 15:, 15:] > 0.9).all() and (heat[2:, :5, :5] < 0.1).all()
    np.testing.assert_allclose(heat_maps(caption.attention[2], (4, 20, 20)), 1, rtol=1e-6)


def test_overlay_leaves_cold_pixels_as_they_are(caption):
    heat = np.zeros((4, 20, 20), "float32")
    heat[1, 3, 4] = 1.0
    laid = overlay(caption.frames, heat)
    changed = (laid != caption.frames).any(-1)
    assert changed.sum() == 1 and changed[1, 3, 4]
    # Inferno's last colour, (252, 255, 164), over the frame at 65%.
    expected = 0.35 * caption.frames[1, 3, 4] + 0.65 * np.array([252, 255, 164])
    np.testing.assert_allclose(laid[1, 3, 4], expected, atol=1)


def test_a_gif_shows_clip_and_heat_side_by_side(caption, tmp_path):
    save_gif(caption, tmp_path / "heat.gif", word=0, width=100)
    assert [path.name for path in tmp_path.iterdir()] == ["heat.gif"]
    with Image.open(tmp_path / "heat.gif") as picture:
        assert picture.n_frames == 4 and picture.info["duration"] == 200
        assert picture.width == 200
        first = np.asarray(picture.convert("RGB")).astype(int)
    left, right = first[:100, :100], first[:100, 100:]
    difference = np.abs(left - right).sum(-1)
    assert difference[:40, :40].min() > 40 > 5 > difference[70:, 70:].max()
    assert (first[100:] < 50).any()  # the caption, in black below


def test_the_page_holds_all_it_shows_and_nothing_outside(caption, tmp_path):
    save_page(tmp_path / "page.html", [caption, caption], ["a truth", ""], summary="97% <right>")
    text = (tmp_path / "page.html").read_text()
    assert not re.search(r"""(src|href)\s*=\s*["']?http|@import|fetch\(""", text)
    assert "97% &lt;right&gt;" in text and text.count("</script>") == 1
    clips = json.loads(re.search(r"const clips = (.*);\n", text).group(1))
    assert len(clips) == 2
    assert clips[0]["words"] == list(caption.words) and clips[0]["probs"] == [0.9, 0.5, 0.25]
    assert clips[0]["grid"] == [2, 2, 2] and clips[0]["frames"] == [4, 20, 20]
    assert clips[0]["truth"] == "a truth" and clips[0]["step"] == pytest.approx(0.2)


def test_a_caption_without_words_has_a_page(caption):
    empty = Caption(
        "", (), np.ones(0), 0.0, np.zeros((0, 2, 2, 2)), caption.frames, caption.seconds
    )
    assert '"words": []' in page([empty])
