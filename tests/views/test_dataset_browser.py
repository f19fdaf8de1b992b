"""The dataset browser: which clips a page shows, found by text, split and verdict."""

import shutil

import numpy as np
import pytest
from helpers import tiny
from helpers.clips import write_gif
from helpers.pages import Parsed, in_the_frame, opened
from helpers.processes import in_this_process
from PIL import Image

from v2t_lib.captions_file import read_captions
from v2t_lib.shards.pack import pack
from v2t_lib.shards.reader import ShardDataset
from v2t_lib.views.dataset_browser import DatasetBrowser


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """Eleven clips of "train", the third of them broken, and one of "val"; four a shard."""
    root = tmp_path_factory.mktemp("data")
    rows = []
    for number in range(12):
        name = f"clip-{number:02d}.gif"
        write_gif(root / name, number)
        rows += [f"{name}\tThe <b>{number}</b> spins", f"{name}\tmore of {number}"]
    (root / "clip-02.gif").write_bytes(b"GIF89a")
    (root / "captions.tsv").write_text("\n".join(rows) + "\n")
    records = read_captions(root / "captions.tsv")
    splits = {"train": records[:11], "val": records[11:]}
    shards = {split: root / "shards" / split for split in splits}
    with pytest.MonkeyPatch.context() as patch, in_this_process():
        patch.setattr("v2t_lib.shards.plan.SOURCES", 4)
        for split, folder in shards.items():
            pack(splits[split], root / "captions.tsv", folder, tiny.CLIP)
    return splits, shards


def cards(browser):
    """Moving picture (None without) and text of each card."""
    articles = in_the_frame(browser.cards.value).split("<article>")[1:]
    pages = [Parsed(article) for article in articles]
    moving = [[image["data-moving"] for image in page.all("img")] for page in pages]
    return [(opened(*m) if m else None, page.text) for m, page in zip(moving, pages, strict=True)]


def sources(browser):
    return [entry.source for entry in browser.found]


def test_pages_show_every_clip_once_with_its_own_frames(packed):
    splits, shards = packed
    browser, seen = DatasetBrowser(splits, shards), {}
    assert browser.position.value == "1 to 8 of 12 clips" and browser.back.disabled
    for _ in range(2):
        shown = zip(browser.found[browser.page * 8 :], cards(browser), strict=False)
        seen |= {entry.source: card for entry, card in shown}
        browser.forward.click()
    assert browser.page == 1 and browser.forward.disabled and len(seen) == 12
    for split, folder in shards.items():
        for example in ShardDataset.open(folder).examples():
            animation, text = seen[example.source]
            assert animation.n_frames == len(example.frames)
            first = np.asarray(animation.convert("RGB").resize((16, 16), Image.Resampling.BOX))
            assert np.abs(first.astype(int) - example.frames[0]).mean() < 16  # WebP is lossy
            assert split in text and "more of" in text and "The <b>" in text


def test_a_clip_that_was_left_out_says_why(packed):
    browser = DatasetBrowser(*packed)
    kinds = [option for option in browser.verdict.options if option not in ("all", "ok")]
    browser.verdict.value = kinds[0]
    assert len(kinds) == 1 and sources(browser) == ["clip-02.gif"]
    ((picture, text),) = cards(browser)
    (missing,) = ShardDataset.open(packed[1]["train"]).info.left_out
    assert picture is None and kinds[0] in text and missing.why.split()[0] in text


def test_text_and_split_select(packed):
    browser = DatasetBrowser(*packed)
    browser.split.value = "val"
    assert sources(browser) == ["clip-11.gif"]
    browser.split.value, browser.text.value = "all", " MORE of 1"
    assert sources(browser) == ["clip-01.gif", "clip-10.gif", "clip-11.gif"]
    browser.text.value = "clip-07"
    assert sources(browser) == ["clip-07.gif"]
    browser.text.value = "zebra"
    assert sources(browser) == [] and browser.position.value == "no such clip"
    assert cards(browser) == [] and browser.back.disabled and browser.forward.disabled


@pytest.fixture
def earlier(packed, tmp_path):
    """The shards of "train" as an earlier version left them."""
    folder = shutil.copytree(packed[1]["train"], tmp_path / "train")
    for path in folder.glob("0*.json"):
        path.unlink()
    return folder


def test_clips_packed_by_an_earlier_version_are_all_shown(packed, earlier):
    splits, _ = packed
    browser = DatasetBrowser({"train": splits["train"]}, {"train": earlier})
    browser.show(1)
    assert len(cards(browser)) == 3 and all(picture for picture, _ in cards(browser))
    browser.show(0)
    shown = [picture is not None for picture, _ in cards(browser)]
    assert shown == [n != 2 for n in range(8)] and browser.found[2].why


def test_shards_that_are_gone_are_told_in_the_widget(packed, tmp_path):
    splits, shards = packed
    browser = DatasetBrowser(splits, shards)
    browser.shards = dict.fromkeys(shards, tmp_path)
    browser.show(0)
    assert "DataError" in browser.position.value
