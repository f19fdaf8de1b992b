import os
import shutil

import numpy as np
import pytest
from helpers.clips import write_gif
from helpers.fatal_decoder import fatal
from PIL import Image

from v2t_lib.captions_file import read_captions
from v2t_lib.clips.decode import decode_clip
from v2t_lib.errors import DataError
from v2t_lib.shards.example import PackedClip
from v2t_lib.shards.format import DATASET_FILE, DatasetInfo
from v2t_lib.shards.pack import DRAWN_FILE, pack
from v2t_lib.shards.reader import ShardDataset
from v2t_lib.shards.workers import Workers
from v2t_lib.shards.writer import ShardWriter
from v2t_lib.specs import ClipSpec

SPEC = ClipSpec(frames=4, height=16, width=16)


@pytest.fixture
def folder(tmp_path):
    """Eight good clips and four bad ones, each with a caption."""
    for number in range(8):
        write_gif(tmp_path / f"{number}.gif", number)
    Image.linear_gradient("L").save(tmp_path / "still.gif")
    (tmp_path / "page.gif").write_text("<html>")
    (tmp_path / "cut.gif").write_bytes((tmp_path / "0.gif").read_bytes()[:900])
    names = [f"{number}.gif" for number in range(8)]
    names[3:3] = ["still.gif", "page.gif", "cut.gif", "none.gif"]
    rows = [f"{name}\tA clip, {name[0]}!\n" for name in names]
    (tmp_path / "captions.tsv").write_text("".join(rows))
    return tmp_path


def packed(folder, **options):
    captions = folder / "captions.tsv"
    return pack(read_captions(captions), captions, folder / "shards", SPEC, **options)


def test_captions_without_a_word_are_counted_and_said(folder, capsys):
    rows = [f"{number}.gif\t{caption}\n" for number, caption in enumerate(("a cat", "😀", "❤️ !"))]
    (folder / "captions.tsv").write_text("".join(rows), encoding="utf-8")
    assert packed(folder, workers=1).clips == 3
    assert "2 of 3 captions have no word at all" in capsys.readouterr().err


def test_good_clips_are_packed_and_bad_ones_named(folder):
    info = packed(folder, workers=2)
    assert info.clips == info.captions == 8
    assert {entry.source: entry.kind for entry in info.left_out} == {
        "still.gif": "still",
        "page.gif": "not-a-clip",
        "cut.gif": "corrupt",
        "none.gif": "gone",
    }
    assert DatasetInfo.load(folder / "shards") == info
    assert (folder / "page.gif").exists()


def test_examples_come_back_as_decoded(folder):
    packed(folder)
    examples = list(ShardDataset.open(folder / "shards").examples())
    assert [example.source for example in examples] == [f"{n}.gif" for n in range(8)]
    for example in examples:
        clip = decode_clip((folder / example.source).read_bytes(), SPEC)
        error = np.abs(example.frames.astype(int) - clip.frames)
        assert error.mean() < 5 and error.max() < 40  # JPEG's, at the stored quality
        np.testing.assert_allclose(example.seconds, clip.seconds, rtol=1e-6)
        assert example.captions == (f"A clip, {example.source[0]}!",)
        assert example.masks is None


def test_masks_travel_with_their_clips(folder):
    (folder / "masks").mkdir()
    (folder / "masks" / DRAWN_FILE).touch()
    red, none = Image.new("RGB", (32, 32)), Image.new("RGB", (32, 32))
    red.paste((255, 0, 0), (0, 0, 16, 16))
    red.paste((0, 255, 0), (24, 24, 32, 32))
    red.save(folder / "masks" / "0.gif", save_all=True, append_images=[none], duration=[200, 300])
    packed(folder)
    masks = next(ShardDataset.open(folder / "shards").examples()).masks
    assert masks.shape == (4, 16, 16, 3) and masks.dtype == bool
    # Sampled at 62.5, 187.5, 312.5 and 437.5 ms of 500: two moments with objects, two without.
    assert masks[:2, :8, :8, 0].all() and masks[:2, ..., 0].sum() == 2 * 64
    assert masks[:2, 12:, 12:, 1].all() and masks[:2, ..., 1].sum() == 2 * 16
    assert not masks[2:].any() and not masks[..., 2].any()


def test_a_users_folder_named_masks_is_a_folder(folder):
    (folder / "masks").mkdir()
    whole = packed(folder)
    for content in (b"junk", (folder / "1.gif").read_bytes()):
        (folder / "masks" / "0.gif").write_bytes(content)
        shutil.rmtree(folder / "shards")
        info = packed(folder)
        assert (info.clips, info.masks) == (whole.clips, 0)
    (folder / "masks" / DRAWN_FILE).touch()
    (folder / "masks" / "0.gif").write_bytes(b"junk")  # costs the mask, not the clip
    shutil.rmtree(folder / "shards")
    info = packed(folder)
    assert (info.clips, info.masks) == (whole.clips, 0)


def test_an_unfinished_pack_is_not_read_and_goes_on(folder, monkeypatch):
    monkeypatch.setattr(ShardWriter, "clips_per_shard", 3)
    whole = packed(folder)
    names = [shard.name for shard in whole.shards]
    assert len(names) == 4
    contents = {name: (folder / "shards" / name).read_bytes() for name in names}
    (folder / "shards").rename(folder / "whole")

    written, again, append = [], [], ShardWriter.append

    def stop_within_the_third(self, example):
        if len(written) == 4:
            raise KeyboardInterrupt
        written.append(append(self, example))
        return written[-1]

    monkeypatch.setattr(ShardWriter, "append", stop_within_the_third)
    with pytest.raises(KeyboardInterrupt):
        packed(folder)
    assert set(written) == {names[0], *names[2:3]}  # none of the second's clips decodes
    with pytest.raises(DataError, match="run `v2t pack`"):
        DatasetInfo.load(folder / "shards")

    def note(self, example):
        again.append(append(self, example))
        return again[-1]

    monkeypatch.setattr(ShardWriter, "append", note)
    assert packed(folder) == whole
    assert sorted(set(again)) == names[2:]
    assert {name: (folder / "shards" / name).read_bytes() for name in names} == contents
    assert {p.name for p in (folder / "shards").iterdir()} == {"dataset.json", *names}


def test_a_finished_pack_is_not_done_twice_nor_overwritten(folder):
    info = packed(folder)
    before = (folder / "shards" / "00000.tfrecord").stat().st_mtime_ns
    assert packed(folder) == info
    assert (folder / "shards" / "00000.tfrecord").stat().st_mtime_ns == before
    (folder / "captions.tsv").write_text("0.gif\tanother caption\n")
    with pytest.raises(DataError, match="another data set"):
        packed(folder)


def test_a_clip_that_was_replaced_since_is_said(folder, capsys):
    """Of the same name and size even."""
    packed(folder)
    capsys.readouterr()
    packed(folder)
    assert capsys.readouterr().err == ""
    later = (folder / "shards" / DATASET_FILE).stat().st_mtime + 9
    os.utime(folder / "3.gif", (later, later))
    packed(folder)
    said = capsys.readouterr().err
    assert "1 of 12 clips are newer than these shards, '3.gif' for one" in said


def test_nothing_that_decodes_is_an_error(folder):
    (folder / "captions.tsv").write_text("page.gif\ta caption\nnone.gif\tanother\n")
    with pytest.raises(DataError, match=r"2 left out, the first page\.gif \(not-a-clip"):
        packed(folder)


def test_a_worker_that_dies_costs_one_clip():
    paths = [(f"{number}.gif", SPEC) for number in range(12)]
    crew = Workers(2, fatal)
    results = list(crew.run(paths))
    crew.close()
    assert results[5] == (
        "corrupt",
        "expected a clip to decode. Received: its decoder process died",
    )
    kept = [result.masks.decode() for result in results if isinstance(result, PackedClip)]
    assert kept == [f"{number}.gif" for number in range(12) if number != 5]
