"""How pixels map to cells, and where cells look."""

import numpy as np
import pytest
from helpers import tiny

from v2t_lib.metrics.attention_faithfulness import to_cells
from v2t_lib.models.caption import cell_of, over_pixels
from v2t_lib.models.encoders import registry as encoders
from v2t_lib.models.encoders.influence import centre_shift
from v2t_lib.views.heatmap import bilinear, heat_maps


def test_pixels_of_cells_by_hand():
    assert cell_of(np.arange(8), 8, 2).tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
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


def test_heat_peaks_where_the_cell_looks():
    values = np.zeros((5, 5), np.float32)
    values[2, 1] = 1
    plain, shifted = (bilinear(values, (40, 40), shift) for shift in ((0, 0), (0.25, -0.5)))
    at = np.arange(40) + 0.5
    centres = [[at @ heat.sum(axis) / heat.sum() for axis in (1, 0)] for heat in (plain, shifted)]
    np.testing.assert_allclose(centres, [[20, 12], [22, 8]], rtol=1e-3)
    heat = heat_maps(values[None], (3, 40, 40), (0.25, -0.5))
    np.testing.assert_allclose(heat, np.stack([shifted] * 3), rtol=1e-6)


def test_pointing_counts_where_the_heat_lies():
    mask = np.zeros((1, 8, 8), bool)
    mask[0, 4, 0] = True
    assert np.argwhere(to_cells(mask, (1, 2, 2))).tolist() == [[0, 1, 0]]
    assert np.argwhere(to_cells(mask, (1, 2, 2), (0.25, 0.0))).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize(("down", "right"), [(0, 0), (3, 0), (-2, 4)])
def test_the_shift_of_a_network_that_averages_moved_cells(down, right):
    """Cells of 8 pixels, each the mean of the 8 x 8 pixels that many further down and right."""

    def network(frames):
        padded = np.pad(frames.astype(np.float32), ((0, 0), (8, 8), (8, 8), (0, 0)), "edge")
        moved = padded[:, 8 + down : 56 + down, 8 + right : 56 + right]
        return moved.reshape(len(frames), 6, 8, 6, 8, 3).mean((2, 4))

    # At an edge the shifted cell sees less of the picture, so that its centre moves less.
    expected = np.array([down, right]) / 8 * (1 - 1 / 12)
    np.testing.assert_allclose(centre_shift(network, (48, 48)), expected, atol=0.05)


@pytest.mark.usefixtures("eager")
def test_a_networks_shift_is_measured_once_and_saved(tmp_path, monkeypatch):
    from v2t_lib.models.captioner import Captioner
    from v2t_lib.models.encoders import frame
    from v2t_lib.models.saving import load, save
    from v2t_lib.specs import ClipSpec

    calls, measure = [], frame.centre_shift

    def counted(*arguments):
        calls.append(arguments)
        return measure(*arguments)

    monkeypatch.setattr(frame, "centre_shift", counted)
    made = encoders.get("mobilenet_v3_small", width=8)
    spec = ClipSpec(2, 32, 32)
    captioner = Captioner(spec, tiny.CAPTION, tiny.VOCABULARY, made, tiny.DECODER)
    shift = captioner.cell_shift()
    assert all(part != 0 for part in shift)
    save(captioner, tmp_path / "m.keras")
    again = load(tmp_path / "m.keras")
    assert again.cell_shift() == shift == captioner.cell_shift() and len(calls) == 1
    frames = np.zeros((1, *spec.shape), np.uint8)
    assert again.caption_frames(frames)[0].cell_shift == shift
    assert tiny.captioner().cell_shift() == tiny.captioner("blind").cell_shift() == (0.0, 0.0)
