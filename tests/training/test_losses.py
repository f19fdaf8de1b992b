import math

import numpy as np
import pytest

from v2t_lib.text.vocabulary import END, PAD, START, UNK
from v2t_lib.training.losses import sentence_loss, sequence_accuracy, sequence_loss

# Two rows over three tokens (0 is PAD): logits whose softmax is simple to work out.
TRUE = np.array([[2, 1], [1, 0]], "int32")
LOGITS = np.log(
    np.array([[[0.2, 0.3, 0.5], [0.1, 0.6, 0.3]], [[0.25, 0.25, 0.5], [0.9, 0.05, 0.05]]])
).astype("float32")
BY_HAND = -(math.log(0.5) + math.log(0.6) + math.log(0.25)) / 3


def test_by_hand():
    assert float(sequence_loss(TRUE, LOGITS)) == pytest.approx(BY_HAND, rel=1e-6)
    assert float(sequence_accuracy(TRUE, LOGITS)) == pytest.approx(2 / 3)


@pytest.mark.parametrize("function", [sequence_loss, sequence_accuracy])
def test_extra_padding_changes_nothing(function):
    longer = np.pad(TRUE, ((0, 1), (0, 3)))
    logits = np.pad(LOGITS, ((0, 1), (0, 3), (0, 0)), constant_values=3.0)
    assert float(function(longer, logits)) == pytest.approx(float(function(TRUE, LOGITS)))


def test_label_smoothing_by_hand():
    # Each token: 0.9 of its own cross-entropy, 0.1 of the mean over the vocabulary.
    rows = [([0.2, 0.3, 0.5], 2), ([0.1, 0.6, 0.3], 1), ([0.25, 0.25, 0.5], 1)]
    expected = sum(-0.9 * math.log(p[token]) - 0.1 * sum(map(math.log, p)) / 3 for p, token in rows)
    smoothed = float(sequence_loss(TRUE, LOGITS, label_smoothing=0.1))
    assert smoothed == pytest.approx(expected / 3, rel=1e-5)


def test_stable_in_float16():
    logits = np.array([[[60000.0, -60000.0, 0.0]] * 2], "float16")
    assert float(sequence_loss(np.array([[1, 2]]), logits)) == pytest.approx(90000, rel=1e-3)
    many = np.zeros((64, 500, 3), "float16")
    assert float(sequence_loss(np.ones((64, 500)), many)) == pytest.approx(math.log(3), rel=1e-4)


def test_nothing_but_padding_is_zero():
    assert float(sequence_loss(np.zeros((2, 2), "int32"), LOGITS)) == 0.0


def test_a_sentences_loss_is_the_sum_over_its_tokens():
    logits = np.random.default_rng(0).normal(size=(3, 6, 11)).astype("float32")
    targets = np.array([[4, 5, END, PAD, PAD, PAD]] * 2 + [[4, END, PAD, PAD, PAD, PAD]], "int32")
    losses = np.asarray(sentence_loss(targets, logits))
    assert losses.shape == (3,)
    logits[..., [PAD, START, UNK]] = -1e9  # which are never sampled
    assert losses.sum() / 8 == pytest.approx(float(sequence_loss(targets, logits)), rel=1e-5)


def test_what_is_never_sampled_has_no_share_in_a_sentences_loss():
    logits = np.zeros((1, 1, 8), "float32")  # uniform: 5 of the 8 tokens can be sampled
    for barred in (0.0, 50.0):
        logits[..., [PAD, START, UNK]] = barred
        assert float(sentence_loss(np.array([[4]]), logits)[0]) == pytest.approx(math.log(5))
