"""What a model's file holds to judge by: probabilities, verdicts, and clips unlike training's."""

import json
import zipfile

import numpy as np
import pytest
from helpers import tiny

import v2t_lib as v2t
from v2t_lib.errors import DataError
from v2t_lib.models.saving import save
from v2t_lib.models.verifier import Calibration, Familiarity, VerifierState, pooled

pytestmark = pytest.mark.usefixtures("eager")


def test_mean_and_deviation_over_the_cells():
    memory = np.array([[[1.0, 5.0], [3.0, 5.0]]], np.float32)
    np.testing.assert_allclose(pooled(memory), [[2, 5, 1, 0]])


def test_distances_are_in_deviations_along_each_component():
    rng = np.random.default_rng(0)
    training = rng.standard_normal((4000, 3)) * [10, 1, 0.1] + [5, 0, 0]
    fitted = Familiarity.fit(training, training[:1])
    near, far, aside = fitted.distances(np.array([[5, 0, 0], [45, 0, 0], [5, 0, 0.4]]))
    assert near < 0.1 and far == pytest.approx(aside, rel=0.2)
    typical = fitted.distances(training)
    assert np.sqrt((typical**2).mean()) == pytest.approx(1, rel=0.3)
    assert far > np.quantile(typical, 0.99)


def test_identical_training_clips_make_everything_else_unlike():
    fitted = Familiarity.fit(np.ones((5, 4)), np.ones((1, 4)))
    distances = fitted.distances(np.array([[1.0, 1, 1, 1], [1, 1, 1, 1.1]]))
    assert distances[0] == 0 and distances[1] > 100


def test_a_model_says_which_clips_are_unlike_and_its_file_keeps_it(tmp_path):
    captioner = tiny.captioner()
    assert captioner.unlike_training(captioner.encode(tiny.frames(2))) == [None, None]
    assert captioner.caption(tiny.frames(1)[0]).unlike_training is None
    training, held_out = (
        pooled(captioner.encode(tiny.frames(count, seed))) for count, seed in ((40, 0), (20, 1))
    )
    captioner.verifier = VerifierState(familiarity=Familiarity.fit(training, held_out))
    with pytest.raises(DataError, match="two held-out clips"):
        Familiarity.fit(training, held_out[:0])
    save(captioner, tmp_path / "m.keras")
    blank = np.zeros((1, *tiny.CLIP.shape), np.uint8)
    clips = np.concatenate([tiny.frames(2, seed=1), blank])
    for model in (captioner, v2t.load(tmp_path / "m.keras")):
        assert model.unlike_training(model.encode(clips)) == [False, False, True]
        assert model.caption(blank[0]).unlike_training is True
        assert model.explain(blank[0], "a cross").unlike_training is True


def test_a_probability_by_hand():
    fitted = Calibration((1.0, 0.5), -1.0, supported=0.9, refuted=0.2)
    assert fitted.probability([3.0, 1.0]) == pytest.approx(1 / (1 + np.exp(-(2 + 0.5 - 1))))
    assert fitted.probability([-1e9, 0.0]) == pytest.approx(0)
    verdicts = [fitted.verdict(p) for p in (0.95, 0.9, 0.5, 0.2, 0.0)]
    assert verdicts == ["supported"] * 2 + ["can't tell"] + ["refuted"] * 2
    assert Calibration((1.0, 0.0), 0.0).verdict(1.0) == "can't tell"


def test_the_surest_share_is_a_quantile():
    fitted = Calibration((1.0, 0.0), 0.0, caption_log_probs=tuple(np.linspace(-100, 0, 101)))
    assert fitted.least_log_prob(0.9) == pytest.approx(-90)
    assert fitted.least_log_prob(1.0) == -100 and fitted.least_log_prob(0.255) == pytest.approx(
        -25.5
    )


def test_a_file_without_verification_reads_as_before(tmp_path):
    save(tiny.captioner(), tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        assert "verifier" not in json.loads(archive.read("config.json"))["config"]
    assert v2t.load(tmp_path / "m.keras").verifier == VerifierState()


def test_a_file_of_an_older_version_keeps_its_thresholds():
    """They were called borne_out and not_borne_out."""
    verdicts = {"borne_out": {"precision": 0.96}, "not_borne_out": {"precision": 0.97}}
    config = {"weights": [1.0, 0.5], "bias": -1.0, "borne_out": 0.9, "not_borne_out": 0.2,
              "caption_log_probs": [-3.0, -1.0], "figures": {"claims": {}, **verdicts}}  # fmt: skip
    calibration = VerifierState.from_config({"calibration": config}, {}).calibration
    assert [calibration.verdict(p) for p in (0.9, 0.2)] == ["supported", "refuted"]
    assert calibration.figures["refuted"] == {"precision": 0.97}
    again = VerifierState.from_config(VerifierState(calibration=calibration).get_config(), {})
    assert again.calibration == calibration
