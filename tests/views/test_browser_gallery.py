"""The page of captions in a real browser: gone through with keys, corrected, saved to train on."""

import dataclasses

import pytest
from helpers import tiny
from helpers.captions import example
from helpers.clips import write_gif

from v2t_lib.captions_file import read_captions
from v2t_lib.models.verifier import Calibration, VerifierState
from v2t_lib.shards.pack import pack
from v2t_lib.shards.reader import ShardDataset
from v2t_lib.views.review import Review

pytestmark = pytest.mark.browser


@pytest.fixture
def clips(tmp_path):
    """A folder of three clips, and the page of their captions."""
    captioner = tiny.captioner()
    quantiles = tuple(float(n) for n in range(-100, 1))
    captioner.verifier = VerifierState(
        calibration=Calibration((1, 1), 0, caption_log_probs=quantiles)
    )
    review = Review(captioner, place=str(tmp_path))
    for name, words, log_prob in (
        ("a.gif", ("red", "star"), -1),
        ("it's <b>.gif", ("a", "</textarea>"), -95),
        ("c.gif", ("דג", "אדום"), -2),
    ):
        write_gif(tmp_path / name, len(name))
        review.add(name, name, dataclasses.replace(example(words), log_prob=log_prob))
    review.write_page(tmp_path / "page.html")
    return tmp_path


def test_captions_are_corrected_with_keys_and_saved_to_train_on(visit, clips):
    page = visit(f"file://{clips / 'page.html'}", offline=True)
    fields = page.locator("textarea")
    assert fields.evaluate_all("all => all.map((f) => f.value)")[1] == "a </textarea>"
    save, count = page.locator("#save"), page.locator("#count")
    assert save.is_disabled() and count.inner_text() == "0 of 3 ticked"
    fields.nth(0).focus()
    page.keyboard.press("Enter")  # right as it is
    assert fields.nth(1).evaluate("(field) => field === document.activeElement")
    page.keyboard.press("Control+A")
    page.keyboard.insert_text("  a blue\tcross  ")
    page.keyboard.press("Enter")
    assert count.inner_text() == "2 of 3 ticked"
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    page.keyboard.press("Enter")  # nothing to be right
    assert count.inner_text() == "2 of 3 ticked"
    assert save.evaluate("(button) => button === document.activeElement")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    captions = clips / download.value.suggested_filename
    download.value.save_as(captions)
    assert captions.name == "captions.tsv"
    assert captions.read_text() == "a.gif\tred star\nit's <b>.gif\ta blue cross\n"
    pack(read_captions(captions), captions, clips / "shards", tiny.CLIP, workers=1)
    packed = [example.captions for example in ShardDataset.open(clips / "shards").examples()]
    assert packed == [("red star",), ("a blue cross",)]


def test_motion_unsure_clips_and_directions(visit, clips):
    page = visit(f"file://{clips / 'page.html'}", offline=True, reduced_motion="reduce")
    assert not page.locator("#play").is_checked()
    still = page.locator("article img").nth(0).get_attribute("src")
    page.locator("#play").check()
    assert page.locator("article img").nth(0).get_attribute("src") != still
    page.locator("#play").uncheck()
    assert page.locator("article img").nth(0).get_attribute("src") == still
    assert page.evaluate("[...document.images].every((i) => i.naturalWidth >= 96)")
    page.locator("#only-unsure").check()
    shown = [card.is_visible() for card in page.locator("article").all()]
    assert shown == [False, True, False]
    script = "(field) => getComputedStyle(field).direction"
    directions = [field.evaluate(script) for field in page.locator("textarea").all()]
    assert directions == ["ltr", "ltr", "rtl"]
    page = visit(f"file://{clips / 'page.html'}", reduced_motion="no-preference")
    assert page.locator("#play").is_checked()
