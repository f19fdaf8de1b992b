import io

import numpy as np
import pytest
from PIL import Image

from v2t_lib.models.caption import Caption


def made(attention, frames=8, **options):
    words = tuple("abcdefg"[: len(attention)])
    return Caption(
        text=" ".join(words),
        words=words,
        probs=np.full(len(words), 0.5),
        log_prob=-1.0,
        attention=np.asarray(attention, "float32"),
        frames=np.full((frames, 20, 24, 3), 90, np.uint8),
        seconds=np.arange(frames) / 5,
        **options,
    )


def one_cell(*cells, grid=(2, 2, 2)):
    attention = np.zeros((len(cells), *grid), "float32")
    for number, cell in enumerate(cells):
        attention[(number, *cell)] = 1
    return attention


def test_the_frame_of_a_word_is_the_middle_of_its_cell():
    caption = made(one_cell((0, 0, 0), (1, 0, 1)))
    assert [caption.frame_of(0), caption.frame_of(1)] == [2, 6]


def test_frames_of_a_cell_share_its_weight():
    share = made(one_cell((0, 0, 0), (1, 1, 1))).frame_share()
    np.testing.assert_allclose(share, [[0.25] * 4 + [0] * 4, [0] * 4 + [0.25] * 4])
    uneven = made(one_cell((0, 0, 0), (1, 1, 1)), frames=5).frame_share()
    np.testing.assert_allclose(
        uneven, [[0.5, 0.5, 0, 0, 0], [0, 0, 1 / 3, 1 / 3, 1 / 3]], rtol=1e-6
    )


def test_entropy_is_a_share_of_the_highest_and_even_attention_is_called_so():
    attention = one_cell((0, 0, 0), (0, 0, 0), (0, 0, 0))
    attention[1] = 1 / 8
    attention[2, 1, 1, 1] = attention[2, 0, 0, 0] = 0.5
    caption = made(attention)
    np.testing.assert_allclose(caption.entropy(), [0, 1, 1 / 3], atol=1e-6)
    assert [caption.looked_nowhere(word) for word in range(3)] == [False, True, False]


def test_the_evidence_frame_is_where_sharp_words_looked():
    attention = one_cell((1, 0, 0), (1, 0, 1), (0, 0, 0))
    attention[2] = 0.11  # looks nowhere in particular, a little earlier than later
    attention[2, 0, 0, 0] = 0.23
    assert made(attention).evidence_frame() in range(4, 8)
    assert made(np.zeros((0, 2, 2, 2))).evidence_frame() == 0


def test_a_gif_shows_the_sharpest_word_unless_told(tmp_path):
    attention = one_cell((0, 0, 0), (0, 1, 1))
    attention[0] = 1 / 8
    caption = made(attention)
    assert caption.sharpest_word() == 1
    caption.save_gif(tmp_path / "a.gif")
    caption.save_gif(tmp_path / "b.gif", word=1)
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()
    with pytest.raises(ValueError, match=r"from 0 to 1. Received: 2"):
        caption.save_gif(tmp_path / "c.gif", word=2)
    assert not (tmp_path / "c.gif").exists()


def test_a_sheet_has_a_row_a_word_and_a_column_a_key_frame(tmp_path):
    caption = made(one_cell((1, 0, 0), (1, 1, 1), grid=(4, 2, 2)))
    with Image.open(io.BytesIO(caption.sheet(columns=2))) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    cell = pixels[23:, -2 * 68 :]  # frames 64 wide and 53 high, beside 4 of white
    row = cell.shape[0] // 3
    assert row == 57
    assert (np.abs(cell[:53, :64] - 90) < 12).all()  # the bare frame above
    heated = np.abs(cell[row : row + 53] - 90).sum(-1) > 60
    both = [heated[:26, :32].mean(), heated[:26, 68:100].mean()]
    assert max(both) > 0.3 > 0.01 > heated[34:52, 40:60].mean()
    caption.save_sheet(tmp_path / "deep" / "sheet.png")
    assert (tmp_path / "deep" / "sheet.png").read_bytes() == caption.sheet()


def test_a_caption_without_words_has_pictures_too():
    assert made(np.zeros((0, 2, 2, 2))).sheet()[:4] == b"\x89PNG"
