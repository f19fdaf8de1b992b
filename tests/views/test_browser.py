"""The inspector and the panel in a real browser: alone, in Notebook 6 and in JupyterLab 4."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from helpers import tiny
from helpers.captions import claim, example

from v2t_lib.views.evidence_page import save_evidence_page
from v2t_lib.views.inspector import save_page

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
WORDS = ("red", "star", "red", "</b>")  # the last one attends uniformly
FRAME = (120, 120, 120)
HOT = [round(0.35 * f + 0.65 * c) for f, c in zip(FRAME, (252, 255, 164), strict=True)]


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or pytest.fail("expected Chromium on the path; install it")
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


class Visit:
    """A page whose errors are collected; none may be left at the end."""

    def __init__(self, browser, url, offline=False, **options):
        self.context = browser.new_context(offline=offline, **options)
        self.page, self.errors = self.context.new_page(), []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(url)

    def close(self):
        self.context.close()


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


def test_a_page_alone_and_offline(chromium, page_url):
    visit = Visit(chromium, page_url, offline=True, reduced_motion="reduce")
    cards = visit.page.locator("article")
    assert cards.count() == 3
    choose_words_one_by_one(cards.nth(0))
    assert "close to uniform" not in cards.nth(0).inner_text()
    cards.nth(0).locator(".words button").nth(3).click()
    assert "close to uniform" in cards.nth(0).inner_text()
    assert near(pixel(cards.nth(1), 0.1, 0.1), HOT)  # a caption's sharpest word is shown at first
    assert "no words" in cards.nth(2).inner_text()
    assert visit.errors == []
    visit.close()


def test_keys_slider_and_play(chromium, page_url):
    visit = Visit(chromium, page_url, offline=True, reduced_motion="reduce")
    card, keys = visit.page.locator("article").first, visit.page.keyboard
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
    visit.page.mouse.move(box["x"] + box["width"] * 0.36, middle)
    visit.page.mouse.down()
    visit.page.mouse.move(box["x"] + box["width"] - 3, middle, steps=5)
    visit.page.mouse.up()
    assert frame_of(card) == 3
    card.locator("canvas").focus()
    keys.press(" ")
    assert play.get_attribute("aria-label") == "pause"
    visit.page.wait_for_function("() => +document.querySelector('input').value === 1")
    keys.press(" ")
    stopped = frame_of(card)
    visit.page.wait_for_timeout(500)
    assert frame_of(card) == stopped
    card.locator("button[aria-label=loop]").click()
    play.click()
    visit.page.wait_for_selector("article:first-child button[aria-label=play]")
    assert frame_of(card) == 3  # without the loop it stops at the end
    assert visit.errors == []
    visit.close()


def test_opacity_and_the_mean_over_words(chromium, page_url):
    visit = Visit(chromium, page_url, offline=True, reduced_motion="reduce")
    card = visit.page.locator("article").first
    card.locator("canvas").focus()
    visit.page.keyboard.press("4")
    card.locator("input[aria-label='opacity of the heat map']").fill("0")
    assert near(pixel(card, 0.9, 0.9), FRAME)
    card.locator("input[aria-label='opacity of the heat map']").fill("0.65")
    # Cell 0 has (1 + 0 + 0 + 1/8) / 4 on average, more than the last word gives it; cell 3 less.
    assert near(pixel(card, 0.1, 0.1), HOT) and near(pixel(card, 0.9, 0.9), HOT)
    card.locator("input[type=checkbox]").check()
    assert near(pixel(card, 0.1, 0.1), FRAME) and near(pixel(card, 0.9, 0.9), HOT)
    visit.close()


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


def test_claims_are_marked_in_the_inspector(chromium, tmp_path):
    found = claim(LIFTS, unlike_training=True)
    save_page(tmp_path / "page.html", [example(WORDS), found])
    visit = Visit(chromium, f"file://{tmp_path}/page.html", offline=True, reduced_motion="reduce")
    card = visit.page.locator("article").nth(1)
    check_marks(card.locator(".words button").all())
    assert "Can't tell: the model doesn't know “zebra”." in card.inner_text()
    assert "⚠ The clip is unlike the training data." in card.inner_text()
    assert card.locator(".facts").inner_text().startswith("“star”: 20 times less likely")
    card.locator("canvas").focus()
    visit.page.keyboard.press("2")
    assert card.locator(".facts").inner_text().startswith("“red”: 7.4 times as likely")
    card.locator("button", has_text="peak").click()
    assert frame_of(card) == found.frame
    assert "unlike" not in visit.page.locator("article").first.inner_text()
    assert visit.errors == []
    visit.close()


def test_a_page_of_evidence_on_screen_on_paper_and_on_a_phone(chromium, tmp_path):
    captioner = tiny.captioner()
    save_evidence_page(tmp_path / "page.html", [claim(LIFTS)], captioner, "tiny.keras")
    visit = Visit(chromium, f"file://{tmp_path}/page.html", offline=True, reduced_motion="reduce")
    page = visit.page
    check_marks(page.locator("p.marks span").all())
    check_marks(page.locator("article .words button").all())
    script = "() => [...document.images].every((image) => image.naturalWidth > 0)"
    assert page.evaluate(script) and page.locator("article").is_visible()
    page.emulate_media(media="print")
    assert page.locator(".evidence").is_visible() and not page.locator("article").is_visible()
    page.emulate_media(media="screen")
    page.set_viewport_size({"width": 360, "height": 700})
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360
    assert visit.errors == []
    visit.close()


def test_dark_mode_and_a_phone(chromium, page_url):
    visit = Visit(chromium, page_url, color_scheme="dark", viewport={"width": 360, "height": 700})
    script = "() => [getComputedStyle(document.body).color, document.documentElement.scrollWidth]"
    colour, width = visit.page.evaluate(script)
    assert colour == "rgb(255, 255, 255)" and width <= 360
    visit.page.wait_for_function("() => +document.querySelector('input').value > 0")  # it plays
    visit.page.emulate_media(color_scheme="light")
    assert visit.page.evaluate(script)[0] == "rgb(0, 0, 0)"
    visit.close()


CELLS = [
    "import v2t_lib as v2t\nfrom helpers import tiny\n"
    "from helpers.captions import example\n"
    f"v2t.inspect(example({WORDS!r}))",
    "from v2t_lib.models.verifier import VerifierState\n"
    "captioner = tiny.captioner()\n"
    "captioner.verifier = VerifierState(tiny.null_memory(captioner))\n"
    "v2t.panel({'tiny': captioner}, {'noise': tiny.frames(1)[0]}, {'noise': 'a cross a'})",
]
FRONT_ENDS = {
    "notebook6": ["-m", "notebook", "--NotebookApp.token="],
    "lab": ["-m", "jupyterlab", "--IdentityProvider.token=", "--expose-app-in-browser"],
}


@pytest.fixture(params=FRONT_ENDS)
def front_end(request, tmp_path):
    """A running server of one front end, with the cells in `cells.ipynb`."""
    cells = [
        {"cell_type": "code", "id": f"c{n}", "metadata": {}, "source": s, "outputs": []}
        | {"execution_count": None}
        for n, s in enumerate(CELLS)
    ]
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": spec}, "cells": cells}
    (tmp_path / "cells.ipynb").write_text(json.dumps(book))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = {name: str(tmp_path / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")}
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    # One environment a front end, made beside the one that runs the tests.
    python = Path(sys.prefix) / request.param / "bin" / "python"
    command = [python, *FRONT_ENDS[request.param], "--allow-root", "--no-browser", f"--port={port}"]
    with open(tmp_path / "server.log", "w") as log:
        server = subprocess.Popen(
            command,
            cwd=tmp_path,
            stdout=log,
            stderr=log,
            env=os.environ | home | {"PYTHONPATH": paths},
        )
    url = f"http://127.0.0.1:{port}"
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{url}/api/status", timeout=5).close()
            break
        except OSError:
            assert server.poll() is None, (tmp_path / "server.log").read_text()
            time.sleep(0.1)
    yield request.param, url
    server.terminate()
    server.wait(20)


def run_all(page, name):
    if name == "notebook6":
        page.wait_for_function("() => window.Jupyter?.notebook?.kernel?.is_connected()")
        page.wait_for_timeout(1000)
        page.evaluate("() => void Jupyter.notebook.execute_all_cells()")
    else:
        page.wait_for_selector(".jp-Notebook .jp-CodeCell")
        page.get_by_text("| Idle").wait_for()
        page.evaluate("() => void window.jupyterapp.commands.execute('notebook:run-all-cells')")


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_in_a_notebook(chromium, front_end):
    name, url = front_end
    path = "notebooks" if name == "notebook6" else "lab/tree"
    visit = Visit(chromium, f"{url}/{path}/cells.ipynb", viewport={"width": 1200, "height": 2400})
    page = visit.page
    page.set_default_timeout(60_000)
    run_all(page, name)
    inspector = page.frame_locator(".output iframe, .jp-OutputArea iframe").first
    card = inspector.locator("article").first
    card.wait_for()
    assert page.locator(".output_png img, .jp-RenderedImage img").count() == 1
    pause = card.locator("button[aria-label=pause]")
    if pause.count():
        pause.click()
    choose_words_one_by_one(card)
    card.locator("canvas").focus()
    page.keyboard.press("2")
    page.keyboard.press("ArrowRight")
    assert card.locator(".facts").inner_text().startswith("“star”")
    # The frame is as high as its page, so that nothing scrolls.
    script = "() => document.documentElement.scrollHeight - innerHeight"
    until(lambda: card.evaluate(script) <= 1)

    panel = page.locator(".widget-vbox", has_text="or upload").last
    panel.locator("select").first.select_option("noise")
    until(lambda: "Clip: noise" in panel.inner_text())
    panel.locator("select").nth(2).select_option("the reference (teacher forcing)")
    panel.locator("button", has_text="Caption").click()
    cards = panel.frame_locator("iframe").locator("article")
    until(lambda: panel.locator("iframe").count() > 0, 60)
    cards.nth(1).wait_for()
    assert cards.count() == 2 and "reference scored by tiny" in cards.nth(1).inner_text()
    words = cards.nth(1).locator(".words button")
    assert words.all_inner_texts() == ["a", "cross", "a"]
    cards.nth(1).locator("canvas").focus()
    page.keyboard.press("2")
    until(lambda: "“cross”" in cards.nth(1).locator(".facts").inner_text())
    panel.locator("input[type=text]").last.fill("a red zebra")
    panel.locator("button", has_text="Check claim").click()
    until(lambda: "claim checked by tiny" in cards.first.inner_text(), 60)
    check_unknown = cards.first.locator(".words button").last.evaluate(
        "(word) => getComputedStyle(word, '::before').content"
    )
    assert check_unknown == '"?"'
    if "V2T_SCREENSHOTS" in os.environ:
        page.screenshot(path=Path(os.environ["V2T_SCREENSHOTS"]) / f"{name}.png")
    assert visit.errors == []
    visit.close()
