"""Familiarity: clips that are unlike the training clips, by hand and through a model's file."""

import dataclasses

import numpy as np
import pytest
from helpers import tiny

import v2t_lib as v2t
from v2t_lib.models.saving import save
from v2t_lib.models.verifier import Familiarity, VerifierState, pooled

pytestmark = pytest.mark.usefixtures("eager")


def test_mean_and_deviation_over_the_cells():
    memory = np.array([[[1.0, 5.0], [3.0, 5.0]]], np.float32)
    np.testing.assert_allclose(pooled(memory), [[2, 5, 1, 0]])


def test_distances_are_in_deviations_along_each_component():
    rng = np.random.default_rng(0)
    training = rng.standard_normal((4000, 3)) * [10, 1, 0.1] + [5, 0, 0]
    fitted = Familiarity.fit(training)
    near, far, aside = fitted.distances(np.array([[5, 0, 0], [45, 0, 0], [5, 0, 0.4]]))
    assert near < 0.1 and far == pytest.approx(aside, rel=0.2)
    typical = fitted.distances(training)
    assert np.sqrt((typical**2).mean()) == pytest.approx(1, rel=0.3)
    assert far > np.quantile(typical, 0.99)


def test_identical_training_clips_make_everything_else_unlike():
    fitted = Familiarity.fit(np.ones((5, 4)))
    distances = fitted.distances(np.array([[1.0, 1, 1, 1], [1, 1, 1, 1.1]]))
    assert distances[0] == 0 and distances[1] > 100


def test_a_model_says_which_clips_are_unlike_and_its_file_keeps_it(tmp_path):
    captioner = tiny.captioner()
    assert captioner.unlike_training(captioner.encode(tiny.frames(2))) == [None, None]
    assert captioner.caption(tiny.frames(1)[0]).unlike_training is None
    fitted = Familiarity.fit(pooled(captioner.encode(tiny.frames(40))))
    known = fitted.distances(pooled(captioner.encode(tiny.frames(20, seed=1))))
    captioner.verifier = VerifierState(
        familiarity=dataclasses.replace(fitted, threshold=float(known.max()))
    )
    save(captioner, tmp_path / "m.keras")
    blank = np.zeros((1, *tiny.CLIP.shape), np.uint8)
    clips = np.concatenate([tiny.frames(2, seed=1), blank])
    for model in (captioner, v2t.load(tmp_path / "m.keras")):
        assert model.unlike_training(model.encode(clips)) == [False, False, True]
        assert model.caption(blank[0]).unlike_training is True
        assert model.explain(blank[0], "a cross").unlike_training is True
