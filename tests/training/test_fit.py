"""`fit`: what it keeps, how it stops and how it resumes; without graphs, for quick steps."""

import dataclasses
import shutil
import signal
import types

import keras
import numpy as np
import pandas as pd
import pytest
from helpers import tiny
from helpers.clips import write_gif
from helpers.processes import in_this_process
from helpers.runs import Killed, assert_same_end, eagerly

import v2t_lib as v2t
from v2t_lib.captions_file import read_captions
from v2t_lib.errors import ModelError, TrainingError
from v2t_lib.models.captioner import Captioner
from v2t_lib.shards.pack import pack
from v2t_lib.shards.reader import ShardDataset
from v2t_lib.specs import CaptionSpec
from v2t_lib.training.callbacks import ResumableState, sample_captions
from v2t_lib.training.fit import fit
from v2t_lib.training.recipe import TrainingOptions

OPTIONS = TrainingOptions(epochs=3, batch_size=16, learning_rate=3e-3, checkpoint_steps=2)
DECODER = tiny.DECODER | {"dropout": 0.2}


def short(drawn_shards, path, resume=False, val=None, callbacks=(), **options):
    """A small decoder with dropout after two epochs of three steps, without graphs."""
    keras.utils.set_random_seed(0)
    captioner = tiny.captioner("blind", DECODER, CaptionSpec(length=3))
    given = dataclasses.replace(OPTIONS, **({"epochs": 2} | options))
    with eagerly():
        fit(captioner, drawn_shards / "train", path, given, val, resume, callbacks=callbacks)
    return captioner


def script_validation(monkeypatch, *losses):
    """Validation losses, an epoch each."""
    left = iter(losses)
    monkeypatch.setattr(Captioner, "evaluate", lambda *_, **__: {"loss": next(left)})


def test_a_log_has_a_line_an_epoch_and_no_progress_bars(drawn_shards, tmp_path, capfd):
    short(drawn_shards, tmp_path / "captioner.keras", batch_size=32)
    printed = capfd.readouterr().out
    assert [line for line in printed.splitlines() if "Epoch" in line] == ["Epoch 1/2", "Epoch 2/2"]
    assert printed.count("loss: ") == 2 and "\r" not in printed and "\b" not in printed


def test_sample_captions_stand_beside_the_first_caption_of_their_clips(tmp_path, capsys):
    for number in range(2):
        write_gif(tmp_path / f"{number}.gif", number)
    rows = [f"{n}.gif\t{text} {n}\n" for n in range(2) for text in ("first of", "second of")]
    (tmp_path / "captions.tsv").write_text("".join(rows))
    records = read_captions(tmp_path / "captions.tsv")
    with in_this_process():
        pack(records, tmp_path / "captions.tsv", tmp_path / "shards", tiny.CLIP)
    options = dataclasses.replace(OPTIONS, epochs=1, batch_size=4)
    with eagerly():
        captioner = tiny.captioner(caption=CaptionSpec(length=2))
        folder = tmp_path / "shards"
        fit(captioner, folder, tmp_path / "captioner.keras", options, folder)
    printed = capsys.readouterr().err
    assert "reference: first of 0" in printed and "reference: first of 1" in printed
    assert "second" not in printed


@pytest.mark.parametrize(("distinct", "alarm"), [(1, True), (2, False), (20, False)])
def test_the_alarm_is_for_captions_that_are_nearly_all_alike(distinct, alarm, capsys):
    """Fewer than a tenth of 20 are different."""
    clips = [types.SimpleNamespace(frames=np.zeros(1), captions=("a",))] * 20
    texts = [types.SimpleNamespace(text=str(n % distinct)) for n in range(20)]
    logs = {}
    captioner = types.SimpleNamespace(caption_frames=lambda frames: texts)
    sample_captions(captioner, clips, logs, shown=0)
    assert logs == {"distinct_captions": distinct / 20}
    assert ("ALARM: 1 distinct captions for 20 clips" in capsys.readouterr().err) == alarm


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_the_best_epochs_weights_are_kept_also_when_a_run_resumes(
    ema, drawn_shards, tmp_path, monkeypatch
):
    """They are what callbacks find at the end of that epoch, averages or not."""
    path, seen = tmp_path / "captioner.keras", []
    script_validation(monkeypatch, 3.0, 1.0, 2.0, 1.5, 0.5)
    note = keras.callbacks.LambdaCallback()
    note.on_epoch_end = lambda *_: seen.append(note.model.get_weights())

    def run(epochs, resume=False):
        options = {"epochs": epochs, "batch_size": 32, "ema": ema}
        captioner = short(drawn_shards, path, resume, drawn_shards / "val", [note], **options)
        return v2t.load(path).get_weights(), captioner.get_weights()

    for ends, best in ((run(3), 1), (run(4, resume=True), 1), (run(5, resume=True), 4)):
        for saved, returned, wanted in zip(*ends, seen[best], strict=True):
            np.testing.assert_array_equal(saved, wanted)
            np.testing.assert_array_equal(returned, wanted)
    assert (seen[1][0] != seen[4][0]).any()
    assert pd.read_csv(tmp_path / "history.csv")["val_loss"].tolist() == [3, 1, 2, 1.5, 0.5]


def test_callbacks_of_keras_keep_their_state_over_epochs(drawn_shards, tmp_path, monkeypatch):
    """The best is epoch 1: two epochs later the one stops, the other has acted twice."""
    script_validation(monkeypatch, 3.0, 1.0, 2.0, 1.5, 0.5)
    callbacks = [
        keras.callbacks.EarlyStopping("val_loss", patience=2),
        keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=1),
    ]
    path = tmp_path / "captioner.keras"
    captioner = short(
        drawn_shards, path, val=drawn_shards / "val", callbacks=callbacks, epochs=5, batch_size=32
    )
    rows = pd.read_csv(tmp_path / "history.csv")
    assert rows["val_loss"].tolist() == [3, 1, 2, 1.5]
    rates = rows["learning_rate"].tolist()
    assert rates[0] > rates[1] > rates[2]  # the schedule's
    assert rates[3] == pytest.approx(rates[2] / 2)
    assert float(captioner.optimizer.learning_rate) == pytest.approx(rates[2] / 4)


def test_a_resumed_epoch_counts_as_one_and_ends_nothing(drawn_shards, tmp_path, monkeypatch):
    """Killed in the middle of the first epoch: the best, of a patience that ends with the third."""
    script_validation(monkeypatch, 1.0, 2.0, 3.0, 0.5)
    path, whole = tmp_path / "captioner.keras", ResumableState.on_train_batch_end

    def killed(self, batch, logs=None):
        if self.step == 2:
            raise Killed
        whole(self, batch, logs)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(ResumableState, "on_train_batch_end", killed)
        short(drawn_shards, path, val=drawn_shards / "val", epochs=4)
    stop = keras.callbacks.EarlyStopping("val_loss", patience=2)
    short(drawn_shards, path, True, drawn_shards / "val", [stop], epochs=4)
    assert pd.read_csv(tmp_path / "history.csv")["val_loss"].tolist() == [1, 2, 3]


@pytest.fixture(scope="module")
def unbroken(drawn_shards, tmp_path_factory):
    path = tmp_path_factory.mktemp("unbroken") / "captioner.keras"
    short(drawn_shards, path)
    return path


def test_a_run_killed_at_any_step_ends_like_one_that_was_not(
    unbroken, drawn_shards, tmp_path, monkeypatch
):
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
            short(drawn_shards, tmp_path / "captioner.keras", resume=True)
    short(drawn_shards, tmp_path / "captioner.keras", resume=True)
    assert seen == [(0, 0), (0, 0), (0, 1), (0, 0), (0, 1), (0, 2), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert_same_end(unbroken, tmp_path / "captioner.keras")


def test_an_epoch_of_several_passes_is_resumed_in_each(drawn_shards, tmp_path, monkeypatch):
    """Killed in the first pass, at its end and in the second; 3 batches a pass."""
    for folder in ("whole", "killed"):
        (tmp_path / folder).mkdir()
    whole = tmp_path / "whole" / "captioner.keras"
    short(drawn_shards, whole, epoch_steps=4)
    seen, ended = [], ResumableState.on_train_batch_end

    def count(self, batch, logs=None):
        seen.append((self.epoch, self.step))
        if len(seen) in (2, 6, 9):
            raise Killed
        ended(self, batch, logs)

    monkeypatch.setattr(ResumableState, "on_train_batch_end", count)
    path = tmp_path / "killed" / "captioner.keras"
    for _ in range(3):
        with pytest.raises(Killed):
            short(drawn_shards, path, resume=True, epoch_steps=4, checkpoint_steps=3)
    short(drawn_shards, path, resume=True, epoch_steps=4, checkpoint_steps=3)
    assert [step for epoch, step in seen if epoch == 0] == [0, 1, 0, 1, 2, 3, 3, 4, 5, 3, 4, 5]
    assert seen[12:] == [(1, step) for step in range(6)]
    assert_same_end(whole, path)


def test_ctrl_c_saves_and_says_how_to_resume(unbroken, drawn_shards, tmp_path, monkeypatch, capsys):
    whole, handler = ResumableState.on_train_batch_end, signal.getsignal(signal.SIGINT)

    def interrupted(self, batch, logs=None):
        if (self.epoch, self.step) == (1, 0):
            signal.raise_signal(signal.SIGINT)
        whole(self, batch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(ResumableState, "on_train_batch_end", interrupted)
        with pytest.raises(TrainingError, match=r"epoch 2, after step 1 of 3.*--resume"):
            short(drawn_shards, tmp_path / "captioner.keras")
    assert signal.getsignal(signal.SIGINT) is handler
    short(drawn_shards, tmp_path / "captioner.keras", resume=True)
    assert "going on at epoch 2, after step 1 of 3" in capsys.readouterr().err
    assert_same_end(unbroken, tmp_path / "captioner.keras")


def test_a_run_does_not_resume_with_another_batch_size(unbroken, drawn_shards, tmp_path):
    shutil.copytree(unbroken.parent, tmp_path / "run")
    with pytest.raises(ModelError, match=r"'batch_size': 10.*Received: one with.*16"):
        short(drawn_shards, tmp_path / "run" / "captioner.keras", resume=True, batch_size=10)


@pytest.mark.parametrize(("epoch_steps", "epoch", "saved"), [(1, 2, [2, 3]), (4, 1, [2, 4])])
def test_a_loss_that_is_not_finite_stops_and_names_the_clips(
    epoch_steps, epoch, saved, drawn_shards, tmp_path, monkeypatch
):
    """In the second pass over the data, which is the second epoch or part of the first."""
    whole, steps = ResumableState.on_train_batch_end, []

    def broken(self, batch, logs=None):
        steps.append(batch)
        whole(self, batch, logs | {"loss": float("nan")} if len(steps) == 5 else logs)

    monkeypatch.setattr(ResumableState, "on_train_batch_end", broken)
    with pytest.raises(TrainingError, match=f"Received: nan at epoch {epoch}") as error:
        short(drawn_shards, tmp_path / "captioner.keras", epoch_steps=epoch_steps)
    shards = ShardDataset.open(drawn_shards / "train")
    names = shards.sources_of_batch(OPTIONS.batch_size, OPTIONS.seed, epoch=1, number=1)
    assert len(names) == 16 and ", ".join(names) in str(error.value)
    numbers = sorted(int(p.stem) for p in (tmp_path / ".captioner-checkpoints").glob("*.npz"))
    assert numbers == saved


def test_a_validation_loss_that_is_no_number_is_no_model(drawn_shards, tmp_path, monkeypatch):
    script_validation(monkeypatch, float("nan"))
    with pytest.raises(TrainingError, match=r"val_loss to be finite. Received: nan after epoch 1"):
        short(drawn_shards, tmp_path / "captioner.keras", val=drawn_shards / "val")


def test_out_of_memory_names_the_options_that_save_it(drawn_shards, tmp_path):
    beyond_any_address = 2**45

    class TakesAllMemory(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            keras.ops.zeros((beyond_any_address,)) + 1

    path = tmp_path / "captioner.keras"
    with pytest.raises(TrainingError) as raised:
        short(drawn_shards, path, callbacks=[TakesAllMemory()], accumulate=2)
    said = str(raised.value)
    assert "batch of 16 clips of 4 frames" in said and "Received: out of memory" in said
    assert "--batch 8 --accumulate 4" in said and "mixed_float16" in said
