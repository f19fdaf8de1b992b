"""Captions to look through: alt text hedged where the model is unsure, the table and the page."""

import csv
import dataclasses

import pytest
from helpers import tiny
from helpers.captions import example
from helpers.pages import Parsed

from v2t_lib.models.verifier import Calibration, VerifierState
from v2t_lib.views.review import COLUMNS, Review, alt_text

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
        (1, None, 1.0, False),
    ],
)
def test_the_least_sure_quarter_and_unlike_clips_are_hedged(log_prob, unlike, surer_than, hedged):
    caption = dataclasses.replace(example(("red",)), log_prob=log_prob, unlike_training=unlike)
    found = alt_text(caption, CALIBRATION)
    assert found.surer_than == pytest.approx(surer_than) and found.unsure == hedged
    assert found.text == ("perhaps red" if hedged else "red")


def test_what_is_not_known_hedges_nothing_and_nothing_is_not_hedged():
    caption = dataclasses.replace(example(("红",)), log_prob=-99)
    for calibration in (None, Calibration((1.0, 1.0), 0.0)):
        found = alt_text(caption, calibration)
        assert (found.text, found.surer_than, found.unsure) == ("红", None, False)
    empty = alt_text(dataclasses.replace(example(()), log_prob=-99), CALIBRATION)
    assert empty.text == "" and empty.unsure
    assert alt_text(caption, CALIBRATION, "也许", "character").text == "也许红"


@pytest.fixture
def review():
    captioner = tiny.captioner()
    captioner.verifier = VerifierState(calibration=CALIBRATION)
    made = Review(captioner, place="my clips")
    made.add("dir/sure.gif", "sure.gif", example(("red", "star")))
    unsure = dataclasses.replace(example(("blue",)), log_prob=-90)
    made.add("dir/unsure.gif", "unsure.gif", unsure)
    strange = dataclasses.replace(example(("אדום",)), unlike_training=True)
    made.add("c.gif", "c.gif", strange, doubt="the clip is unlike the training data")
    made.add("tab\t.gif", "tab\t.gif", example(("green",)))
    made.add_error("bad.gif", "corrupt: no frames")
    return made


def test_the_page_shows_captions_marks_and_what_to_do(review, tmp_path):
    review.write_page(tmp_path / "page.html")
    page = Parsed((tmp_path / "page.html").read_text(encoding="utf-8"))
    alts = ["red star", "perhaps blue", "", "green"]
    assert [image["alt"] for image in page.all("img")] == alts
    fields = page.all("textarea")
    assert [field["data-source"] for field in fields] == ["sure.gif", "unsure.gif", "c.gif"]
    assert all(field["dir"] == "auto" and field["aria-label"] for field in fields)
    assert [card.get("class") for card in page.all("article")] == [None, "unsure", "unsure", None]
    for said in (
        "surer than 95% of held-out captions",
        "unlike the training data",
        "1 file gave no caption",
        "bad.gif: corrupt: no frames",
        "rename it",
        "begins with “perhaps”",
        "keep it in my clips, beside the clips",
        "less sure of it than of 75%",
    ):
        assert said in " ".join(page.text.split()), said


def test_the_table_is_what_spreadsheets_read(review, tmp_path):
    review.write_table(tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes().startswith(b"\xef\xbb\xbffile,alt,")
    with open(tmp_path / "out.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS and len(rows) == 5
    sure, unsure, strange, _, bad = rows
    assert (sure["alt"], sure["unsure"], sure["surer_than"]) == ("red star", "no", "0.95")
    assert (unsure["alt"], unsure["unsure"], unsure["unlike_training"]) == (
        "perhaps blue", "yes", "")  # fmt: skip
    assert strange["caption"] == strange["alt"] == "" and strange["unlike_training"] == "yes"
    assert strange["note"] == "the clip is unlike the training data"
    assert bad == dict.fromkeys(COLUMNS, "") | {"file": "bad.gif", "note": "corrupt: no frames"}


def test_a_model_without_calibration_says_what_is_not_known(tmp_path):
    review = Review(tiny.captioner(), hedge="peut-être")
    review.add("a.gif", "/clips/a.gif", example(("rouge",)))
    review.write_page(tmp_path / "page.html")
    text = Parsed((tmp_path / "page.html").read_text(encoding="utf-8")).text
    assert "isn't calibrated" in text and "“peut-être”" in text and "where you like" in text
    assert "surer than" not in text
