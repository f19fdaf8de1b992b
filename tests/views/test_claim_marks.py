"""A claim's marks and what is said of its verdict."""

import dataclasses
import math

from helpers.captions import CALIBRATION, claim

from v2t_lib.models.verifier import Verdicts
from v2t_lib.views.claim_marks import (
    certainty,
    headline,
    mark,
    most_contradicted,
    most_telling,
    percent,
)

LIFTS = {"a": 0.1, "red": math.log(12), "star": -math.log(40), "spins": -0.2, "zebra": None}
FACTORS = {"a": 0.5, "red": math.log(9.96), "star": 80}


def test_words_are_marked_by_sign_and_strength():
    a, red, star, spins, zebra = map(mark, claim(LIFTS).words)
    assert [mark.side for mark in (a, red, star, spins, zebra)] == [
        "for", "for", "against", "against", ""]  # fmt: skip
    assert [mark.sign for mark in (a, red, star, spins, zebra)] == ["", "+", "−", "", "?"]
    assert 0 < a.alpha < spins.alpha < red.alpha < star.alpha == 0.7
    assert red.note == "12 times as likely with the clip"
    assert star.note == "40 times less likely with the clip; the model expects “blue”"
    assert a.note == spins.note == "about as likely without the clip"
    assert zebra.note == "the model doesn't know this word" and zebra.alpha == 0
    said = [mark(word).note.split(" as ")[0] for word in claim(FACTORS).words]
    assert said == ["1.6 times", "10 times", "over 1,000 times"]


def test_the_word_that_says_most_and_the_one_that_is_contradicted_most():
    assert most_telling(claim(LIFTS)) == most_contradicted(claim(LIFTS)) == 2
    assert most_telling(claim({"a": 0.1, "red": 2.0, "spins": -1.0})) == 1
    assert most_contradicted(claim({"a": 0.1, "red": 2.0, "spins": -0.4})) == -1
    assert most_telling(claim({"zebra": None})) == most_contradicted(claim({"zebra": None})) == -1


def test_a_verdict_is_said_with_the_reason_where_there_is_none():
    assert headline(claim(LIFTS, "supported", 0.9)) == "Supported by the clip."
    assert headline(claim(LIFTS, "refuted", 0.1)) == "Refuted by the clip."
    known = {"a": 0.1, "red": 0.2}
    for found, reason in (
        (claim(LIFTS), "the model doesn't know “zebra”"),
        (claim(known, unlike_training=True), "the clip is unlike the training data"),
        (
            claim(known, reason="claims with “not” are not judged"),
            "claims with “not” are not judged",
        ),
        (claim(known, probability=0.5), "the evidence isn't clear enough"),
    ):
        assert headline(found) == f"Can't tell: {reason}."


def test_how_often_such_verdicts_are_right_is_told():
    good = certainty(claim({"a": 2.0}, "supported", 0.97), CALIBRATION)
    assert "true: 97%" in good and "with this verdict 96% were true" in good
    assert "40 true and 60 false" in good
    bad = certainty(claim({"a": -2.0}, "refuted", 0.001), CALIBRATION)
    assert "true: under 1%" in bad and "with this verdict 100% were false" in bad
    verdicts = Verdicts((1.0, 0.0), 0.0, 0.9, None)
    forms = {"word": {"claims": {"true": 7, "false": 8}, "supported": {"precision": 0.99}}}
    words = dataclasses.replace(
        CALIBRATION, forms={"word": verdicts}, figures=CALIBRATION.figures | {"forms": forms}
    )
    one = claim({"a": 2.0}, "supported", 0.97, form="word")
    assert "held-out words with this verdict 99% were true" in certainty(one, words)
    assert "7 true and 8 false" in certainty(one, words) and certainty(one, CALIBRATION) == ""
    unsure = certainty(claim({"a": 0.0}, probability=0.5), CALIBRATION)
    assert "50%" in unsure and "needs at least 80% or at most 10%" in unsure
    one_sided = dataclasses.replace(CALIBRATION, refuted=None)
    assert certainty(claim({"a": 0.0}, probability=0.5), one_sided).endswith("at least 80%.")
    assert certainty(claim({"a": 0.0}), None) == ""


def test_nothing_is_rounded_to_certainty():
    assert [percent(p) for p in (0, 0.004, 0.5, 0.996, 1)] == [
        "0%", "under 1%", "50%", "over 99%", "100%"]  # fmt: skip
