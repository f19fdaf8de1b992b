"""The training panel and the dataset browser in Notebook 6 and in JupyterLab 4."""

import os
from pathlib import Path

import numpy as np
import pytest
import test_browser
from test_browser import Visit, chromium, front_end, picture, run_all, until  # noqa: F401

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
    # As many epochs as never end by themselves before the button stops them.
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
def test_a_button_stops_training_while_its_cell_runs(cells, chromium, front_end):  # noqa: F811
    name, url = front_end
    path = "notebooks" if name == "notebook6" else "lab/tree"
    visit = Visit(chromium, f"{url}/{path}/cells.ipynb", viewport={"width": 1200, "height": 3000})
    page = visit.page
    page.set_default_timeout(120_000)
    run_all(page, name)
    browser = page.locator(".widget-vbox", has=page.locator("select")).first
    browser.get_by_text("1 to 8 of 12 clips").wait_for()
    assert browser.locator("img").count() == 8
    assert np.ptp(picture(browser.locator("img").first)) > 100

    panel = page.locator(".widget-vbox", has_text="Attention for").last
    panel.wait_for()
    panel.get_by_text("written after epoch 2").wait_for()
    assert (
        panel.locator("img").count() == 2 and page.get_by_text("everything is saved:").count() == 0
    )
    if "V2T_SCREENSHOTS" in os.environ:
        page.screenshot(path=Path(os.environ["V2T_SCREENSHOTS"]) / f"widgets-{name}.png")
    if name == "notebook6":
        panel.locator("button", has_text="Stop and save").click()
    else:  # ipykernel 7 hands clicks over after the cell: the panel says what to do instead
        assert panel.locator("button").count() == 0 or not panel.locator("button").is_visible()
        panel.get_by_text("to stop and save, interrupt the kernel").wait_for()
        page.locator(".jp-InputPrompt").first.click()
        page.keyboard.press("Escape")
        page.keyboard.press("i")
        page.keyboard.press("i")
    page.get_by_text("everything is saved:").wait_for()
    page.get_by_text("checkpoints: True").wait_for()
    if name == "notebook6":
        assert panel.locator("button", has_text="Stop and save").is_disabled()

    browser.locator("button").nth(1).click()
    until(lambda: "9 to 12 of 12 clips" in browser.inner_text(), 60)
    browser.locator("select").nth(1).select_option(index=1)
    until(lambda: "1 to 1 of 1 clips" in browser.inner_text(), 60)
    assert "no clip" in browser.inner_text() and "11.gif" in browser.inner_text()
    assert visit.errors == []
    visit.close()
