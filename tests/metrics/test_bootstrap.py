import numpy as np
import pytest

from v2t_lib.metrics.bootstrap import bootstrap, interval


def test_an_interval_is_as_wide_as_clips_vary():
    values = np.random.default_rng(1).normal(size=400)
    samples = bootstrap(lambda weights: weights @ values / weights.sum(), range(400))
    low, high = interval(samples)
    assert low < values.mean() < high
    # A mean's interval is 1.96 standard errors either way.
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_rows_of_a_clip_are_drawn_together():
    seen = []
    bootstrap(lambda weights: seen.append(weights) or 0, ["b", "a", "b"], resamples=50)
    assert all(weights[0] == weights[2] and weights[0] + weights[1] == 2 for weights in seen)
    assert {tuple(weights) for weights in seen} == {(0, 2, 0), (1, 1, 1), (2, 0, 2)}


def test_the_seed_decides_the_draws_and_figures_may_be_arrays():
    draws = [bootstrap(lambda w: w, range(5), seed, resamples=9) for seed in (3, 3, 4)]
    assert draws[0].shape == (9, 5) and (draws[0] == draws[1]).all()
    assert (draws[0] != draws[2]).any()
    # Samples that can't give the figure don't count.
    assert interval(np.array([np.nan, 1.0, 1.0])) == [1, 1]
