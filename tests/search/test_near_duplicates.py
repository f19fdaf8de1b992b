"""Near-duplicates: the same pictures in another size or compression, and no others."""

import io

import numpy as np
import pytest
from PIL import Image

from v2t_lib.search.near_duplicates import SIDE, groups, thumbprint


def pictures(seed, size=(64, 48)):
    coarse = np.random.default_rng(seed).integers(0, 256, (3, 5, 5, 3), np.uint8)
    return [Image.fromarray(p).resize(size, Image.Resampling.BICUBIC) for p in coarse]


def jpeg(picture):
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=40)
    return Image.open(file).convert("RGB")


def frames(these):
    return np.stack([np.asarray(picture) for picture in these])


def test_a_thumbprint_is_the_mean_colours_of_a_grid():
    clip = np.random.default_rng(0).integers(0, 256, (2, 2 * SIDE, 3 * SIDE, 3), np.uint8)
    found = thumbprint(clip).reshape(2, SIDE, SIDE, 3)
    np.testing.assert_allclose(found[1, 2, 5], clip[1, 4:6, 15:18].mean(axis=(0, 1)), atol=0.51)
    small = np.full((1, 5, 5, 3), 9, np.uint8)  # fewer pixels than the grid has cells
    assert set(thumbprint(small)) <= {0, 9}


@pytest.mark.parametrize("seed", range(3))
def test_copies_are_grouped_best_first_and_others_are_not(seed):
    one, other = pictures(seed), pictures(seed + 100)
    copies = [
        frames(one),
        frames(other),
        frames([jpeg(picture) for picture in one]),
        frames([picture.resize((31, 24), Image.Resampling.BOX) for picture in one]),
        np.clip(frames(one) * 0.95 + 10, 0, 255).astype(np.uint8),
        frames(one[::-1]),
    ]
    prints = np.stack([thumbprint(clip) for clip in copies])
    assert groups(prints, range(6), 9) == [[0, 2, 3, 4], [1], [5]]
    assert groups(prints, [4, 1, 5, 0, 2, 3], 2) == [[4, 0, 2, 3], [1]]


def test_clips_of_one_colour_are_the_same_whatever_the_colour():
    prints = np.stack([thumbprint(np.full((2, 16, 16, 3), v, np.uint8)) for v in (0, 200)])
    assert groups(prints, range(2), 9) == [[0, 1]]
