"""The training panel and the dataset browser in Notebook 6 and in JupyterLab 4."""

import os
from pathlib import Path

import pytest
import test_browser
from test_browser import Visit, chromium, front_end, run_all, until  # noqa: F401

pytestmark = pytest.mark.browser

CELLS = [
    "from pathlib import Path\n"
    "import keras, numpy as np\n"
    "from helpers import tiny\n"
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
    # As many epochs as never end by themselves.
    "import time\n"
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


@pytest.fixture(autouse=True)
def cells(monkeypatch):
    """The notebook that the front end opens has these cells."""
    monkeypatch.setattr(test_browser, "CELLS", CELLS)


@pytest.mark.usefixtures("cells")
def test_training_is_shown_and_interrupted_and_a_data_set_browsed(chromium, front_end):  # noqa: F811
    name, url = front_end
    path = "notebooks" if name == "notebook6" else "lab/tree"
    visit = Visit(chromium, f"{url}/{path}/cells.ipynb", viewport={"width": 1200, "height": 3000})
    page = visit.page
    page.set_default_timeout(120_000)
    run_all(page, name)
    browser = page.locator(".widget-vbox", has=page.locator("select")).first
    browser.get_by_text("1 to 8 of 12 clips").wait_for()
    images = browser.frame_locator("iframe").locator("article img")
    images.nth(7).wait_for()
    assert images.count() == 8
    assert images.first.evaluate("(image) => image.naturalWidth") == 192

    page.get_by_text("written after epoch 2").wait_for()
    page.get_by_text("to stop and save, interrupt the kernel").wait_for()
    shown = page.get_by_text("Attention for").locator("..").locator("img")
    assert shown.count() == 2 and page.get_by_text("everything is saved:").count() == 0
    if "V2T_SCREENSHOTS" in os.environ:
        page.screenshot(path=Path(os.environ["V2T_SCREENSHOTS"]) / f"widgets-{name}.png")
    if name == "notebook6":
        page.evaluate("() => void Jupyter.notebook.kernel.interrupt()")
    else:
        page.locator(".jp-InputPrompt").first.click()
        page.keyboard.press("Escape")
        page.keyboard.press("i")
        page.keyboard.press("i")
    page.get_by_text("everything is saved:").wait_for()
    page.get_by_text("checkpoints: True").wait_for()

    browser.locator("button").nth(1).click()
    until(lambda: "9 to 12 of 12 clips" in browser.inner_text(), 60)
    browser.locator("select").nth(1).select_option(index=1)
    until(lambda: "1 to 1 of 1 clips" in browser.inner_text(), 60)
    card = browser.frame_locator("iframe").locator("article")
    until(lambda: "no clip" in card.first.inner_text() and "11.gif" in card.first.inner_text())
    assert card.count() == 1 and visit.errors == []
    visit.close()
