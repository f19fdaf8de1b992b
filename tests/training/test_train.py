import dataclasses
import json
import re
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pandas as pd
import pytest
from helpers import tiny
from helpers.runs import Killed, assert_same_end, eagerly

import v2t_lib as v2t
from v2t_lib.captions_file import read_captions, select
from v2t_lib.datasets.shapes import write_shapes
from v2t_lib.errors import DataError, ModelError, TrainingError
from v2t_lib.evaluation import evaluate
from v2t_lib.metrics.caption_loss import caption_loss
from v2t_lib.models.captioner import Captioner
from v2t_lib.shards.pack import pack
from v2t_lib.shards.reader import ShardDataset
from v2t_lib.specs import CaptionSpec, ClipSpec
from v2t_lib.training.callbacks import SampleCaptions
from v2t_lib.training.fit import fit
from v2t_lib.training.recipe import DecoderOptions, Recipe, TrainingOptions
from v2t_lib.training.resumable_state import ResumableState
from v2t_lib.training.train import train

OPTIONS = TrainingOptions(epochs=3, batch_size=16, learning_rate=3e-3, checkpoint_steps=2)
DECODER = tiny.DECODER | {"dropout": 0.2}
RECIPE = Recipe(
    caption=CaptionSpec(length=4),
    encoder_options=tiny.ENCODER,
    decoder=DecoderOptions(**DECODER),
    training=OPTIONS,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    captions = write_shapes(folder, clips=60, seed=0)
    for split in ("train", "val", "test"):
        records = select(read_captions(captions), folder / f"{split}.txt")
        pack(records, captions, folder / "shards" / split, tiny.CLIP, workers=1)
    return folder / "shards"


def run(data, out, **options):
    return train(data / "train", out, RECIPE, val=data / "val", **options)


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    run(data, out)
    return out


def test_captions_that_are_too_long_are_counted(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("v2t_lib.training.train.fit", lambda *arguments: None)
    run(data, tmp_path)
    assert re.search(
        r"warning: (\d+) of \1 captions lose words after the 3rd; --length \d+ keeps 99%",
        capsys.readouterr().err,
    )


def test_training_lowers_the_loss_and_leaves_its_files(finished):
    assert sorted(p.name for p in finished.iterdir() if not p.name.startswith(".")) == [
        "blind.csv",
        "blind.keras",
        "captioner.keras",
        "history.csv",
    ]
    history = pd.read_csv(finished / "history.csv")
    assert history["epoch"].tolist() == [0, 1, 2]
    assert history["loss"].is_monotonic_decreasing
    assert history["distinct_captions"].between(0, 1).all()
    assert len(pd.read_csv(finished / "blind.csv")) == 1


def test_the_saved_model_has_the_held_out_loss_that_the_history_says(finished, data):
    best = pd.read_csv(finished / "history.csv")["val_loss"].min()
    with eagerly():
        loss = caption_loss(v2t.load(finished / "captioner.keras"), data / "val")
    assert loss == pytest.approx(best, rel=2e-2)


def test_the_blind_twin_has_the_same_decoder_and_sees_nothing(finished):
    captioner, blind = (v2t.load(finished / f"{name}.keras") for name in ("captioner", "blind"))
    assert blind.vocabulary == captioner.vocabulary
    assert [w.shape for w in blind.decoder.weights] == [w.shape for w in captioner.decoder.weights]
    with eagerly():
        captions = blind.caption_frames(np.concatenate([tiny.frames(3), tiny.frames(1) * 0]))
    assert len({caption.text for caption in captions}) == 1


def short(data, path, resume=False, val=None, callbacks=(), **options):
    """A small decoder with dropout after two epochs of three steps, without graphs."""
    keras.utils.set_random_seed(0)
    captioner = tiny.captioner("blind", DECODER, CaptionSpec(length=3))
    given = dataclasses.replace(OPTIONS, **({"epochs": 2} | options))
    with eagerly():
        fit(captioner, data / "train", path, given, val, resume, callbacks=callbacks)
    return captioner


def script_validation(monkeypatch, *losses):
    """Validation losses, an epoch each."""
    left = iter(losses)
    monkeypatch.setattr(Captioner, "evaluate", lambda *_, **__: {"loss": next(left)})


def test_the_best_epochs_weights_are_kept_and_a_resumed_run_knows_how_good_they_were(
    data, tmp_path, monkeypatch
):
    path, seen = tmp_path / "captioner.keras", []
    script_validation(monkeypatch, 3.0, 1.0, 2.0, 1.5, 0.5)
    note = keras.callbacks.LambdaCallback()
    note.on_epoch_end = lambda *_: seen.append(note.model.get_weights())

    def run(epochs, resume=False):
        options = {"epochs": epochs, "batch_size": 32}
        captioner = short(data, path, resume, data / "val", [note], **options)
        return v2t.load(path).get_weights(), captioner.get_weights()

    for ends, best in ((run(3), 1), (run(4, resume=True), 1), (run(5, resume=True), 4)):
        for saved, returned, wanted in zip(*ends, seen[best], strict=True):
            np.testing.assert_array_equal(saved, wanted)
            np.testing.assert_array_equal(returned, wanted)
    assert (seen[1][0] != seen[4][0]).any()
    assert pd.read_csv(tmp_path / "history.csv")["val_loss"].tolist() == [3, 1, 2, 1.5, 0.5]


def test_callbacks_of_keras_keep_their_state_over_epochs(data, tmp_path, monkeypatch):
    """The best is epoch 1: two epochs later the one stops, the other has acted twice."""
    script_validation(monkeypatch, 3.0, 1.0, 2.0, 1.5, 0.5)
    callbacks = [
        keras.callbacks.EarlyStopping("val_loss", patience=2),
        keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=1),
    ]
    path = tmp_path / "captioner.keras"
    captioner = short(data, path, val=data / "val", callbacks=callbacks, epochs=5, batch_size=32)
    rows = pd.read_csv(tmp_path / "history.csv")
    assert rows["val_loss"].tolist() == [3, 1, 2, 1.5]
    rates = rows["learning_rate"].tolist()
    assert rates[0] > rates[1] > rates[2]  # the schedule's
    assert rates[3] == pytest.approx(rates[2] / 2)
    assert float(captioner.optimizer.learning_rate) == pytest.approx(rates[2] / 4)


def test_a_resumed_epoch_counts_as_one_and_ends_nothing(data, tmp_path, monkeypatch):
    """Killed in the middle of the first epoch: the best, of a patience that ends with the third."""
    script_validation(monkeypatch, 1.0, 2.0, 3.0, 0.5)
    path, whole = tmp_path / "captioner.keras", ResumableState.on_train_batch_end

    def killed(self, batch, logs=None):
        if self.step == 2:
            raise Killed
        whole(self, batch, logs)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(ResumableState, "on_train_batch_end", killed)
        short(data, path, val=data / "val", epochs=4)
    stop = keras.callbacks.EarlyStopping("val_loss", patience=2)
    short(data, path, True, data / "val", [stop], epochs=4)
    assert pd.read_csv(tmp_path / "history.csv")["val_loss"].tolist() == [1, 2, 3]


@pytest.fixture(scope="module")
def unbroken(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("unbroken") / "captioner.keras"
    short(data, path)
    return path


def test_a_run_killed_at_any_step_ends_as_if_it_had_not_been(unbroken, data, tmp_path, monkeypatch):
    """Before the first checkpoint, between a step and its saving, after an epoch's end."""
    seen, whole = [], ResumableState.on_train_batch_end

    def count(self, batch, logs=None):
        seen.append((self.epoch, self.step))
        if len(seen) in (1, 3, 6):
            raise Killed
        whole(self, batch, logs)

    monkeypatch.setattr(ResumableState, "on_train_batch_end", count)
    for _ in range(3):
        with pytest.raises(Killed):
            short(data, tmp_path / "captioner.keras", resume=True)
    short(data, tmp_path / "captioner.keras", resume=True)
    assert seen == [(0, 0), (0, 0), (0, 1), (0, 0), (0, 1), (0, 2), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert_same_end(unbroken, tmp_path / "captioner.keras")


KILLED = """
import json, sys
from v2t_lib.specs import CaptionSpec
from v2t_lib.training.recipe import DecoderOptions, Recipe, TrainingOptions
from v2t_lib.training.train import train
data, out, encoder, decoder, options = map(json.loads, sys.argv[1:])
recipe = Recipe(caption=CaptionSpec(length=4), encoder_options=encoder,
                decoder=DecoderOptions(**decoder), training=TrainingOptions(**options))
train(data + "/train", out, recipe, val=data + "/val")
"""


def start(data, out):
    """The run of `finished` in a process of its own."""
    options = json.dumps(dataclasses.asdict(OPTIONS))
    places = map(json.dumps, (str(data), str(out), tiny.ENCODER, DECODER))
    return subprocess.Popen(
        [sys.executable, "-c", KILLED, *places, options], stderr=subprocess.PIPE, text=True
    )


def wait_for(process, folder, pattern):
    deadline = time.monotonic() + 120
    while not list(folder.glob(pattern)):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)


def test_what_a_process_killed_outright_leaves_goes_on_in_another(finished, data, tmp_path, capsys):
    process = start(data, tmp_path)
    wait_for(process, tmp_path, ".captioner-checkpoints/*.npz")
    process.kill()
    process.communicate()
    run(data, tmp_path, resume=True)
    assert "going on at epoch" in capsys.readouterr().err
    for name in ("captioner.keras", "blind.keras"):
        assert_same_end(finished / name, tmp_path / name)


def test_ctrl_c_saves_and_says_how_to_go_on(unbroken, data, tmp_path, monkeypatch, capsys):
    whole, handler = ResumableState.on_train_batch_end, signal.getsignal(signal.SIGINT)

    def interrupted(self, batch, logs=None):
        if (self.epoch, self.step) == (1, 0):
            signal.raise_signal(signal.SIGINT)
        whole(self, batch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(ResumableState, "on_train_batch_end", interrupted)
        with pytest.raises(TrainingError, match=r"epoch 2, after step 1 of 3.*--resume"):
            short(data, tmp_path / "captioner.keras")
    assert signal.getsignal(signal.SIGINT) is handler
    short(data, tmp_path / "captioner.keras", resume=True)
    assert "going on at epoch 2, after step 1 of 3" in capsys.readouterr().err
    assert_same_end(unbroken, tmp_path / "captioner.keras")


def test_another_order_of_the_data_cannot_go_on(unbroken, data, tmp_path):
    shutil.copytree(unbroken.parent, tmp_path / "run")
    with pytest.raises(ModelError, match=r"'batch_size': 10.*Received: one with.*16"):
        short(data, tmp_path / "run" / "captioner.keras", resume=True, batch_size=10)


@pytest.mark.usefixtures("eager")
def test_a_finished_run_can_be_lengthened_from_its_copy(data, tmp_path):
    """The machine is lost, its drive is not."""

    def sightless(out, epochs, **options):
        recipe = Recipe(
            caption=CaptionSpec(length=3),
            encoder="blind",
            decoder=DecoderOptions(**DECODER),
            training=dataclasses.replace(OPTIONS, epochs=epochs),
        )
        drive = tmp_path / "drive"
        return train(data / "train", tmp_path / out, recipe, copy_to=drive, **options)

    sightless("one", 1)
    first = pd.read_csv(tmp_path / "drive" / "history.csv")
    returned = sightless("two", 2, resume=True).get_weights()
    saved = v2t.load(tmp_path / "two" / "captioner.keras").get_weights()
    assert all((mine == theirs).all() for mine, theirs in zip(returned, saved, strict=True))
    history = pd.read_csv(tmp_path / "two" / "history.csv")
    assert history["epoch"].tolist() == [0, 1]
    pd.testing.assert_frame_equal(history.iloc[:1], first)
    names = [{p.name for p in (tmp_path / out).rglob("*")} for out in ("two", "drive")]
    assert names[0] == names[1]


def test_a_loss_that_is_no_number_stops_and_names_the_clips(data, tmp_path, monkeypatch):
    whole, steps = ResumableState.on_train_batch_end, []

    def broken(self, batch, logs=None):
        steps.append(batch)
        whole(self, batch, logs | {"loss": float("nan")} if len(steps) == 5 else logs)

    monkeypatch.setattr(ResumableState, "on_train_batch_end", broken)
    with pytest.raises(TrainingError, match="Received: nan at epoch 2") as error:
        short(data, tmp_path / "captioner.keras")
    shards = ShardDataset.open(data / "train")
    names = shards.sources_of_batch(OPTIONS.batch_size, OPTIONS.seed, epoch=1, number=1)
    assert len(names) == 16 and ", ".join(names) in str(error.value)
    numbers = sorted(int(p.stem) for p in (tmp_path / ".captioner-checkpoints").glob("*.npz"))
    assert numbers == [2, 3]


@pytest.mark.usefixtures("eager")
def test_collapse_raises_the_alarm(capsys):
    frames = tiny.frames(20)
    callback = SampleCaptions(frames, ["truth"] * 20)
    callback.set_model(tiny.captioner("blind"))
    logs = {}
    callback.on_epoch_end(0, logs)
    assert logs["distinct_captions"] == 1 / 20
    assert "ALARM: 1 distinct captions for 20 clips" in capsys.readouterr().err


def test_shards_of_another_size_are_refused(data, finished, tmp_path):
    captions = data.parent / "captions.tsv"
    records = select(read_captions(captions), data.parent / "val.txt")
    pack(records, captions, tmp_path / "large", ClipSpec(4, 24, 24), workers=1)
    with pytest.raises(DataError, match="Received: ClipSpec"):
        train(data / "train", tmp_path / "run", val=tmp_path / "large")
    with pytest.raises(DataError, match="pack again at the model's size"):
        evaluate(v2t.load(finished / "captioner.keras"), tmp_path / "large")
