"""Scores of claims and their figures, by hand."""

import numpy as np
import pytest
from helpers import tiny
from sklearn.metrics import roc_auc_score

from v2t_lib.errors import DataError
from v2t_lib.metrics.claims import (
    auroc,
    aurocs,
    balance,
    calibration_error,
    pooled_memories,
    precision_and_coverage,
    reliability,
    score_claims,
)
from v2t_lib.models.verifier import pooled
from v2t_lib.shards.reader import ShardDataset

TRUE = np.array([1, 1, 0, 0, 0, 0], bool)


@pytest.mark.usefixtures("eager")
def test_every_clip_is_scored_as_alone(several_captions, drawn_shards):
    captioner = tiny.judge()
    found = score_claims(captioner, several_captions)
    clips = [example.frames for example in ShardDataset.open(several_captions).examples()]
    for claim, lifts, parts in list(zip(found.claims, found.lifts, found.anywhere, strict=True))[
        ::5
    ]:
        frames = clips[claim.clip][None]
        (alone,) = captioner.verify_frames(frames, [claim.sentence])
        (explained,) = captioner.explain_frames(frames, [claim.sentence])
        blind = np.log(explained.probs) - lifts
        assert alone.form in ("phrase", "sentence") and (blind < 0).all()
        score = lifts.mean() if alone.form == "sentence" else parts.mean()
        assert alone.score == pytest.approx(score, abs=1e-4)
    for form, (made, lifts) in found.parts.items():
        for claim, part in zip(made, lifts, strict=True):
            (alone,) = captioner.verify_frames(clips[claim.clip][None], [claim.sentence])
            assert alone.score == pytest.approx(part[0].mean(), abs=1e-4) or alone.form != form
    memories = pooled(captioner.encode(np.stack(clips)))
    np.testing.assert_allclose(
        pooled_memories(captioner, several_captions, 3), memories[:3], atol=1e-4
    )
    with pytest.raises(DataError, match="none whose words it knows"):
        score_claims(captioner, drawn_shards / "val")


def test_area_under_the_curve_by_hand():
    """A tie is half a win; weights are how often a claim counts."""
    scores, once = np.array([3.0, 1.0, 2.0, 1.0]), np.ones(4)
    true = np.array([1, 1, 0, 0], bool)
    assert auroc(scores, true, once) == 2.5 / 4
    assert auroc(scores, true, np.array([3, 1, 1, 1])) == 6.5 / 8
    assert np.isnan(auroc(scores, true, np.array([0, 0, 1, 1])))
    rng = np.random.default_rng(0)
    scores, true, weights = rng.integers(9, size=99), rng.random(99) < 0.5, rng.integers(4, size=99)
    expected = roc_auc_score(true, scores, sample_weight=weights)
    assert auroc(scores, true, weights) == pytest.approx(expected)


def test_areas_by_kind_have_intervals_over_clips():
    kinds = np.array(["true", "random", "true", "random", "similar"])
    scores = np.array([2.0, 1.0, 2.0, 3.0, 0.0])
    found = aurocs(scores, kinds, np.array([0, 0, 1, 1, 1]))
    assert found["random"]["value"] == 1 / 2 and found["similar"]["value"] == 1
    assert found["random"]["interval"] == [0, 1]


def test_true_claims_weigh_as_much_as_foils():
    np.testing.assert_allclose(balance(TRUE), [0.25, 0.25, 0.125, 0.125, 0.125, 0.125])


def test_reliability_and_calibration_error_by_hand():
    bins = reliability(np.array([0.95, 0.05, 0.05, 0.05, 0.95, 1.0]), TRUE)
    low, high = bins
    # Below: a true one of weight 1/4, two foils of 1/8; above: the same.
    assert low == {"probability": pytest.approx(0.05), "share": pytest.approx(1 / 2),
                   "weight": pytest.approx(1 / 2), "claims": 3}  # fmt: skip
    assert high["share"] == pytest.approx(1 / 2)
    assert high["probability"] == pytest.approx((0.25 * 0.95 + 0.125 * 0.95 + 0.125) / 0.5)
    gaps = [abs(part["probability"] - part["share"]) for part in bins]
    assert calibration_error(bins) == pytest.approx(sum(gaps) / 2)


def test_precision_and_coverage_by_hand():
    chosen = np.array([1, 0, 1, 0, 0, 0], bool)
    assert precision_and_coverage(chosen, TRUE) == pytest.approx((2 / 3, 1 / 2))
    assert precision_and_coverage(~TRUE & TRUE, TRUE) == (None, 0)
