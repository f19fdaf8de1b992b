"""Alt text: hedged where the model is unsure, by the quantiles of its held-out captions."""

import dataclasses

import pytest
from helpers.captions import example

from v2t_lib.models.verifier import Calibration
from v2t_lib.views.review import alt_text

CALIBRATION = Calibration(
    (1.0, 1.0), 0.0, caption_log_probs=tuple(-20 + 0.2 * n for n in range(101))
)


@pytest.mark.parametrize(
    ("log_prob", "unlike", "surer_than", "hedged"),
    [
        (-40, False, 0.0, True),
        (-15.2, None, 0.24, True),
        (-14.8, False, 0.26, False),
        (-14.8, True, 0.26, True),
        (-1, None, 0.95, False),
        (1, None, 1.0, False),
    ],
)
def test_the_least_sure_quarter_and_unlike_clips_are_hedged(log_prob, unlike, surer_than, hedged):
    caption = dataclasses.replace(example(("red",)), log_prob=log_prob, unlike_training=unlike)
    found = alt_text(caption, CALIBRATION)
    assert found.surer_than == pytest.approx(surer_than) and found.unsure == hedged
    assert found.text == ("perhaps red" if hedged else "red")


def test_what_is_not_known_hedges_nothing_and_nothing_is_not_hedged():
    caption = dataclasses.replace(example(("red",)), log_prob=-99)
    for calibration in (None, Calibration((1.0, 1.0), 0.0)):
        found = alt_text(caption, calibration)
        assert (found.text, found.surer_than, found.unsure) == ("red", None, False)
    empty = alt_text(dataclasses.replace(example(()), log_prob=-99), CALIBRATION)
    assert empty.text == "" and empty.unsure


def test_hedges_in_other_languages():
    caption = dataclasses.replace(example(("红",)), log_prob=-99)
    assert alt_text(caption, CALIBRATION, "也许", "character").text == "也许红"
    assert alt_text(caption, CALIBRATION, "vielleicht").text == "vielleicht 红"
