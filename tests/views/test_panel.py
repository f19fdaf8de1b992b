import dataclasses
import json
import re

import pytest
from helpers import tiny
from helpers.captions import CALIBRATION
from helpers.clips import write_gif
from helpers.pages import in_the_frame

import v2t_lib as v2t
from v2t_lib.models.saving import save
from v2t_lib.models.verifier import Verdicts, VerifierState
from v2t_lib.views.panel import NOTHING, TRUTH

pytestmark = pytest.mark.usefixtures("eager")


@pytest.fixture(scope="module")
def captioner():
    return tiny.captioner()


@pytest.fixture
def gif(tmp_path):
    write_gif(tmp_path / "clip.gif", 3)
    return tmp_path / "clip.gif"


def cards(panel):
    """What the inspector in the panel shows."""
    return json.loads(re.search(r"clips = (.*);\n", in_the_frame(panel.view.value)).group(1))


def test_a_sample_is_captioned_and_compared_with_its_truth(captioner, gif):
    panel = v2t.panel(captioner, {"mine": gif}, {"mine": "a red star spins"})
    panel.go.click()
    assert "Choose a clip" in panel.status.value and panel.view.value == ""
    panel.sample.value, panel.beam.value = "mine", 2
    panel.go.click()
    (card,) = cards(panel)
    assert card["text"] == captioner.caption(gif, beam=2).text
    assert card["name"] == "caption by model"
    panel.compare.value = TRUTH
    panel.go.click()
    left, right = cards(panel)
    assert left == card and right["text"] == "a red star spins"
    assert right["name"] == "reference scored by model"


def test_models_are_loaded_when_wanted_and_compared(captioner, gif, tmp_path):
    save(tiny.captioner(), tmp_path / "other.keras")
    panel = v2t.panel({"one": captioner, "other": tmp_path / "other.keras"}, {"mine": gif})
    panel.path.value = str(gif)
    assert panel.compare.value == NOTHING
    panel.compare.value = "other"
    panel.go.click()
    one, other = cards(panel)
    assert one["text"] == captioner.caption(gif).text
    assert other["text"] == panel.models["other"].caption(gif).text


def test_what_goes_wrong_stands_in_the_panel_and_the_next_clip_works(captioner, gif):
    panel = v2t.panel(captioner, {"mine": gif})
    panel.path.value = "/no/such/<clip>.gif"
    panel.go.click()
    assert "/no/such/&lt;clip&gt;.gif" in panel.status.value
    assert "no such file" in panel.status.value and not panel.go.disabled
    panel.compare.value = TRUTH
    panel.sample.value = "mine"
    panel.go.click()
    assert "expected a sentence in the field “reference”" in panel.status.value
    panel.compare.value = NOTHING
    panel.go.click()
    assert len(cards(panel)) == 1 and panel.status.value == "Clip: mine"


def test_uploads_of_ipywidgets_7_and_8_are_captioned(captioner, gif):
    seven = {"up.gif": {"metadata": {"name": "up.gif"}, "content": gif.read_bytes()}}
    eight = ({"name": "up.gif", "content": memoryview(gif.read_bytes())},)
    for value in (seven, eight):
        panel = v2t.panel(captioner)
        panel._on_upload({"new": value})
        panel.go.click()
        assert panel.status.value == "Clip: up.gif"
        assert cards(panel)[0]["text"] == captioner.caption(gif).text


def test_a_claim_is_checked_against_the_chosen_clip(gif):
    captioner = tiny.captioner()
    panel = v2t.panel(captioner, {"mine": gif})
    panel.sample.value = "mine"
    panel.check.click()
    assert "expected a sentence in the field “claim”" in panel.status.value
    panel.claim.value = "a red zebra"
    panel.check.click()
    assert "`v2t calibrate MODEL SHARDS`" in panel.status.value and panel.view.value == ""
    calibration = dataclasses.replace(CALIBRATION, forms={"word": Verdicts((1.0, 1.0), 0.0)})
    captioner.verifier = VerifierState(tiny.null_memory(captioner), calibration)
    panel.check.click()
    (card,) = cards(panel)
    expected = captioner.verify(gif, "a red zebra")
    assert [mark["word"] for mark in card["marks"]] == ["a", "red", "zebra"]
    assert card["marks"][2]["sign"] == "?" and card["evidence"] == expected.frame
    assert card["headline"] == "Can't tell: the model doesn't know “zebra”."
    panel.claim.value = "a star"
    panel.check.click()
    (card,) = cards(panel)
    assert "Probability that the claim is true" in card["certainty"] and not panel.check.disabled
