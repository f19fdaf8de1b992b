"""Pages in a real browser: the inspector, claims, captions to correct."""

import dataclasses

import pytest
from helpers import tiny
from helpers.captions import claim, example
from helpers.clips import write_gif

from v2t_lib.captions_file import read_captions
from v2t_lib.models.verifier import Calibration, VerifierState
from v2t_lib.shards.pack import pack
from v2t_lib.shards.reader import ShardDataset
from v2t_lib.views.evidence_page import save_evidence_page
from v2t_lib.views.inspector import save_page
from v2t_lib.views.review import Review

pytestmark = pytest.mark.browser

WORDS = ("red", "star", "red", "</b>")  # the last one attends uniformly
FRAME = (120, 120, 120)
HOT = [round(0.35 * f + 0.65 * c) for f, c in zip(FRAME, (252, 255, 164), strict=True)]
STILL = {"offline": True, "reduced_motion": "reduce"}


def pixel(card, x, y):
    """What the canvas shows at `x`, `y`, 0 to 1 of its sides."""
    script = """(canvas, [x, y]) => [...canvas.getContext("2d").getImageData(
        Math.floor(x * canvas.width), Math.floor(y * canvas.height), 1, 1).data].slice(0, 3)"""
    return card.locator("canvas").evaluate(script, [x, y])


def near(seen, expected, off=6):
    return max(abs(a - b) for a, b in zip(seen, expected, strict=True)) <= off


def frame_of(card):
    return int(card.locator("input[aria-label=frame]").input_value())


def choose_words_one_by_one(card):
    """The grid is 2 x 2 x 2 and word n attends to cell n: the pixels have to say so."""
    corners = [(0.1, 0.1), (0.9, 0.1), (0.1, 0.9), (0.9, 0.9)]
    buttons = card.locator(".words button")
    assert buttons.all_inner_texts() == list(WORDS)
    card.locator("canvas").focus()
    card.page.keyboard.press("0")
    scrub = card.locator("input[aria-label=frame]")
    for frame in range(4):
        scrub.fill(str(frame))
        for number in range(len(WORDS)):
            buttons.nth(number).click()
            pressed = [b.get_attribute("aria-pressed") == "true" for b in buttons.all()]
            assert pressed == [n == number for n in range(len(WORDS))]
            for corner, place in enumerate(corners):
                hot = number == 3 or (frame < 2 and corner == number)
                assert near(pixel(card, *place), HOT if hot else FRAME), (frame, number, corner)
        buttons.nth(3).click()  # again: no heat
        assert all(near(pixel(card, *place), FRAME) for place in corners)


@pytest.fixture
def page_url(tmp_path):
    one = example(("alone",))
    save_page(tmp_path / "page.html", [example(WORDS), one, example(())], truths=["red", "", ""])
    return f"file://{tmp_path / 'page.html'}"


def test_a_page_alone_and_offline(visit, page_url):
    page = visit(page_url, **STILL)
    cards = page.locator("article")
    assert cards.count() == 3
    choose_words_one_by_one(cards.nth(0))
    assert "close to uniform" not in cards.nth(0).inner_text()
    cards.nth(0).locator(".words button").nth(3).click()
    assert "close to uniform" in cards.nth(0).inner_text()
    assert near(pixel(cards.nth(1), 0.1, 0.1), HOT)  # a caption's sharpest word is shown at first
    assert "no words" in cards.nth(2).inner_text()


def test_keys_slider_and_play(visit, page_url):
    page = visit(page_url, **STILL)
    card, keys = page.locator("article").first, page.keyboard
    play = card.locator("button[aria-label=play], button[aria-label=pause]")
    assert play.get_attribute("aria-label") == "play" and frame_of(card) == 0  # reduced motion
    card.locator("canvas").focus()
    for key, frame in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1)):
        keys.press(key)
        assert frame_of(card) == frame
    for key, text in (("2", "“star”"), ("3", "“red”"), ("ArrowDown", "“</b>”"), ("0", "No word")):
        keys.press(key)
        assert card.locator(".facts").inner_text().startswith(text)
    box = card.locator("input[aria-label=frame]").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.36, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 3, middle, steps=5)
    page.mouse.up()
    assert frame_of(card) == 3
    card.locator("canvas").focus()
    keys.press(" ")
    assert play.get_attribute("aria-label") == "pause"
    page.wait_for_function("() => +document.querySelector('input').value === 1")
    keys.press(" ")
    stopped = frame_of(card)
    page.wait_for_timeout(500)
    assert frame_of(card) == stopped
    card.locator("button[aria-label=loop]").click()
    play.click()
    page.wait_for_selector("article:first-child button[aria-label=play]")
    assert frame_of(card) == 3  # without the loop it stops at the end


def test_opacity_and_the_mean_over_words(visit, page_url):
    page = visit(page_url, **STILL)
    card = page.locator("article").first
    card.locator("canvas").focus()
    page.keyboard.press("4")
    card.locator("input[aria-label='opacity of the heat map']").fill("0")
    assert near(pixel(card, 0.9, 0.9), FRAME)
    card.locator("input[aria-label='opacity of the heat map']").fill("0.65")
    # Cell 0 has (1 + 0 + 0 + 1/8) / 4 on average, more than the last word gives it; cell 3 less.
    assert near(pixel(card, 0.1, 0.1), HOT) and near(pixel(card, 0.9, 0.9), HOT)
    card.locator("input[type=checkbox]").check()
    assert near(pixel(card, 0.1, 0.1), FRAME) and near(pixel(card, 0.9, 0.9), HOT)


LIFTS = {"a": 0.1, "red": 2.0, "star": -3.0, "zebra": None}


def look_of(word):
    """A marked word's sign, colour of the background and whether it is hatched."""
    script = """(word) => [getComputedStyle(word, "::before").content,
        getComputedStyle(word).backgroundColor, getComputedStyle(word).backgroundImage]"""
    sign, colour, image = word.evaluate(script)
    parts = colour.split("(")[1].rstrip(")").split(",")
    return sign.strip('"'), [float(part) for part in parts], "gradient" in image


def check_marks(words):
    """Of the words of `LIFTS`: by colour and without."""
    (_, a, _), (plus, green, plain), (minus, red, hatched), (unknown, *_) = map(look_of, words)
    assert (plus, minus, unknown) == ("+", "−", "?") and hatched and not plain
    assert green[1] > green[0] and red[0] > red[1] and a[3] < 0.1 < green[3] < red[3]


def test_claims_are_marked_in_the_inspector(visit, tmp_path):
    found = claim(LIFTS, unlike_training=True)
    save_page(tmp_path / "page.html", [example(WORDS), found])
    page = visit(f"file://{tmp_path}/page.html", **STILL)
    card = page.locator("article").nth(1)
    check_marks(card.locator(".words button").all())
    assert "Can't tell: the model doesn't know “zebra”." in card.inner_text()
    assert "⚠ The clip is unlike the training data." in card.inner_text()
    assert card.locator(".facts").inner_text().startswith("“star”: 20 times less likely")
    card.locator("canvas").focus()
    page.keyboard.press("2")
    assert card.locator(".facts").inner_text().startswith("“red”: 7.4 times as likely")
    card.locator("button", has_text="peak").click()
    assert frame_of(card) == found.frame
    assert "unlike" not in page.locator("article").first.inner_text()


def test_a_page_of_evidence_on_screen_on_paper_and_on_a_phone(visit, tmp_path):
    captioner = tiny.captioner()
    save_evidence_page(tmp_path / "page.html", [claim(LIFTS)], captioner, "tiny.keras")
    page = visit(f"file://{tmp_path}/page.html", **STILL)
    check_marks(page.locator("p.marks span").all())
    check_marks(page.locator("article .words button").all())
    script = "() => [...document.images].every((image) => image.naturalWidth > 0)"
    assert page.evaluate(script) and page.locator("article").is_visible()
    page.emulate_media(media="print")
    assert page.locator(".evidence").is_visible() and not page.locator("article").is_visible()
    page.emulate_media(media="screen")
    page.set_viewport_size({"width": 360, "height": 700})
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360


def test_dark_mode_and_a_phone(visit, page_url):
    page = visit(page_url, color_scheme="dark", viewport={"width": 360, "height": 700})
    script = "() => [getComputedStyle(document.body).color, document.documentElement.scrollWidth]"
    colour, width = page.evaluate(script)
    assert colour == "rgb(255, 255, 255)" and width <= 360
    page.wait_for_function("() => +document.querySelector('input').value > 0")  # it plays
    page.emulate_media(color_scheme="light")
    assert page.evaluate(script)[0] == "rgb(0, 0, 0)"


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
