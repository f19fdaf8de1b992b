"""Pages in a real browser: the inspector, claims, captions to correct."""

import dataclasses

import pytest
from helpers import tiny
from helpers.captions import claim, example
from helpers.clips import write_gif

from v2t_lib.captions_file import read_captions
from v2t_lib.clips.decode import Clip
from v2t_lib.models.verifier import Calibration, VerifierState
from v2t_lib.search import Match
from v2t_lib.shards.pack import pack
from v2t_lib.shards.reader import ShardDataset
from v2t_lib.views.evidence_page import save_evidence_page
from v2t_lib.views.gallery import save_found
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


def test_only_clips_in_sight_move(visit, clips):
    page = visit(f"file://{clips / 'page.html'}", viewport={"width": 400, "height": 500})
    script = """() => [...document.images].map((image) => image.src === image.dataset.moving)"""
    page.wait_for_function(f"() => ({script})()[0]")
    assert page.evaluate(script) == [True, False, False]
    page.locator("textarea").last.focus()
    page.wait_for_function(f"() => ({script})()[2]")
    assert page.evaluate(script)[0] is False
    page.locator("#play").uncheck()
    assert not any(page.evaluate(script))


def write_every_page(folder):
    """The pages that users open, with what each has to say."""
    caption, found = example(WORDS), claim(LIFTS, unlike_training=True)
    save_page(folder / "inspector.html", [caption, found], ["mine.gif", "other.gif"], ["red", ""])
    save_evidence_page(folder / "evidence.html", [found], tiny.captioner(), "tiny.keras")
    clip = Clip(caption.frames, caption.seconds, None)
    save_found(
        folder / "found.html", "a red star", [Match("a.gif", -0.4, 0, 0.1, None, found)], [clip]
    )
    verdict = ["Can't tell: the model doesn't know", "star", "unlike the training data"]
    return {
        "inspector.html": ["mine.gif", "reference: red", *verdict],
        "evidence.html": verdict,
        "found.html": ["a.gif", "zebra", "evidence at 0.40 s"],
        "page.html": ["it's <b>.gif", "unsure", "surer than"],
    }


@pytest.mark.parametrize("box", [None, "", "allow-scripts"])
def test_no_page_is_blank(visit, clips, box):
    for name, texts in write_every_page(clips).items():
        if box is None:
            page = visit(f"file://{clips / name}", java_script_enabled=False)
        else:
            frame = f'<iframe sandbox="{box}" src="{name}" width=900 height=2000></iframe>'
            (clips / "frame.html").write_text(frame)
            page = visit(f"file://{clips / 'frame.html'}").frames[1]
        said = page.locator("body").inner_text()
        assert all(text in said for text in texts), said
        assert page.locator("img:visible, canvas:visible").first.bounding_box()["height"] > 50
        assert ("Scripts don't run" in said) == (not box)
        for field in page.locator("textarea").all():
            assert field.is_editable() == bool(box)  # what can't be saved can't be written


SAVED = "[...document.querySelectorAll('textarea')].map((f) => f.value)"
WARNS = "() => !dispatchEvent(new Event('beforeunload', { cancelable: true }))"


def test_corrections_outlive_a_viewer_that_saves_nothing(visit, clips):
    sandbox = '<iframe sandbox="allow-scripts" src="page.html" width=900 height=900></iframe>'
    (clips / "frame.html").write_text(sandbox)
    page = visit(f"file://{clips / 'frame.html'}")
    frame = page.frames[1]
    frame.locator("textarea").nth(1).fill("a \U0001f7e5 box\tgoes right")
    assert "keeps nothing" in frame.locator("#count").inner_text()
    frame.locator("#save").click()
    row = "it's <b>.gif\ta \U0001f7e5 box goes right"
    assert row in frame.locator("#rows").inner_text() and frame.evaluate(WARNS)
    frame.locator("#copy").click()
    assert frame.locator("#copy").inner_text() == "Copied" and frame.evaluate(WARNS)
    frame.locator("textarea").nth(0).fill(
        "red"
    )  # what is shown is never older than what was written
    assert not frame.locator("#saved").is_visible()
    frame.locator("#save").click()
    frame.locator("#done").click()
    assert not frame.evaluate(WARNS)


def test_corrections_are_kept_and_pages_of_the_same_clips_share_them(visit, clips):
    url = f"file://{clips / 'page.html'}"
    page = visit(url)
    other = page.context.new_page()
    other.goto(url)
    long = "a very long caption " * 100
    page.locator("textarea").nth(0).fill(long)
    other.locator("textarea").nth(1).fill("a blue cross")
    assert page.evaluate(WARNS)
    page.wait_for_function("() => document.querySelectorAll('input:checked').length >= 3")
    again = page.context.new_page()
    again.goto(url)
    assert again.evaluate(SAVED)[:2] == [long, "a blue cross"]
    assert again.locator("#count").inner_text() == "2 of 3 ticked" and not again.evaluate(WARNS)
    assert again.locator("textarea").first.bounding_box()["height"] > 100
    again.locator("#forget").click()
    assert again.evaluate(SAVED) == ["red star", "a </textarea>", "דג אדום"]
    third = page.context.new_page()
    third.goto(url)
    assert third.locator("#count").inner_text() == "0 of 3 ticked"
