"""The inspector, the panel, the dataset browser and the training panel in Notebook 6 and in
JupyterLab 4."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from helpers.project import ROOT
from test_browser import WORDS, choose_words_one_by_one, look_of

pytestmark = pytest.mark.browser

#: The training's epochs are as many as never end by themselves.
CELLS = [
    "import v2t_lib as v2t\nfrom helpers import tiny\n"
    "from helpers.captions import example\n"
    f"v2t.inspect(example({WORDS!r}))",
    "v2t.panel({'tiny': tiny.judge()}, {'noise': tiny.frames(1)[0]}, {'noise': 'a cross a'})",
    "from pathlib import Path\n"
    "from helpers.clips import write_gif\n"
    "from v2t_lib.captions_file import read_captions\n"
    "from v2t_lib.shards.pack import pack\n"
    "from v2t_lib.shards.reader import ShardDataset\n"
    "rows = []\n"
    "for n in range(12):\n"
    "    write_gif(Path(f'{n}.gif'), n)\n"
    "    rows.append(f'{n}.gif\\t{tiny.SENTENCES[n % 3]}')\n"
    "Path('11.gif').write_bytes(b'GIF89a')\n"
    "Path('captions.tsv').write_text('\\n'.join(rows))\n"
    "records = read_captions('captions.tsv')\n"
    "pack(records, 'captions.tsv', 'shards', tiny.CLIP, workers=1)\n"
    "examples = list(ShardDataset.open('shards').examples())[:2]",
    "from v2t_lib.views.dataset_browser import DatasetBrowser\n"
    "DatasetBrowser({'train': records}, {'train': 'shards'})",
    "import keras, time\n"
    "from v2t_lib.errors import TrainingError\n"
    "from v2t_lib.training.fit import fit\n"
    "from v2t_lib.training.recipe import TrainingOptions\n"
    "from v2t_lib.views.training_panel import TrainingPanel\n"
    "keras.utils.set_random_seed(0)\n"
    "wait = lambda batch, logs: time.sleep(0.2)\n"
    "slow = keras.callbacks.LambdaCallback(on_train_batch_end=wait)\n"
    "panel = TrainingPanel('run', examples)\n"
    "options = TrainingOptions(epochs=1000, batch_size=4)\n"
    "try:\n"
    "    fit(tiny.captioner(), 'shards', Path('run/captioner.keras'), options, 'shards',\n"
    "        callbacks=[slow, panel])\n"
    "except TrainingError as error:\n"
    "    print(error)",
    "print('checkpoints:', len(list(Path('run').glob('.captioner-checkpoints/*.npz'))) > 0)",
]
FRONT_ENDS = {
    "notebook6": ["-m", "notebook", "--NotebookApp.token="],
    "lab": ["-m", "jupyterlab", "--IdentityProvider.token=", "--expose-app-in-browser"],
}


def _served(name, folder):
    """A running server of a front end, and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = {key: str(folder / key) for key in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")}
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    # One environment a front end, made beside the one that runs the tests.
    python = Path(sys.prefix) / name / "bin" / "python"
    command = [python, *FRONT_ENDS[name], "--allow-root", "--no-browser", f"--port={port}"]
    with open(folder / "server.log", "w") as log:
        server = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, env=os.environ | home | paths
        )
    for _ in range(300):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api/status", timeout=5).close()
            break
        except OSError:
            assert server.poll() is None, (folder / "server.log").read_text()
            time.sleep(0.1)
    return server, f"http://127.0.0.1:{port}"


@pytest.fixture(params=FRONT_ENDS)
def notebook(request, tmp_path, visit):
    """A front end's name, and its page with a notebook of the `CELLS`, which run."""
    blank = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    cells = [blank | {"id": f"c{n}", "source": s} for n, s in enumerate(CELLS)]
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": spec}, "cells": cells}
    (tmp_path / "cells.ipynb").write_text(json.dumps(book))
    name = request.param
    server, url = _served(name, tmp_path)
    path = "notebooks" if name == "notebook6" else "lab/tree"
    page = visit(f"{url}/{path}/cells.ipynb", viewport={"width": 1200, "height": 4000})
    page.set_default_timeout(120_000)
    if name == "notebook6":
        page.wait_for_function("() => window.Jupyter?.notebook?.kernel?.is_connected()")
        page.wait_for_timeout(1000)
        page.evaluate("() => void Jupyter.notebook.execute_all_cells()")
    else:
        page.wait_for_selector(".jp-Notebook .jp-CodeCell")
        page.get_by_text("| Idle").wait_for()
        page.evaluate("() => void window.jupyterapp.commands.execute('notebook:run-all-cells')")
    yield name, page
    if "V2T_SCREENSHOTS" in os.environ:
        page.screenshot(path=Path(os.environ["V2T_SCREENSHOTS"]) / f"{name}.png")
    server.terminate()
    server.wait(20)


def test_what_notebooks_show(notebook):
    name, page = notebook
    training_is_shown_and_interrupted(name, page)
    # The sheet of the inspector's cell, and the curves.
    assert page.locator(".output_png img, .jp-RenderedImage img").count() == 2
    a_caption_is_inspected(page)
    the_panel_captions_and_checks(page.locator(".widget-vbox", has_text="or upload").last)
    a_data_set_is_browsed(page.locator(".widget-vbox", has_text="verdict").first)


def training_is_shown_and_interrupted(name, page):
    page.get_by_text("written after epoch 2").wait_for()
    page.get_by_text("to stop and save, interrupt the kernel").wait_for()
    shown = page.get_by_text("Attention for").locator("..").locator("img")
    assert shown.count() == 1 and page.get_by_text("everything is saved:").count() == 0
    if name == "notebook6":
        page.evaluate("() => void Jupyter.notebook.kernel.interrupt()")
    else:
        page.locator(".jp-InputPrompt").first.click()
        for key in ("Escape", "i", "i"):
            page.keyboard.press(key)
    page.get_by_text("everything is saved:").wait_for()
    page.get_by_text("checkpoints: True").wait_for()


def a_caption_is_inspected(page):
    inspector = page.frame_locator(".output iframe, .jp-OutputArea iframe").first
    card = inspector.locator("article").first
    pause = card.locator("button[aria-label=pause]")
    if pause.count():
        pause.click()
    choose_words_one_by_one(card)
    card.locator("canvas").focus()
    page.keyboard.press("2")
    page.keyboard.press("ArrowRight")
    assert card.locator(".facts").inner_text().startswith("“star”")
    # The frame is as high as its page, so that nothing scrolls.
    script = "() => document.documentElement.scrollHeight - innerHeight <= 1"
    card.element_handle().owner_frame().wait_for_function(script)


def the_panel_captions_and_checks(panel):
    panel.locator("select").first.select_option("noise")
    panel.get_by_text("Clip: noise").wait_for()
    panel.locator("select").nth(2).select_option("the reference (teacher forcing)")
    panel.locator("button", has_text="Caption").click()
    cards = panel.frame_locator("iframe").locator("article")
    cards.nth(1).wait_for()
    assert cards.count() == 2 and "reference scored by tiny" in cards.nth(1).inner_text()
    words = cards.nth(1).locator(".words button")
    assert words.all_inner_texts() == ["a", "cross", "a"]
    cards.nth(1).locator("canvas").focus()
    panel.page.keyboard.press("2")
    cards.nth(1).locator(".facts", has_text="“cross”").wait_for()
    panel.locator("input[type=text]").last.fill("a red zebra")
    panel.locator("button", has_text="Check claim").click()
    cards.first.get_by_text("claim checked by tiny").wait_for()
    assert look_of(cards.first.locator(".words button").last)[0] == "?"


def a_data_set_is_browsed(browser):
    browser.get_by_text("1 to 8 of 12 clips").wait_for()
    cards = browser.frame_locator("iframe").locator("article")
    assert cards.locator("img").count() == 8
    assert cards.first.locator("img").evaluate("(image) => image.naturalWidth") == 192
    browser.locator("button").nth(1).click()
    browser.get_by_text("9 to 12 of 12 clips").wait_for()
    browser.locator("select").nth(1).select_option(index=1)
    browser.get_by_text("1 to 1 of 1 clips").wait_for()
    cards.filter(has_text="no clip").filter(has_text="11.gif").wait_for()
    assert cards.count() == 1
