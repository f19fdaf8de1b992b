import pytest

from v2t_lib.metrics.texts import diversity, exact_match, exact_match_by

ONE, TWO = "a red star spins", "the red star is moving left and the pink cross is spinning"


def test_a_caption_has_to_be_one_of_the_references_word_for_word():
    references = [("A red star spins.", "a star"), ("a red star spins",)]
    assert exact_match([ONE, "a red star"], references) == 0.5


def test_exact_match_by_what_the_clips_show():
    captions = [ONE, "a red star grows", TWO, ONE, ONE]
    references = [(ONE,), (ONE,), (TWO,), ("there is a red star growing",), (ONE,)]
    shown = [["spins"], ["spins"], ["moves left", "spins"], ["grows"], None]
    by = exact_match_by(captions, references, shown)
    assert by["objects"] == {
        "1": {"clips": 3, "exact_match": 1 / 3},
        "2": {"clips": 1, "exact_match": 1.0},
    }
    assert by["behaviour"] == {
        "grows": {"clips": 1, "exact_match": 0.0},
        "moves left": {"clips": 1, "exact_match": 1.0},
        "spins": {"clips": 3, "exact_match": pytest.approx(2 / 3)},
    }
    assert exact_match_by([ONE], [(ONE,)], [None]) is None


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
