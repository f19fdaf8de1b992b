import itertools
import json
import multiprocessing
import os
import shutil

import numpy as np
import pytest
from helpers.clips import write_gif
from helpers.shards import sources_in
from PIL import Image

from v2t_lib.captions_file import read_captions
from v2t_lib.cli.main import main
from v2t_lib.clips.decode import decode_clip
from v2t_lib.errors import DataError
from v2t_lib.shards import slices
from v2t_lib.shards.example import DRAWN_FILE
from v2t_lib.shards.format import DATASET_FILE, DatasetInfo
from v2t_lib.shards.pack import pack
from v2t_lib.shards.reader import ShardDataset
from v2t_lib.shards.slices import SliceInfo
from v2t_lib.specs import ClipSpec

SPEC = ClipSpec(frames=4, height=16, width=16)

pytestmark = pytest.mark.usefixtures("in_this_process")


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


@pytest.fixture
def small(monkeypatch):
    """Slices of three sources."""
    monkeypatch.setattr("v2t_lib.shards.plan.SOURCES", 3)


def packed(folder, out="shards", spec=SPEC, **options) -> DatasetInfo:
    captions = folder / "captions.tsv"
    return pack(read_captions(captions), captions, folder / out, spec, **options)


def files_in(folder) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != ".v2t-lock"}


def test_captions_without_a_word_are_counted_and_said(folder, capsys):
    rows = [f"{number}.gif\t{caption}\n" for number, caption in enumerate(("a cat", "😀", "❤️ !"))]
    (folder / "captions.tsv").write_text("".join(rows), encoding="utf-8")
    assert packed(folder).clips == 3
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
    for number, content in enumerate((b"junk", (folder / "1.gif").read_bytes())):
        (folder / "masks" / "0.gif").write_bytes(content)
        info = packed(folder, f"shards-{number}")
        assert (info.clips, info.masks) == (whole.clips, 0)
    (folder / "masks" / DRAWN_FILE).touch()
    (folder / "masks" / "0.gif").write_bytes(b"junk")  # costs the mask, not the clip
    info = packed(folder, "shards-2")
    assert (info.clips, info.masks) == (whole.clips, 0)


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


@pytest.mark.parametrize("copy", [shutil.copy, os.link, os.symlink])
def test_a_copy_of_a_clip_that_is_trained_on_is_said(folder, capsys, copy):
    copy(folder / "0.gif", folder / "copy.gif")
    captions = folder / "captions.tsv"
    packed(folder, "o/train")
    assert "same bytes" not in capsys.readouterr().err
    for name, said in (("5.gif", None), ("copy.gif", "'copy.gif' as '0.gif' for one")):
        (folder / "test.tsv").write_text(f"{name}\ta clip\n")
        records = read_captions(folder / "test.tsv")
        if said is None:
            (folder / "5.gif").write_bytes((folder / "5.gif").read_bytes() + b"\0")
        pack(records, captions, folder / "o" / name, SPEC)
        printed = capsys.readouterr().err
        assert ("same bytes" in printed) is bool(said) and (said or "") in printed


def test_nothing_that_decodes_is_an_error(folder):
    (folder / "captions.tsv").write_text("page.gif\ta caption\nnone.gif\tanother\n")
    with pytest.raises(DataError, match=r"2 left out, the first page\.gif \(not-a-clip"):
        packed(folder)


@pytest.mark.parametrize("kill", range(1, 25))
def test_killed_at_whatever_step_it_ends_as_one_that_never_was(folder, small, monkeypatch, kill):
    """Before and after every step that leaves something on the disk."""
    whole = packed(folder, "whole")
    steps = itertools.count(1)

    def killed(step):
        def stepping(*args, **options):
            if next(steps) >= kill:
                raise KeyboardInterrupt
            return step(*args, **options)

        return stepping

    with monkeypatch.context() as patch:
        for home, name in (
            (slices.SliceWriter, "add"),
            (slices.os, "fsync"),
            (slices.os, "replace"),
            (SliceInfo, "save"),
            (DatasetInfo, "save"),
        ):
            patch.setattr(home, name, killed(getattr(home, name)))
        patch.setattr(slices.SliceWriter, "close", lambda self: None)  # a kill can't tidy up
        with pytest.raises(KeyboardInterrupt):
            packed(folder)
    with pytest.raises(DataError, match="run `v2t pack`"):
        DatasetInfo.load(folder / "shards")
    done = {path.name: path.stat().st_mtime_ns for path in (folder / "shards").glob("0*.json")}
    assert packed(folder) == whole == DatasetInfo.load(folder / "shards")
    assert files_in(folder / "shards") == files_in(folder / "whole")
    assert all((folder / "shards" / name).stat().st_mtime_ns == at for name, at in done.items())


def test_what_is_done_is_not_done_again(folder, monkeypatch):
    info, before = packed(folder), files_in(folder / "shards")
    monkeypatch.setattr(slices.SliceWriter, "finish", None)
    assert packed(folder) == info and files_in(folder / "shards") == before


def test_a_clip_that_has_come_goes_into_a_further_slice_and_all_others_stay(folder, small):
    """Even where the other clips are no longer there."""
    before = packed(folder)
    shards = {shard.name: (folder / "shards" / shard.name).read_bytes() for shard in before.shards}
    (folder / "7.gif").rename(folder / "none.gif")
    for number in range(7):
        (folder / f"{number}.gif").unlink()
    after = packed(folder)
    assert after.clips == 9 and after.shards[:-1] == before.shards
    assert {name: (folder / "shards" / name).read_bytes() for name in shards} == shards
    assert sources_in(folder / "shards") == [*(f"{n}.gif" for n in range(8)), "none.gif"]
    assert [entry.source for entry in after.left_out] == ["still.gif", "page.gif", "cut.gif"]
    assert after.digest != before.digest and packed(folder) == after


def test_a_clip_that_has_come_but_is_none_changes_nothing(folder):
    packed(folder)
    before = files_in(folder / "shards")
    (folder / "none.gif").symlink_to(folder / "nowhere")  # not there: not even looked at
    packed(folder)
    (folder / "none.gif").unlink()
    (folder / "none.gif").write_text("<html>")
    info = packed(folder)
    assert {entry.source: entry.kind for entry in info.left_out}["none.gif"] == "not-a-clip"
    assert (
        before.items()
        <= (files_in(folder / "shards") | {"dataset.json": before["dataset.json"]}).items()
    )


def test_rows_that_were_added_go_into_further_slices(folder, small):
    packed(folder)
    write_gif(folder / "8.gif", 8)
    captions = folder / "captions.tsv"
    captions.write_text("8.gif\tthe first row\n" + captions.read_text())
    info = packed(folder)
    assert sources_in(folder / "shards") == [f"{number}.gif" for number in range(9)]
    assert [shard.name for shard in info.shards][-1] == "00005.tfrecord"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda text: text.replace("A clip, 0", "Another"),
            r"captions.*1 of them, '0.gif'",
        ),
        (lambda text: "".join(text.splitlines(True)[1:]), r"sources.*for 1 of them, '0.gif'"),
        (lambda text: "1.gif\tA clip, 1!\n8.gif\tA clip\n", "others for 11 of them"),
    ],
)
def test_captions_of_another_data_set_are_refused_and_nothing_is_touched(folder, change, said):
    packed(folder)
    before = files_in(folder / "shards")
    captions = folder / "captions.tsv"
    captions.write_text(change(captions.read_text()))
    with pytest.raises(DataError, match=said + r".*name another folder"):
        packed(folder)
    assert files_in(folder / "shards") == before


def test_clips_of_another_size_are_refused_even_before_a_folder_is_finished(
    folder, small, monkeypatch
):
    """A pack that is nearly done isn't thrown away because one flag differs."""
    with monkeypatch.context() as patch:
        patch.setattr(DatasetInfo, "save", lambda *_: exec("raise KeyboardInterrupt"))
        with pytest.raises(KeyboardInterrupt):
            packed(folder)
    before = files_in(folder / "shards")
    with pytest.raises(DataError, match=r"frames=4.*Received: .*frames=5.*name another folder"):
        packed(folder, spec=ClipSpec(5, 16, 16))
    assert files_in(folder / "shards") == before
    assert packed(folder).clips == 8


def test_strangers_files_are_never_touched(folder, small):
    strangers = {
        "2023-train.tfrecord": b"of another tool",
        "00000-of-00010.tfrecord": b"TensorFlow's own",
        "notes.tmp": b"mine",
        "sealed.json": b"{}",
        "00000.open": b"mine too",
    }
    (folder / "shards").mkdir()
    for name, content in strangers.items():
        (folder / "shards" / name).write_bytes(content)
    (folder / "none.gif").write_bytes((folder / "7.gif").read_bytes())
    (folder / "none.gif").rename(folder / "later.gif")
    for _ in range(2):
        assert packed(folder).clips in (8, 9)
        assert strangers.items() <= files_in(folder / "shards").items()
        (folder / "none.gif").write_bytes((folder / "7.gif").read_bytes())


def test_a_strangers_shard_of_our_name_is_refused(folder):
    packed(folder, "other")
    (folder / "shards").mkdir()
    for content in (b"of another tool", (folder / "other" / "00000.tfrecord").read_bytes()):
        (folder / "shards" / "00000.tfrecord").write_bytes(content)
        captions = folder / "captions.tsv"
        captions.write_text("still.gif\tnone\n" + "7.gif\tone\n")
        with pytest.raises(DataError, match="one that wasn't written here; name another"):
            packed(folder)
        assert (folder / "shards" / "00000.tfrecord").read_bytes() == content


def test_a_data_set_of_an_earlier_version_opens_and_is_not_added_to(folder):
    info = packed(folder)
    for path in (folder / "shards").glob("0*.json"):
        path.unlink()
    before = files_in(folder / "shards")
    assert ShardDataset.open(folder / "shards").info == info
    with pytest.raises(DataError, match=r"earlier version; train on it as it is, or name another"):
        packed(folder)
    assert files_in(folder / "shards") == before


def test_a_shard_that_was_lost_or_cut_off_is_written_again(folder, small):
    whole, before = packed(folder), files_in(folder / "shards")
    (folder / "shards" / "00000.tfrecord").unlink()
    os.truncate(folder / "shards" / "00003.tfrecord", 10)
    with pytest.raises(DataError, match=r"00000\.tfrecord: expected \d+ bytes"):
        DatasetInfo.load(folder / "shards")
    assert packed(folder) == whole and files_in(folder / "shards") == before


def test_parts_that_are_copied_together_are_the_whole(folder, small):
    whole = packed(folder, "whole")
    command = ["pack", str(folder / "captions.tsv"), "--frames", "4", "--size", "16"]
    command += ["--out", str(folder / "shards")]
    for part in (1, 2, 3):
        assert main([*command, "--part", f"{part}/3"]) == 0
        home = folder / "shards" / f"part-{part}-of-3"
        names = {path.stem for path in home.glob("0*.json")}
        assert names == {f"{n:05d}" for n in range(part - 1, 4, 3)}
        shutil.copytree(home, folder / "shards", dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slices.SliceWriter, "add", None)
        assert main(command) == 0
    assert DatasetInfo.load(folder / "shards") == whole
    named = files_in(folder / "whole")
    assert all(
        (folder / "shards" / name).read_bytes() == content for name, content in named.items()
    )


def test_a_part_without_any_slice_is_no_error(folder):
    assert packed(folder, part=(2, 2)).clips == 0
    with pytest.raises(SystemExit) as stop:
        main(["pack", str(folder / "captions.tsv"), "--out", "x", "--part", "3/2"])
    assert stop.value.code == 2


def _pack_at_once(folder, results):
    results.put(json.dumps(packed(folder, workers=1).digest))


def test_two_packs_in_one_folder_do_the_work_once(folder):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    both = [context.Process(target=_pack_at_once, args=(folder, results)) for _ in range(2)]
    for process in both:
        process.start()
    digests = {results.get(timeout=120) for _ in both}
    for process in both:
        process.join()
        assert process.exitcode == 0
    assert digests == {json.dumps(packed(folder, "alone").digest)}
    assert files_in(folder / "shards") == files_in(folder / "alone")


def test_a_full_disk_says_what_to_do_and_loses_nothing(folder, small, disk_of):
    whole = packed(folder, "whole")
    with disk_of(1500), pytest.raises(DataError, match=r"expected to write .*same command again"):
        packed(folder)
    assert packed(folder) == whole
    assert files_in(folder / "shards") == files_in(folder / "whole")
