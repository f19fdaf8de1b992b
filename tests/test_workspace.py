import dataclasses
import os
import shutil
import sys
import time
import types

import keras
import numpy as np
import pytest
from helpers import releases, tiny
from helpers.clips import write_gif
from helpers.processes import in_this_process
from helpers.runs import eagerly

import v2t_lib as v2t
from v2t_lib import workspace as module
from v2t_lib.datasets import shapes, tgif
from v2t_lib.errors import DataError
from v2t_lib.training.recipe import DecoderOptions, Recipe, TrainingOptions
from v2t_lib.training.recipes import registry as recipes
from v2t_lib.workspace import Workspace

pytestmark = pytest.mark.usefixtures("eager", "in_this_process")

TINY = Recipe(
    clip=tiny.CLIP,
    caption=dataclasses.replace(tiny.CAPTION, length=3),
    training=TrainingOptions(epochs=1, batch_size=48),
    encoder_options=tiny.ENCODER,
    decoder=DecoderOptions(**tiny.DECODER),
)
BLIND = dataclasses.replace(TINY, encoder="blind", encoder_options={})
SMALL = dataclasses.replace(BLIND, training=TrainingOptions(epochs=1, batch_size=16))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    workspace = Workspace(root=tmp_path_factory.mktemp("root"), recipe=TINY, clips=60)
    with eagerly(), in_this_process():
        return workspace, workspace.captioner()


def untrained(trained, root, **options) -> Workspace:
    """A workspace in `root` that has the data of `trained` but no model."""
    workspace = Workspace(root=root, **({"recipe": BLIND, "clips": 60} | options))
    shutil.copytree(trained[0].home, workspace.home, ignore=shutil.ignore_patterns("run*"))
    return workspace


def test_each_step_makes_what_it_needs_and_finds_what_is_there(trained, monkeypatch):
    workspace, captioner = trained
    for home, name in ((module, "train"), (module, "pack"), (shapes, "write_shapes")):
        monkeypatch.setattr(home, name, lambda *a, n=name, **k: pytest.fail(f"{n} called again"))
    again = Workspace(root=workspace.root, recipe=TINY, clips=60)
    examples = again.examples("test", 2)
    assert len(examples) == 2 and examples[0].frames.shape == tiny.CLIP.shape
    frames = np.stack([example.frames for example in examples])
    one, other = (model.caption_frames(frames) for model in (captioner, again.captioner()))
    assert [caption.text for caption in one] == [caption.text for caption in other]
    assert again.blind().grid == (1, 1, 1)
    assert set(again.shards()) == {"train", "val", "test", "unseen"}


def test_a_run_that_was_cut_off_goes_on_here_and_from_its_copy(trained, tmp_path):
    recipe = dataclasses.replace(BLIND, training=TrainingOptions(epochs=2, batch_size=32))

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    copied = {"recipe": recipe, "copy_to": tmp_path / "drive"}
    cut = untrained(trained, tmp_path / "cut", **copied)
    cut.captioner(callbacks=[Stop()])
    here = untrained(trained, tmp_path / "here", recipe=recipe)
    shutil.copytree(cut.run, here.run)
    for workspace in (here, untrained(trained, tmp_path / "there", **copied)):
        epochs = []
        note = keras.callbacks.LambdaCallback(on_epoch_begin=lambda n, logs, e=epochs: e.append(n))
        workspace.captioner(callbacks=[note])
        assert epochs == [1]
        rows = (workspace.run / "history.csv").read_text().splitlines()
        assert [row.split(",")[0] for row in rows[1:]] == ["0", "1"]


def test_a_finished_run_comes_back_from_its_copy_without_any_clips(trained, tmp_path, monkeypatch):
    first = untrained(trained, tmp_path / "one", copy_to=tmp_path / "drive").captioner()
    monkeypatch.setattr(module, "train", lambda *a, **k: pytest.fail("trained again"))
    monkeypatch.setattr(shapes, "write_shapes", lambda *a, **k: pytest.fail("drew clips"))
    options = {"recipe": BLIND, "clips": 60, "copy_to": tmp_path / "drive"}
    again = Workspace(root=tmp_path / "two", **options)
    second = again.captioner()
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert again.blind().grid == (1, 1, 1) and not (again.home / "data").exists()
    other = Workspace(root=tmp_path / "two", **options | {"clips": 61})
    assert other.copy != again.copy and not other.copy.exists()


def write_folder(folder, rows, **splits):
    """A captions file and split lists of the clips whose numbers are given."""
    folder.mkdir(exist_ok=True)
    (folder / "captions.tsv").write_text("".join(rows))
    for name, numbers in splits.items():
        (folder / f"{name}.txt").write_text("".join(f"{n}.gif\n" for n in numbers))
    return folder


def test_google_drive_is_mounted_in_colab_alone(monkeypatch):
    assert module.drive_copies(False) == ""
    with pytest.raises(ValueError, match=r"expected Colab.*`copy_to`"):
        module.drive_copies(True)
    colab, mounted = types.ModuleType("google.colab"), []
    colab.drive = types.SimpleNamespace(mount=mounted.append)
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    assert module.drive_copies(True).startswith("/content/drive/MyDrive/")
    assert mounted == ["/content/drive"]


def test_a_folder_of_clips_is_split_by_clip_or_as_its_lists_say(tmp_path):
    rows = [f"{n}.gif\t{text}\n" for n in range(10) for text in ("a star", "the star", "a star")]
    folder = write_folder(tmp_path / "mine", rows)
    for number in range(10):
        write_gif(folder / f"{number}.gif", number)
    workspace = Workspace("my_folder", tmp_path, folder, recipe=TINY, clips=60)
    records = workspace.records()
    assert {name: len(of) for name, of in records.items()} == {"train": 8, "val": 1, "test": 1}
    assert len({r.source for clips in records.values() for r in clips}) == 10
    write_folder(folder, rows, train=range(5), val=[5], test=range(6, 10))
    assert workspace.references("val") == {"5.gif": ("a star", "the star", "a star")}
    assert len(workspace.examples("test", 9)) == 4
    assert [path.name for path in (workspace.home / "shards").iterdir()] == ["test"]


@pytest.fixture
def mine(tmp_path):
    """Two folders with as many clips of the same names."""
    for name, seed in (("fa", 0), ("fb", 50)):
        write_folder(tmp_path / name, [f"{n}.gif\ta red star {name}\n" for n in range(20)])
        for number in range(20):
            write_gif(tmp_path / name / f"{number}.gif", seed + number)
    return tmp_path


def mine_in(folder, **options) -> Workspace:
    return Workspace("my_folder", folder.parent / "work", folder, recipe=SMALL, clips=0, **options)


def test_folders_and_what_changes_in_them_have_shards_of_their_own(mine, capsys):
    first = mine_in(mine / "fa")
    frames = first.examples("test", 1)[0].frames
    assert not (mine_in(mine / "fb").examples("test", 1)[0].frames == frames).all()
    assert len(list((mine / "work").iterdir())) == 2
    capsys.readouterr()
    again = mine_in(mine / "fa").shards()
    said = capsys.readouterr().err
    assert "packed before from the same captions and clips" in said and "newer" not in said
    later = time.time() + 9
    for number in range(20):
        os.utime(mine / "fa" / f"{number}.gif", (later, later))  # replaced, by as many bytes
    mine_in(mine / "fa").shards("test")
    assert "test: 2 of 2 clips are newer than these shards" in capsys.readouterr().err
    homes = {old := first.home}
    with open(mine / "fa" / "captions.tsv", "a") as file:
        file.write("../fb/0.gif\tone more\n")
    assert not mine_in(mine / "fa").home.exists()
    homes.add(mine_in(mine / "fa").home)
    write_gif(mine / "fa" / "3.gif", 99, count=8)  # another clip of the same name
    homes.add(mine_in(mine / "fa").home)
    for name, numbers in (("train", range(10)), ("val", range(10, 15)), ("test", range(15, 20))):
        (mine / "fa" / f"{name}.txt").write_text("".join(f"{n}.gif\n" for n in numbers))
    homes.add(mine_in(mine / "fa").home)
    (mine / "fa" / "notes.txt").write_text("Filmed in May.\n")  # no split list
    homes.add(mine_in(mine / "fa").home)
    assert len(homes) == 4 and again["test"].parent.parent == old


def test_a_run_of_other_data_is_not_taken_for_this_ones(mine):
    out = mine / "run"
    mine_in(mine / "fa", out=out).captioner()
    for use in ("captioner", "train"):
        with pytest.raises(DataError, match=r"expected a run trained on my_folder-all.*Received"):
            getattr(mine_in(mine / "fb", out=out), use)()
    mine_in(mine / "fb", out=out).train(overwrite=True)
    mine_in(mine / "fb", out=out).captioner()


def test_no_other_recipes_model_is_returned(tmp_path, caplog):
    def of(recipe=SMALL, out="", **options) -> Workspace:
        recipe = dataclasses.replace(recipe, **options)
        return Workspace(root=tmp_path, recipe=recipe, clips=60, out=out, copy_to=tmp_path / "c")

    def training(**options):
        return {"training": dataclasses.replace(SMALL.training, **options)}

    other = [
        {"encoder_options": {"memory_size": 8}},
        {"decoder": DecoderOptions(units=8)},
        {"caption": dataclasses.replace(SMALL.caption, length=4)},
        {"clip": dataclasses.replace(SMALL.clip, width=24)},
        *(training(**o) for o in ({"epochs": 2}, {"learning_rate": 0.1}, {"batch_size": 8})),
    ]
    runs = {of(**options).run for options in [{}, *other]}
    assert len(runs) == len({of(**options).copy for options in [{}, *other]}) == 8
    assert of(**training(keep_checkpoints=9)).run == of().run
    assert of(clip=dataclasses.replace(SMALL.clip, width=24)).home != of().home
    mine = of(out=tmp_path / "mine")
    mine.captioner()
    with pytest.raises(DataError, match=r"recipe \w{8}\. Received: .*, recipe \w{8}; name another"):
        of(out=mine.run, **other[1]).captioner()
    (mine.run / module.DATA_FILE).write_text(f"{mine.home.name}\n")
    (mine.home / "run").mkdir()
    mine.captioner()
    assert "its recipe is taken for this one" in caplog.text
    assert f"{mine.home / 'run'}: a run of an earlier version" in caplog.text


def test_a_share_of_tgif_is_the_same_share_of_every_split(tmp_path, monkeypatch):
    folder = tmp_path / "release"
    folder.mkdir()
    (folder / "tgif-v1.0.tsv").write_text("".join(f"http://h/{n}.gif\ta cat\n" for n in range(100)))
    for name, numbers in (("train", range(80)), ("val", range(80, 90)), ("test", range(90, 100))):
        (folder / f"{name}.txt").write_text("".join(f"http://h/{n}.gif\n" for n in numbers))
    monkeypatch.setattr(tgif.TGIF, "captions", lambda self, home: folder / "tgif-v1.0.tsv")
    asked = []
    monkeypatch.setattr(module, "fetch", lambda *a, **k: asked.append((a, k)))
    workspace = Workspace("tgif", tmp_path, recipe=TINY, clips=50)
    sizes = {name: len(clips) for name, clips in workspace.records().items()}
    assert sizes == {"train": 40, "val": 5, "test": 5}
    shards = workspace.shards()
    ((records, captions, out), options) = asked[0]
    assert len(records) == 50 and options["spec"] == tiny.CLIP
    assert shards["test"] == out / "test" and captions.name == "tgif-v1.0.tsv"


def test_the_recipe_the_number_of_clips_and_the_folders_name(monkeypatch, tmp_path):
    assert Workspace(root=tmp_path).recipe == recipes.get("shapes")
    drawn, quick = Workspace(root=tmp_path), Workspace(root=tmp_path, quick=True)
    assert quick.recipe == drawn.recipe and quick.clips < drawn.clips
    tgif = [Workspace("tgif", tmp_path, quick=quick) for quick in (False, True)]
    assert tgif[0] == dataclasses.replace(tgif[1], quick=False)
    homes = {
        Workspace(root=tmp_path, seed=seed, recipe=recipe, clips=clips).home
        for seed in (0, 1)
        for recipe in (recipes.get("shapes"), TINY)
        for clips in (60, 70)
    }
    assert len(homes) == 8
    names = [Workspace("tgif", tmp_path, clips=clips).home.name for clips in (1000, 0)]
    assert [name.split("-")[1] for name in names] == ["1000", "all"]
    monkeypatch.setenv("V2T_SMOKE", "1")
    small = v2t.Workspace("tgif", tmp_path)
    assert small.recipe == recipes.get("smoke") and small.clips < quick.clips
    assert [Workspace("tgif", tmp_path, clips=n).clips for n in (20, 5000, 0)] == [20, 150, 150]


def test_a_release_that_comes_whole_serves_every_clip_size(tmp_path, monkeypatch):
    """One download of MSVD: its clips lie beside no size's shards but in the root."""
    with releases.released(monkeypatch) as server:
        workspaces = [
            Workspace("msvd", tmp_path, recipe=dataclasses.replace(TINY, clip=spec))
            for spec in (tiny.CLIP, dataclasses.replace(tiny.CLIP, frames=2))
        ]
        sizes = [{s: len(r) for s, r in w.records().items()} for w in workspaces]
        assert sizes == [releases.SIZES] * 2 and server.times("/r/YouTubeClips.tar") == 1
        shards = workspaces[1].shards()
        assert [len(workspaces[1].examples(split, 9)) for split in shards] == [3, 1, 2]
        assert shards["test"].is_relative_to(tmp_path / "msvd-1970-2x16")
        assert (tmp_path / "msvd" / "data" / "captions.tsv").exists()


def test_bad_names_are_told(tmp_path):
    with pytest.raises(DataError, match=r"among msrvtt, msvd, .*, tgif\. Received: 'tgiff'"):
        Workspace("tgiff", tmp_path)
    with pytest.raises(DataError, match=r"expected `folder` to hold captions\.tsv"):
        Workspace("my_folder", tmp_path, tmp_path)


def test_the_device_is_told_and_its_absence_explained(monkeypatch):
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["cpu:0"])
    assert module.device().startswith("No GPU") and "T4" in module.device()
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["cpu:0", "gpu:0"])
    assert module.device() == "1 GPU (gpu:0)"
