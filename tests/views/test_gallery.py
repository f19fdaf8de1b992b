"""Pages of clips: captions to look through, and what a search found."""

import csv
import dataclasses

import pytest
from helpers import tiny
from helpers.captions import example
from helpers.pages import Parsed

from v2t_lib.clips.decode import Clip
from v2t_lib.models.verification import Verification, WordSupport
from v2t_lib.models.verifier import Calibration, VerifierState
from v2t_lib.search import Match
from v2t_lib.views.gallery import save_found
from v2t_lib.views.review import COLUMNS, Review

NASTY = """<script>alert(1)</script>{{ title }}"'&"""


def parsed(path):
    return Parsed(path.read_text(encoding="utf-8"))


@pytest.fixture
def review():
    captioner = tiny.captioner()
    quantiles = tuple(float(n) for n in range(-100, 1))
    captioner.verifier = VerifierState(
        calibration=Calibration((1, 1), 0, caption_log_probs=quantiles)
    )
    made = Review(captioner, place="my <clips>")
    made.add("dir/sure.gif", "sure.gif", example(("red", "star")))
    unsure = dataclasses.replace(example((NASTY,)), log_prob=-90)
    made.add(f"dir/{NASTY}.gif", f"{NASTY}.gif", unsure)
    strange = dataclasses.replace(example(("אדום",)), unlike_training=True)
    made.add("c.gif", "c.gif", strange, doubt="the clip is unlike the training data")
    made.add("tab\t.gif", "tab\t.gif", example(("blue",)))
    made.add_error("<bad>.gif", "corrupt: no <frames>")
    return made


def test_the_page_shows_captions_marks_and_what_to_do(review, tmp_path):
    review.write_page(tmp_path / "page.html")
    page = parsed(tmp_path / "page.html")
    assert [image["alt"] for image in page.all("img")] == [
        "red star",
        f"perhaps {NASTY}",
        "",
        "blue",
    ]
    fields = page.all("textarea")
    assert [field["data-source"] for field in fields] == ["sure.gif", f"{NASTY}.gif", "c.gif"]
    assert all(field["dir"] == "auto" and field["aria-label"] for field in fields)
    assert [card.get("class") for card in page.all("article")] == [None, "unsure", "unsure", None]
    for said in (
        NASTY,
        "surer than 99% of held-out captions",
        "unlike the training data",
        "1 file gave no caption",
        "corrupt: no <frames>",
        "rename it",
        "begins with “perhaps”",
        "keep it in my <clips>, beside the clips",
        "less sure of it than of 75%",
    ):
        assert said in " ".join(page.text.split())


def test_the_table_is_what_spreadsheets_read(review, tmp_path):
    review.write_table(tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes().startswith(b"\xef\xbb\xbffile,alt,")
    with open(tmp_path / "out.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS and len(rows) == 5
    sure, unsure, strange, _, bad = rows
    assert (sure["alt"], sure["unsure"], sure["surer_than"]) == ("red star", "no", "0.99")
    assert unsure["caption"] == NASTY and unsure["alt"] == f"perhaps {NASTY}"
    assert unsure["unsure"] == "yes" and unsure["unlike_training"] == ""
    assert strange["caption"] == strange["alt"] == "" and strange["unlike_training"] == "yes"
    assert strange["note"] == "the clip is unlike the training data"
    assert bad == dict.fromkeys(COLUMNS, "") | {
        "file": "<bad>.gif",
        "note": "corrupt: no <frames>",
    }


def test_a_model_without_calibration_says_what_is_not_known(tmp_path):
    review = Review(tiny.captioner(), hedge="peut-être")
    review.add("a.gif", "/clips/a.gif", example(("rouge",)))
    review.write_page(tmp_path / "page.html")
    text = parsed(tmp_path / "page.html").text
    assert "isn't calibrated" in text and "“peut-être”" in text and "where you like" in text
    assert "surer than" not in text


def test_found_clips_are_shown_with_their_words(tmp_path):
    words = (WordSupport("red", 1.25, None), WordSupport(NASTY, -2.0, "star"),
             WordSupport("zebra", None, None))  # fmt: skip
    verified = Verification("a.gif", NASTY, 0.5, 0.9, "supported", words, 2, 0.4, True, (), None)
    caption = example()
    match = Match(f"{NASTY}.gif", -0.375, verified, ("<b>.gif",))
    save_found(
        tmp_path / "page.html", NASTY, [match], [Clip(caption.frames, caption.seconds, None)]
    )
    page = parsed(tmp_path / "page.html")
    assert len(page.all("article")) == 1 and not page.all("b") and not page.all("textarea")
    kinds = [span.get("data-sign", span.get("class")) for span in page.all("span") if span]
    assert kinds == ["+", "−", "?", "mark"]
    notes = [span["title"] for span in page.all("span") if "title" in span]
    assert notes[1] == "7.4 times less likely with the clip; the model expects “star”"
    for said in (NASTY, "lift -0.38 nats a word", "evidence at 0.40 s", "+1.2", "-2.0", "zebra ?",
                 "supported, probability 0.90", "Nearly the same:", "<b>.gif"):  # fmt: skip
        assert said in page.text
