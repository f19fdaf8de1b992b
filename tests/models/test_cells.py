"""How pixels map to cells."""

import numpy as np

from v2t_lib.metrics.attention_faithfulness import to_cells
from v2t_lib.models.caption import cell_of, over_pixels
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
