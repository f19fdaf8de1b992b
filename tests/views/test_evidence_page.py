"""The page that shows a claim with its evidence."""

import base64
import dataclasses
import html
import io
import re

import numpy as np
import pytest
from helpers import tiny
from helpers.captions import CALIBRATION, claim
from PIL import Image

from v2t_lib.models.verifier import VerifierState
from v2t_lib.views.evidence_page import save_evidence_page

LIFTS = {"a": 0.1, "red": 2.0, "</script>": -3.0}


@pytest.fixture(scope="module")
def captioner():
    captioner = tiny.captioner()
    captioner.verifier = VerifierState(calibration=CALIBRATION)
    return captioner


def page_of(tmp_path, captioner, *claims):
    save_evidence_page(tmp_path / "page.html", claims, captioner, "my <model>.keras")
    return (tmp_path / "page.html").read_text(encoding="utf-8")


def pictures(text, kind):
    found = re.search(rf'<div class="{kind}">(.*?)</div>', text, re.S).group(1)
    for data in re.findall(r"data:image/jpeg;base64,([^\"]+)", found):
        yield np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))).astype(int)


def test_it_says_what_was_found_and_how_sure_it_is(tmp_path, captioner):
    text = html.unescape(page_of(tmp_path, captioner, claim(LIFTS, "refuted", 0.02)))
    for said in (
        "Refuted by the clip.",
        "100% were false",
        '<b dir="ltr">red</b>: 7.4 times as likely with the clip',
        "</script></b>: 20 times less likely with the clip; the model expects “blue”",
        "frame 3 of 4, at 0.40 s",
        "Against it: “</script>”, at",
        "4 frames of 16 × 16 pixels, from 0.00 to 0.60 s",
        "expected calibration error 0.025",
        "my <model>.keras; calibrated on held-out clips",
    ):
        assert said in text, said
    assert "⚠ The clip is unlike the training data.</p>" not in text
    marks = re.findall(r'data-side="(\w*)" data-sign="(.?)" style="--alpha: ([\d.]+)"', text)
    assert marks[:3] == [("for", "", "0.02"), ("for", "+", "0.47"), ("against", "−", "0.70")]


def test_pictures_show_heat_where_the_words_attend(tmp_path, captioner):
    """Word n attends to cell n of 2 x 2 x 2, the last one to all; frames 0 and 1 are step 0."""
    lifts = {"red": 0.1, "star": 2.0, "a": 0.1}
    found = dataclasses.replace(claim(lifts, "supported", 0.9), frame=1)
    text = page_of(tmp_path, captioner, found)
    assert "tenth" not in text
    heat, plain = pictures(text, "evidence")
    assert heat.shape == (480, 480, 3) and np.abs(plain - 120).max() < 4
    assert heat[40, -40].max() > 180 and np.abs(heat[-40, 40] - 120).max() < 40
    (star,) = pictures(text, "by-word")
    assert star[10, -10].max() > 180 and np.abs(star[-10, 10] - 120).max() < 4


def test_what_the_score_depends_on_is_said_where_it_was_tried(tmp_path, captioner):
    blanked = [claim({"red": lift}) for lift in (0.25, *[1.125] * 3)]
    text = page_of(tmp_path, captioner, claim({"red": 1.0}, verify=lambda frames: blanked))
    said = "mean lift of +1.00 nats changes by -0.75; with a random tenth, by +0.12."
    assert said in " ".join(text.split())


def test_each_claim_reads_in_its_own_direction(tmp_path, captioner):
    claims = claim({"כוכב": None, "red": 1.0}), claim({"red": 1.0})
    text = page_of(tmp_path, captioner, *claims)
    assert re.findall(r'<h2 dir="(\w+)">', text) == ["rtl", "ltr"]
    assert re.findall(r'class="marks" dir="(\w+)"', text) == ["rtl", "ltr"]


def test_unlike_clips_and_missing_calibration_are_told(tmp_path, captioner):
    text = page_of(tmp_path, captioner, claim({"red": 1.0}, unlike_training=True))
    assert "⚠ The clip is unlike the training data.</p>" in text
    text = page_of(tmp_path, tiny.captioner(), claim({"red": 0.1}, unlike_training=None))
    assert "; not calibrated; v2t" in text
    assert "can't tell whether the clip is like" in html.unescape(text).lower()
    assert "No word is clearly more or less likely" in text
