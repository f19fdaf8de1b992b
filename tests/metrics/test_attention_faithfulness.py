import dataclasses

import numpy as np
import pytest
from helpers import tiny

from v2t_lib.metrics.attention_faithfulness import deletion, pointed_words, pointing, to_cells
from v2t_lib.models.caption import Caption

GRID = (2, 2, 2)


def caption_of(words, peaks):
    """Each word's attention has its peak at `peaks[word number]`, a cell of `GRID`."""
    attention = np.full((len(words), *GRID), 0.1, "float32")
    for number, peak in enumerate(peaks):
        attention[(number, *peak)] = 0.3
    frames, seconds = np.zeros((4, 8, 8, 3), np.uint8), np.arange(4) / 5
    return Caption(" ".join(words), words, np.ones(len(words)), 0.0, attention, frames, seconds)


def masks_of(*cells_of_objects):
    """bool (4, 8, 8, 3); each object fills one pixel of the named cells of `GRID`."""
    masks = np.zeros((4, 8, 8, 3), bool)
    for number, cells in enumerate(cells_of_objects):
        for time, row, column in cells:
            masks[2 * time, 4 * row + 1, 4 * column + 1, number] = True
    return masks


def test_cells_hold_any_of_their_pixels():
    mask = np.zeros((4, 6, 6), bool)
    mask[3, 0, 5] = True
    assert np.argwhere(to_cells(mask, (2, 3, 2))).tolist() == [[1, 0, 1]]
    mask = np.zeros((1, 8, 8), bool)
    mask[0, 4, 0] = True
    assert np.argwhere(to_cells(mask, (1, 2, 2))).tolist() == [[0, 1, 0]]
    assert np.argwhere(to_cells(mask, (1, 2, 2), (0.25, 0.0))).tolist() == [[0, 0, 0]]  # as heat


def test_pointing_by_hand():
    first, second = [(0, 0, 0), (1, 0, 1)], [(0, 1, 1)]
    words = ("a", "red", "star", "spins", "while", "a", "blue", "cross", "moves", "left")
    somewhere = (1, 1, 0)
    peaks = [somewhere] * len(words)
    peaks[1] = (1, 0, 1)  # red: on the first object, there at that time
    peaks[2] = (0, 0, 1)  # star: where the first object comes later, a miss
    peaks[3] = (0, 0, 1)  # spins: the same place, which is on its track
    peaks[6] = (0, 1, 1)  # blue: on the second
    peaks[9] = (1, 1, 1)  # left: on the second's track; moves misses
    scores = pointing(list(pointed_words(caption_of(words, peaks), masks_of(first, second))))
    assert scores["pointing"] == pytest.approx(2 / 4)
    assert scores["pointing_chance"] == pytest.approx((2 + 2 + 1 + 1) / 8 / 4)
    # Weights are 0.1 and once 0.3: red has 0.3 + 0.1 on its cells, star 0.2, blue 0.3, cross 0.1.
    assert scores["mass_on_object"] == pytest.approx((0.4 + 0.2 + 0.3 + 0.1) / 4)
    assert scores["pointing_behaviour"] == pytest.approx(2 / 3)
    assert scores["pointing_behaviour_chance"] == pytest.approx((4 + 2 + 2) / 8 / 3)


def test_a_word_for_an_object_that_is_not_there_misses_and_without_masks_none_counts():
    caption, masks = caption_of(("red", "red"), [(0, 0, 0)] * 2), masks_of([(0, 0, 0)])
    assert pointing(list(pointed_words(caption, masks)))["pointing"] == 0.5
    words = list(pointed_words(caption, None))
    assert words == [] and set(pointing(words).values()) == {None}


class Dependent:
    """Finds "red" probable as long as cell (0, 0, 0) of the clip is white."""

    caption_spec = tiny.CAPTION

    def explain_frames(self, frames, texts):
        rows = []
        for clip, text in zip(frames, texts, strict=True):
            seen = 0.9 if (clip[:2, :4, :4] == 255).all() else 0.1
            rows.append(dataclasses.replace(caption_of((text,), [(0, 0, 0)]), probs=[seen]))
        return rows


@pytest.mark.parametrize("peak, drop", [((0, 0, 0), 0.8), ((1, 1, 1), 0.0)])
def test_deletion_tells_heat_that_matters_from_heat_that_does_not(peak, drop):
    caption = caption_of(("red",), [peak])
    clip = np.zeros((4, 8, 8, 3), np.uint8)
    clip[:2, :4, :4] = 255
    caption = dataclasses.replace(caption, frames=clip, probs=np.array([0.9]))
    found = deletion(Dependent(), [caption] * 40)
    assert found["words"] == 40
    assert found["drop"] == pytest.approx(drop)
    assert found["random"] == pytest.approx(0.8 / 8, abs=0.1)  # one cell of eight, at random
    low, high = found["interval"]
    assert low < found["difference"] < high
    assert found["difference"] == pytest.approx(found["drop"] - found["random"])
    assert (low > 0.5) if drop else (high <= 0)


@pytest.mark.usefixtures("eager")
def test_deletion_runs_on_a_captioner_and_repeats_itself():
    captioner, frames = tiny.captioner(), tiny.frames(2)
    captions = captioner.explain_frames(frames, ["a red star spins", "the blue circle"])
    found = deletion(captioner, captions)
    assert found["words"] == 5 and found == deletion(captioner, captions)
    assert deletion(captioner, []) is None
