"""What a captioner is compiled with, step by step and by hand."""

import math

import keras
import numpy as np
import pytest
from helpers import tiny
from helpers.runs import TOKENS

from v2t_lib.training.losses import sequence_loss
from v2t_lib.training.optimizer import compile_for_training
from v2t_lib.training.recipe import TrainingOptions


def compiled(steps, **options):
    captioner = tiny.captioner("blind")
    compile_for_training(captioner, TrainingOptions(**options), steps)
    captioner.optimizer.build(captioner.trainable_variables)
    return captioner


def rates(captioner, *steps):
    """The learning rate of each step."""
    found = []
    for step in steps:
        captioner.optimizer.iterations.assign(step)
        found.append(float(captioner.optimizer.learning_rate))
    return found


def test_the_learning_rate_rises_in_a_line_and_falls_as_half_a_cosine_to_a_hundredth():
    captioner = compiled(8, learning_rate=0.2, warmup_share=0.25)
    falling = [0.01 + 0.99 * (1 + math.cos(math.pi * part / 6)) / 2 for part in range(7)]
    expected = [0, 0.1, *(0.2 * share for share in falling), 0.002]
    assert rates(captioner, *range(10)) == pytest.approx(expected, rel=1e-5)
    shortest = compiled(1, learning_rate=0.2, warmup_share=0.05)
    assert rates(shortest, 0, 1, 2) == pytest.approx([0, 0.2, 0.002], rel=1e-5)


def test_a_rate_that_is_set_stays_and_ends_the_schedule():
    captioner = compiled(8, learning_rate=0.2, warmup_share=0.25)
    for rate in (0.05, 0.0):
        captioner.optimizer.learning_rate = rate
        assert rates(captioner, 0, 1, 4, 9) == pytest.approx([rate] * 4)


def adamw(weight, gradients, rates, decay):
    """Decoupled weight decay (arXiv 1711.05101), moments of 0.9 and 0.98."""
    m = v = 0.0
    for number, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        m, v = 0.9 * m + 0.1 * gradient, 0.98 * v + 0.02 * gradient**2
        step = m / (1 - 0.9**number) / np.sqrt(v / (1 - 0.98**number))
        weight = weight - rate * decay * weight - rate * step
    return weight


def test_a_huge_gradient_is_cut_to_the_norm_over_all_weights():
    """(300, 400) counts as (0.3, 0.4), which is 0.5 long; shorter gradients as they are."""
    captioner = compiled(4, learning_rate=0.1, warmup_share=0.25, weight_decay=0.3, clip_norm=0.5)
    optimizer, weights = captioner.optimizer, captioner.trainable_variables
    firsts = [int(np.argmax([w.path.endswith(end) for w in weights])) for end in ("/v", "bias")]
    starts = [np.asarray(weights[n]).flat[0] for n in firsts]
    given, used = [], []
    for pair in ((0.03, -0.04), (0.0, 0.02), (300.0, 400.0), (0.1, 0.2)):
        gradients = [np.zeros(weight.shape, "float32") for weight in weights]
        for n, value in zip(firsts, pair, strict=True):
            gradients[n].flat[0] = value
        used.append(float(optimizer.learning_rate))
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradients], weights)
        given.append(pair if max(pair) < 1 else (0.3, 0.4))
    for n, start, values in zip(firsts, starts, zip(*given, strict=True), strict=True):
        expected = adamw(start, values, used, decay=0.3)
        assert np.asarray(weights[n]).flat[0] == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_the_loss_is_smoothed_as_asked():
    logits = np.random.default_rng(0).normal(size=(3, 5, len(tiny.VOCABULARY))).astype("float32")
    for smoothing in (0.0, 0.3):
        captioner = compiled(4, label_smoothing=smoothing)
        loss = float(captioner.compute_loss(None, TOKENS[:, 1:], logits))
        assert loss == pytest.approx(
            float(sequence_loss(TOKENS[:, 1:], logits, smoothing)), rel=1e-6
        )
