"""Where in the picture the cells of image networks look, measured by disturbing the picture.

Strided convolutions with SAME padding on an even size see half a pixel more to the lower right, at
each stage; training may undo it. Each family's constant is held against what is measured here.
"""

import itertools

import numpy as np
import pytest
from helpers import tiny

from v2t_lib.models.captioner import Captioner
from v2t_lib.models.encoders import registry as encoders
from v2t_lib.specs import ClipSpec

#: Bands of pixels that are disturbed one after the other, for each cell.
BANDS = 3
SIZE = 128


def centre_shift(network, size: int) -> tuple[float, float]:
    """How far the centres of what cells see lie `(down, right)` of the cells' own, in cells.

    On two pictures of noise, a band of rows is drawn anew and the change in each cell is the band's
    influence on it; then the same with columns.
    """
    noise, other = np.random.default_rng(0).integers(0, 256, (2, 2, size, size, 3), dtype=np.uint8)
    before = network(noise)
    shifts = []
    for axis in (1, 2):
        count = before.shape[axis]
        edges = np.linspace(0, size, BANDS * count + 1).round().astype(int)
        disturbed = np.tile(noise, (len(edges) - 1, 1, 1, 1, 1))  # (bands, 2, size, size, 3)
        for band, (start, end) in zip(disturbed, itertools.pairwise(edges), strict=True):
            place = (slice(None),) * axis + (slice(start, end),)
            band[place] = other[place]
        after = network(disturbed.reshape(-1, *noise.shape[1:]))
        change = np.abs(after.reshape(-1, *before.shape) - before)
        bands = change.sum(axis=tuple(a + 1 for a in range(4) if a != axis))
        middles = (edges[:-1] + edges[1:]) / 2
        centres = middles @ bands / np.maximum(bands.sum(0), 1e-12)  # (cells,)
        own = (np.arange(count) + 0.5) * size / count
        shifts.append(float((centres - own).mean() * count / size))
    return shifts[0], shifts[1]


@pytest.mark.parametrize(("down", "right"), [(0, 0), (3, 0), (-2, 4)])
def test_the_shift_of_a_network_that_averages_moved_cells(down, right):
    """Cells of 8 pixels, each the mean of the 8 x 8 pixels that many further down and right."""

    def network(frames):
        padded = np.pad(frames.astype(np.float32), ((0, 0), (8, 8), (8, 8), (0, 0)), "edge")
        moved = padded[:, 8 + down : 56 + down, 8 + right : 56 + right]
        return moved.reshape(len(frames), 6, 8, 6, 8, 3).mean((2, 4))

    # At an edge the shifted cell sees less of the picture, so that its centre moves less.
    expected = np.array([down, right]) / 8 * (1 - 1 / 12)
    np.testing.assert_allclose(centre_shift(network, 48), expected, atol=0.05)


FAMILIES = [
    ("efficientnet_lite0", "imagenet", 16),
    ("mobilenet_v3_small", None, 16),
    ("efficientnet_v2_b0", None, 16),
    ("convnext_tiny", None, 16),
]


@pytest.mark.parametrize(("name", "weights", "stride"), FAMILIES)
def test_a_familys_cells_look_where_its_constant_says(name, weights, stride):
    encoder = encoders.get(name, weights=weights, stride=stride, width=8)
    encoder.build((None, 1, SIZE, SIZE, 3))
    found = centre_shift(lambda x: encoder.backbone.predict(x, verbose=0), SIZE)
    np.testing.assert_allclose(found, encoder.shift, atol=0.11)


def test_captions_carry_their_networks_shift():
    spec = ClipSpec(2, 32, 32)
    encoder = encoders.get("mobilenet_v3_small", width=8)
    captioner = Captioner(spec, tiny.CAPTION, tiny.VOCABULARY, encoder, tiny.DECODER)
    (caption,) = captioner.caption_frames(np.zeros((1, *spec.shape), np.uint8))
    assert caption.cell_shift == captioner.cell_shift() == (0.4, 0.4)
    assert tiny.captioner().cell_shift() == tiny.captioner("blind").cell_shift() == (0.0, 0.0)
