import dataclasses
import html
import io

import numpy as np
import pytest
from helpers import tiny
from helpers.captions import CALIBRATION, claim, example
from helpers.clips import write_gif
from PIL import Image

import v2t_lib as v2t
from v2t_lib.models.saving import save
from v2t_lib.models.verifier import VerifierState
from v2t_lib.views.caption_view import CaptionView
from v2t_lib.views.claim_view import ClaimView
from v2t_lib.views.panel import NOTHING, TRUTH, uploaded

pytestmark = pytest.mark.usefixtures("eager")


@pytest.fixture(scope="module")
def captioner():
    return tiny.captioner()


@pytest.fixture
def gif(tmp_path):
    write_gif(tmp_path / "clip.gif", 3)
    return tmp_path / "clip.gif"


def repeated(captioner):
    """A caption with the same word twice, each with heat of its own."""
    return captioner.explain_frames(tiny.frames(1), ["a cross a"])[0]


def pixels(view):
    return np.asarray(Image.open(io.BytesIO(view.image.value))).astype(int)


def test_equal_words_have_their_own_buttons_and_heat(captioner):
    view = CaptionView(repeated(captioner), "title")
    assert [button.description for button in view.buttons] == ["a", "cross", "a"]
    view.choose(-1)
    seen = []
    for number in (0, 2):
        view.buttons[number].click()
        styles = [button.button_style for button in view.buttons]
        assert [style == "warning" for style in styles] == [n == number for n in range(3)]
        seen.append(pixels(view))
    assert np.abs(seen[0] - seen[1]).max() > 8
    view.buttons[2].click()  # again: the heat goes
    assert view.word == -1 and np.abs(pixels(view) - seen[1]).max() > 8


def test_pictures_are_made_once_a_word_and_follow_time(captioner, monkeypatch):
    import v2t_lib.views.caption_view as module

    made = []
    real = module._jpegs
    monkeypatch.setattr(module, "_jpegs", lambda c, w: made.append(w) or real(c, w))
    view = CaptionView(repeated(captioner), "title")
    first = view.word
    for position in (0.0, 0.3, 0.6, 0.999):
        view.seek(position)
        number = int(position * 4)
        assert view.image.value == view._pictures[first][number]
    view.choose((first + 1) % 3)
    view.choose(first)
    assert made == [first, (first + 1) % 3]


def test_a_sample_is_captioned_and_compared_with_its_truth(captioner, gif):
    panel = v2t.panel(captioner, {"mine": gif}, {"mine": "a red star spins"})
    panel.go.click()
    assert "Choose a clip" in panel.status.value and panel.views.children == ()
    panel.sample.value, panel.beam.value = "mine", 2
    panel.go.click()
    (view,) = panel.views.children
    assert view.caption.text == captioner.caption(gif, beam=2).text
    panel.compare.value = TRUTH
    panel.go.click()
    left, right = panel.views.children
    assert left.caption.text == view.caption.text and right.caption.text == "a red star spins"
    panel.frame.value = 900
    assert left.position == right.position == 0.9
    panel.play.value = 300
    assert left.position == right.position == 0.3


def test_models_are_loaded_when_wanted_and_compared(captioner, gif, tmp_path):
    save(tiny.captioner(), tmp_path / "other.keras")
    panel = v2t.panel({"one": captioner, "other": tmp_path / "other.keras"}, {"mine": gif})
    panel.path.value = str(gif)
    assert panel.compare.value == NOTHING
    panel.compare.value = "other"
    panel.go.click()
    one, other = panel.views.children
    assert one.caption.text == captioner.caption(gif).text
    assert other.caption.text == panel.models["other"].caption(gif).text


def test_what_goes_wrong_stands_in_the_panel_and_the_next_clip_works(captioner, gif):
    panel = v2t.panel(captioner, {"mine": gif})
    panel.path.value = "/no/such/<clip>.gif"
    panel.go.click()
    assert (
        "/no/such/&lt;clip&gt;.gif" in panel.status.value and "no such file" in panel.status.value
    )
    assert not panel.go.disabled
    panel.compare.value = TRUTH
    panel.sample.value = "mine"
    panel.go.click()
    assert "expected a sentence" in panel.status.value
    panel.compare.value = NOTHING
    panel.go.click()
    assert len(panel.views.children) == 1 and panel.status.value == "Clip: mine"


@pytest.mark.parametrize(
    "value",
    [
        {"a.gif": {"metadata": {"name": "a.gif"}, "content": b"GIF"}},
        ({"name": "a.gif", "type": "image/gif", "content": memoryview(b"GIF")},),
    ],
    ids=["ipywidgets 7", "ipywidgets 8"],
)
def test_uploads_of_both_generations_are_read(value):
    assert uploaded(value) == ("a.gif", b"GIF")


def test_an_upload_is_captioned(captioner, gif):
    panel = v2t.panel(captioner)
    panel._on_upload({"new": ({"name": "up.gif", "content": memoryview(gif.read_bytes())},)})
    panel.go.click()
    assert panel.views.children[0].caption.text == captioner.caption(gif).text


def test_a_claims_words_are_marked_and_its_verdict_told():
    found = claim({"a": 0.1, "red": 2.0, "star": -3.0}, "refuted", 0.02)
    view = ClaimView(found, "title", CALIBRATION)
    assert [button.description for button in view.buttons] == ["a", "+ red", "− star"]
    colours = [tuple(bytes.fromhex(b.style.button_color[1:])) for b in view.buttons]
    assert colours[1][1] > colours[1][0] and colours[2][0] > colours[2][1]
    assert colours[0][1] - colours[0][0] < 20  # faint, as the word says little
    assert "20 times less likely" in view.buttons[2].tooltip and "“blue”" in view.buttons[2].tooltip
    for said in ("Refuted by the clip.", "true: 2%", "frame 3, at 0.40 s"):
        assert said in view.heading.value
    assert view.word == 2 and view.image.value == view._pictures[2][2]  # the frame of evidence
    assert view.facts.value.startswith("“star”: 20 times less likely")
    view.buttons[1].click()
    framed = [button.layout.border.split()[-1] == "#f6a800" for button in view.buttons]
    assert framed == [False, True, False]


def test_a_claims_sentence_is_escaped_and_unlike_clips_are_told():
    heading = ClaimView(claim({"<b>": None}, unlike_training=True), "title").heading.value
    assert "“&lt;b&gt;”" in heading and "unlike the training data" in heading
    caption = dataclasses.replace(example(), unlike_training=True)
    assert "unlike the training data" in CaptionView(caption, "title").heading.value
    assert "unlike" not in CaptionView(example(), "title").heading.value


def test_a_claim_is_checked_against_the_chosen_clip(gif):
    captioner = tiny.captioner()
    panel = v2t.panel(captioner, {"mine": gif})
    panel.sample.value = "mine"
    panel.check.click()
    assert "expected a sentence in the field “claim”" in panel.status.value
    panel.claim.value = "a red zebra"
    panel.check.click()
    assert "`v2t calibrate MODEL SHARDS`" in panel.status.value and panel.views.children == ()
    captioner.verifier = VerifierState(tiny.null_memory(captioner), CALIBRATION)
    panel.check.click()
    (view,) = panel.views.children
    expected = captioner.verify(gif, "a red zebra")
    assert view.found.words == expected.words and panel.status.value == "Clip: mine"
    assert "doesn't know “zebra”" in html.unescape(view.heading.value)
    assert view.buttons[2].description == "? zebra" and not panel.check.disabled
    assert int(view.position * 4) == expected.frame
