"""The training panel and the dataset browser in Notebook 6 and in JupyterLab 4."""

import pytest

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


def test_training_is_shown_and_interrupted_and_a_data_set_browsed(notebook):
    name, page = notebook
    browser = page.locator(".widget-vbox", has=page.locator("select")).first
    browser.get_by_text("1 to 8 of 12 clips").wait_for()
    images = browser.frame_locator("iframe").locator("article img")
    images.nth(7).wait_for()
    assert images.count() == 8
    assert images.first.evaluate("(image) => image.naturalWidth") == 192

    page.get_by_text("written after epoch 2").wait_for()
    page.get_by_text("to stop and save, interrupt the kernel").wait_for()
    shown = page.get_by_text("Attention for").locator("..").locator("img")
    assert shown.count() == 1 and page.get_by_text("everything is saved:").count() == 0
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
    browser.get_by_text("9 to 12 of 12 clips").wait_for()
    browser.locator("select").nth(1).select_option(index=1)
    browser.get_by_text("1 to 1 of 1 clips").wait_for()
    card = browser.frame_locator("iframe").locator("article")
    card.filter(has_text="no clip").filter(has_text="11.gif").wait_for()
    assert card.count() == 1
