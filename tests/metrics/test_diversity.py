import pytest

from v2t_lib.metrics.diversity import diagnose, diversity

FINE = {
    "clips": 100,
    "loss": 1.0,
    "blind_loss": 2.0,
    "shuffled_loss": 3.0,
    "distinct_captions": 0.5,
}


def test_diversity_by_hand():
    found = diversity(["A cat sits.", "a cat sits", "a dog", ""], ["A dog!", "the cat sits"])
    assert found == {
        "distinct_captions": 3 / 4,
        "distinct_1": 4 / 8,
        "distinct_2": 3 / 5,
        "mean_length": 8 / 4,
        "seen_in_training": 1 / 4,
    }
    assert diversity(["a"])["seen_in_training"] is None
    assert diversity(["", ""])["distinct_2"] == 0


def test_a_model_that_uses_the_clips_and_varies_raises_no_doubts():
    assert diagnose(FINE) == []
    assert diagnose(FINE | {"blind_loss": None, "shuffled_loss": None}) == []
    assert diagnose(FINE | {"clips": 1, "distinct_captions": 1.0}) == []


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (
            {"loss": 1.97},
            "is 1.970 nats a token, and 2.000 for the same decoder when it sees nothing. Train",
        ),
        (
            {"shuffled_loss": 1.01},
            "is 1.000 nats a token, and 1.010 when it is shown other clips. Train",
        ),
        ({"distinct_captions": 0.05}, "collapsed: 5 distinct for 100 clips"),
        ({"clips": 5, "distinct_captions": 0.2}, "collapsed: 1 distinct for 5 clips"),
    ],
)
def test_problems_are_said_in_words(scores, said):
    (problem,) = diagnose(FINE | scores)
    assert said in problem


def test_a_model_worse_than_both_controls_is_told_once():
    (problem,) = diagnose(FINE | {"loss": 3.5})
    assert "2.000 for the same decoder when it sees nothing and 3.000 when it is shown" in problem
