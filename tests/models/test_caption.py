import dataclasses
import io

import numpy as np
import pytest
from helpers.captions import example
from PIL import Image

import v2t_lib as v2t
from v2t_lib.clips.decode import iter_frames
from v2t_lib.models.caption import Caption, cell_of, over_pixels
from v2t_lib.views.inspector import cards


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


def test_a_caption_without_words_answers_whatever_it_is_asked(tmp_path):
    empty = example(words=())
    assert empty.entropy().shape == (0,) and empty.frame_share().shape == (0, 4)
    assert empty.evidence_frame() == 0 and empty.sheet()[:4] == b"\x89PNG"
    empty.save_sheet(tmp_path / "a.png")
    v2t.inspect(empty)
    with pytest.raises(ValueError, match="Received: one without words"):
        empty.sharpest_word()


def test_a_word_has_one_second_on_the_page_and_in_json():
    caption = dataclasses.replace(example(), seconds=np.array([0.0625, 0.1875, 0.3125, 0.4375]))
    (card,) = cards([caption])
    for word, row in enumerate(caption.to_dict("a.gif")["words"]):
        assert card["seconds"][card["top"][word]] == row["seconds"]


def test_entropy_is_a_share_of_the_highest_and_even_attention_is_called_so():
    attention = one_cell((0, 0, 0), (0, 0, 0), (0, 0, 0))
    attention[1] = 1 / 8
    attention[2, 1, 1, 1] = attention[2, 0, 0, 0] = 0.5
    caption = made(attention)
    np.testing.assert_allclose(caption.entropy(), [0, 1, 1 / 3], atol=1e-6)
    assert [caption.looked_nowhere(word) for word in range(3)] == [False, True, False]
    blind = made(np.ones((3, 1, 1, 1)))  # a memory of one cell is no sharp look
    assert blind.looked_nowhere(0) and blind.entropy().tolist() == [1, 1, 1]


def test_the_evidence_frame_is_where_concentrated_attention_is():
    attention = one_cell((1, 0, 0), (1, 0, 1), (0, 0, 0))
    attention[2] = 0.11  # almost uniform, with a little more on the first time step
    attention[2, 0, 0, 0] = 0.23
    assert made(attention).evidence_frame() in range(4, 8)
    assert made(np.zeros((0, 2, 2, 2))).evidence_frame() == 0


SAVERS = {".gif": Caption.save_gif, ".mp4": Caption.save_video}


@pytest.mark.parametrize("suffix", SAVERS)
def test_an_animation_shows_the_sharpest_word_unless_told(tmp_path, suffix):
    attention = one_cell((0, 0, 0), (0, 1, 1), (1, 1, 0))
    attention[0] = 1 / 8
    caption, save = made(attention), SAVERS[suffix]
    assert caption.sharpest_word() == 1
    shown = {}
    for name, options in {
        "sharpest": {},
        "number": {"word": 1},
        "word": {"word": "b"},
        "other": {"word": "c"},
    }.items():
        save(caption, tmp_path / f"{name}{suffix}", **options)
        shown[name] = (tmp_path / f"{name}{suffix}").read_bytes()
    assert shown["sharpest"] == shown["number"] == shown["word"] != shown["other"]


@pytest.mark.parametrize("suffix", SAVERS)
def test_an_animation_runs_in_the_clips_own_time_with_heat_where_attention_is(tmp_path, suffix):
    caption = made(one_cell((0, 0, 0), (1, 1, 1)))
    path = tmp_path / f"heat{suffix}"
    SAVERS[suffix](caption, path, word=1, width=72)
    frames, seconds = zip(*iter_frames(path.read_bytes()), strict=True)
    assert sum(seconds) == pytest.approx(8 / 5, abs=0.01)
    assert frames[0].shape[1] == 2 * 72  # 24 pixels three times, and both halves
    at = np.cumsum(seconds) - np.array(seconds) / 2
    for frame, when in zip(frames, at, strict=True):
        left, right = np.split(frame[:60].astype(int), 2, axis=1)
        heated = np.abs(left - right).sum(-1) > 60
        assert heated[40:, 50:].all() == (when > 0.8) and not heated[:20, :20].any()


@pytest.mark.parametrize("suffix", SAVERS)
@pytest.mark.parametrize(
    ("word", "why"),
    [
        (2, "or a number from 0 to 1. Received: 2"),
        (-1, "from 0 to 1. Received: -1"),
        ("cat", "a word of “a b”, or .* Received: 'cat'"),
    ],
)
def test_a_word_that_is_not_there_is_refused(tmp_path, suffix, word, why):
    caption = made(one_cell((0, 0, 0), (0, 1, 1)))
    with pytest.raises(ValueError, match=why):
        SAVERS[suffix](caption, tmp_path / f"a{suffix}", word=word)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SAVERS)
def test_a_caption_without_words_is_shown_without_heat(tmp_path, suffix):
    caption, path = made(np.zeros((0, 2, 2, 2))), tmp_path / f"a{suffix}"
    SAVERS[suffix](caption, path)
    for frame, _ in iter_frames(path.read_bytes()):
        assert np.abs(frame[:60].astype(int) - 90).max() <= 3
    with pytest.raises(ValueError, match="Received: one without words"):
        SAVERS[suffix](caption, path, word=0)


def test_a_sheet_has_a_row_a_word_and_a_column_a_key_frame(tmp_path):
    caption = made(one_cell((1, 0, 0), (1, 1, 1), grid=(4, 2, 2)))
    with Image.open(io.BytesIO(caption.sheet(columns=2))) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    cell, row = pixels[19:, -2 * 68 :], 57  # frames 64 wide and 53 high, beside 4 of white
    assert cell.shape[0] == 2 * row + 53
    assert (np.abs(cell[:53, :64] - 90) < 12).all()  # the bare frame above
    heated = np.abs(cell[row : row + 53] - 90).sum(-1) > 60
    both = [heated[:26, :32].mean(), heated[:26, 68:100].mean()]
    assert max(both) > 0.3 > 0.01 > heated[34:52, 40:60].mean()
    caption.save_sheet(tmp_path / "deep" / "sheet.png")
    assert (tmp_path / "deep" / "sheet.png").read_bytes() == caption.sheet()


def test_pixels_of_cells_by_hand():
    assert cell_of(np.arange(8), 8, 2).tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert cell_of(np.arange(5), 5, 2).tolist() == [0, 0, 1, 1, 1]
    # A quarter of a cell down: one pixel. What lies before the first centre is the first cell's.
    assert cell_of(np.arange(8), 8, 2, 0.25).tolist() == [0, 0, 0, 0, 0, 1, 1, 1]
    assert cell_of(np.arange(8), 8, 2, -0.5).tolist() == [0, 0, 1, 1, 1, 1, 1, 1]
    values = np.array([[[1, 2], [3, 4]]])
    assert over_pixels(values, (1, 4, 4), (0.5, 0.0))[0].tolist() == [
        [1, 1, 2, 2],
        [1, 1, 2, 2],
        [1, 1, 2, 2],
        [3, 3, 4, 4],
    ]
