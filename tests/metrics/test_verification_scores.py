"""Figures of verification, by hand."""

import numpy as np
import pytest

from v2t_lib.metrics.selective import COVERAGES, risk_coverage
from v2t_lib.metrics.verification_scores import (
    auroc,
    aurocs,
    balance,
    calibration_error,
    interval,
    precision_and_coverage,
    reliability,
)

TRUE = np.array([1, 1, 0, 0, 0, 0], bool)


def test_area_under_the_curve_by_hand():
    assert auroc(np.array([3.0, 1.0]), np.array([2.0, 0.0])) == 3 / 4
    assert auroc(np.array([1.0]), np.array([1.0])) == 1 / 2  # a tie is half a win
    assert auroc(np.array([0.0]), np.array([1.0, 2.0])) == 0


def test_areas_by_kind_have_intervals_over_clips():
    kinds = np.array(["true", "random", "true", "random", "similar"])
    scores = np.array([2.0, 1.0, 2.0, 3.0, 0.0])
    found = aurocs(scores, kinds, np.array([0, 0, 1, 1, 1]))
    assert found["random"]["value"] == 1 / 2 and found["similar"]["value"] == 1
    assert found["random"]["interval"] == [0, 1]


def test_all_claims_of_a_clip_are_resampled_together():
    clips = np.repeat(np.arange(50), 4)
    seen = []
    interval(lambda chosen: seen.append(np.bincount(clips[chosen], minlength=50)) or 0.0, clips)
    assert all((counts % 4 == 0).all() for counts in seen)
    narrow = interval(lambda chosen: float(clips[chosen].mean()), clips)
    # The mean of 50 clips numbered 0 to 49 spreads by 14.4 / sqrt(50) = 2.04.
    assert narrow == pytest.approx([24.5 - 4.0, 24.5 + 4.0], abs=0.8)


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
    assert precision_and_coverage(chosen, TRUE, balance(TRUE)) == pytest.approx((2 / 3, 1 / 2))
    assert precision_and_coverage(~TRUE & TRUE, TRUE, balance(TRUE)) == (None, 0)


def test_the_surest_captions_are_kept():
    sureness = [-3.0, -1.0, -2.0, -4.0]
    rows = risk_coverage(sureness, lambda kept: {"kept": sorted(kept.tolist())})
    assert [row["coverage"] for row in rows] == list(COVERAGES)
    by_share = {row["coverage"]: row for row in rows}
    assert by_share[1.0]["kept"] == [0, 1, 2, 3] and by_share[1.0]["least"] == -4
    assert by_share[0.5]["kept"] == [1, 2] and by_share[0.5]["least"] == -2
    assert by_share[0.25]["kept"] == [1]
