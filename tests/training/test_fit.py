"""`fit`: what it keeps, how it stops and how it resumes; without graphs, for quick steps."""

import contextlib
import dataclasses
import shutil
import signal
import types
from unittest import mock

import keras
import numpy as np
import pandas as pd
import pytest
from helpers import tiny
from helpers.runs import Killed, assert_same_end, eagerly

import v2t_lib as v2t
from v2t_lib.errors import ModelError, TrainingError
from v2t_lib.models.captioner import Captioner
from v2t_lib.shards.reader import ShardDataset
from v2t_lib.specs import CaptionSpec
from v2t_lib.training.callbacks import ResumableState, sample_captions
from v2t_lib.training.fit import fit
from v2t_lib.training.optimizer import compile_for_training
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


@contextlib.contextmanager
def at_each_step(act):
    """Within it `act` is called with a run's state after each step, before the state knows it."""
    whole = ResumableState.on_train_batch_end

    def step(self, batch, logs=None):
        act(self)
        whole(self, batch, logs)

    with mock.patch.object(ResumableState, "on_train_batch_end", step):
        yield


def script_validation(monkeypatch, *losses):
    """Validation losses, an epoch each."""
    left = iter(losses)
    monkeypatch.setattr(Captioner, "evaluate", lambda *_, **__: {"loss": next(left)})


def test_a_log_has_a_line_an_epoch_and_no_progress_bars(drawn_shards, tmp_path, capfd):
    short(drawn_shards, tmp_path / "captioner.keras", batch_size=32)
    printed = capfd.readouterr().out
    assert [line for line in printed.splitlines() if "Epoch" in line] == ["Epoch 1/2", "Epoch 2/2"]
    assert printed.count("loss: ") == 2 and "\r" not in printed and "\b" not in printed


def test_sample_captions_stand_beside_the_first_caption_of_their_clips(
    several_captions, tmp_path, capsys
):
    options = dataclasses.replace(OPTIONS, epochs=1, batch_size=4)
    captioner, path = tiny.captioner(caption=CaptionSpec(length=2)), tmp_path / "captioner.keras"
    with eagerly():
        fit(captioner, several_captions, path, options, several_captions)
    printed = capsys.readouterr().err
    assert printed.count(f"reference: {tiny.SENTENCES[0]}") == printed.count("reference:") == 3


@pytest.mark.parametrize(("distinct", "alarm"), [(1, True), (2, False), (20, False)])
def test_the_alarm_is_for_captions_that_are_nearly_all_alike(distinct, alarm, capsys):
    """Fewer than a tenth of 20 are different."""
    clips = [types.SimpleNamespace(frames=np.zeros(1), captions=("a",))] * 20
    texts = [types.SimpleNamespace(text=str(n % distinct)) for n in range(20)]
    logs = {}
    captioner = types.SimpleNamespace(caption_frames=lambda frames: texts)
    sample_captions(captioner, clips, logs)
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


def test_patience_goes_on_where_a_run_is_resumed(drawn_shards, tmp_path, monkeypatch):
    """The best is epoch 1; killed in epoch 3, it still stops after that one, and not after 4."""
    script_validation(monkeypatch, 3.0, 1.0, 2.0, 1.5, 1.2, 0.5)
    path, val = tmp_path / "captioner.keras", drawn_shards / "val"

    def kill(state):
        if (state.epoch, state.step) == (3, 2):
            raise Killed

    def callbacks():
        stop = keras.callbacks.EarlyStopping("val_loss", min_delta=0.01, patience=2)
        return [stop, keras.callbacks.ReduceLROnPlateau("val_loss", patience=2)]

    with at_each_step(kill), pytest.raises(Killed):
        short(drawn_shards, path, val=val, callbacks=callbacks(), epochs=6)
    stop, reduce = callbacks()
    short(drawn_shards, path, True, val, [stop, reduce], epochs=6)
    assert pd.read_csv(tmp_path / "history.csv")["val_loss"].tolist() == [3, 1, 2, 1.5]
    assert (stop.best, reduce.best) == (1, 1)


def test_the_validation_loss_is_never_smoothed(drawn_shards, tmp_path):
    """As the losses that it is compared with; the training loss is, or nothing would be."""
    path, val = tmp_path / "captioner.keras", drawn_shards / "val"
    captioner = short(drawn_shards, path, val=val, epochs=1, label_smoothing=0.9)
    (row,) = pd.read_csv(tmp_path / "history.csv").to_dict("records")
    for smoothing, same in ((0.0, True), (0.9, False)):
        options = dataclasses.replace(OPTIONS, label_smoothing=smoothing)
        with eagerly():
            compile_for_training(captioner, options, 1)
            batches = ShardDataset.open(val).batches(
                captioner.vocabulary, captioner.caption_spec, options.batch_size
            )
            loss = captioner.evaluate(batches, verbose=0, return_dict=True)["loss"]
        assert (loss == pytest.approx(row["val_loss"], rel=1e-5)) is same


def test_a_resumed_epoch_counts_as_one_and_ends_nothing(drawn_shards, tmp_path, monkeypatch):
    """Killed in the middle of the first epoch: the best, of a patience that ends with the third."""
    script_validation(monkeypatch, 1.0, 2.0, 3.0, 0.5)

    def kill(state):
        if state.step == 2:
            raise Killed

    path, val = tmp_path / "captioner.keras", drawn_shards / "val"
    with at_each_step(kill), pytest.raises(Killed):
        short(drawn_shards, path, val=val, epochs=4)
    stop = keras.callbacks.EarlyStopping("val_loss", patience=2)
    short(drawn_shards, path, True, val, [stop], epochs=4)
    assert pd.read_csv(tmp_path / "history.csv")["val_loss"].tolist() == [1, 2, 3]


@pytest.fixture(scope="module")
def unbroken(drawn_shards, tmp_path_factory):
    path = tmp_path_factory.mktemp("unbroken") / "captioner.keras"
    short(drawn_shards, path)
    return path


def killed_at(drawn_shards, path, calls, **options):
    """Runs, killed at these steps of all, then resumed to the end; the steps that were taken."""
    seen = []

    def count(state):
        seen.append((state.epoch, state.step))
        if len(seen) in calls:
            raise Killed

    with at_each_step(count):
        for _ in calls:
            with pytest.raises(Killed):
                short(drawn_shards, path, resume=True, **options)
        short(drawn_shards, path, resume=True, **options)
    return seen


def test_a_run_killed_at_any_step_ends_like_one_that_was_not(unbroken, drawn_shards, tmp_path):
    """Before the first checkpoint, between a step and its saving, after an epoch's end."""
    seen = killed_at(drawn_shards, tmp_path / "captioner.keras", (1, 3, 6))
    assert seen == [(0, 0), (0, 0), (0, 1), (0, 0), (0, 1), (0, 2), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert_same_end(unbroken, tmp_path / "captioner.keras")


def test_an_epoch_of_several_passes_is_resumed_in_each(drawn_shards, tmp_path):
    """Killed in the first pass, at its end and in the second; 3 batches a pass."""
    whole, killed = (tmp_path / name / "captioner.keras" for name in ("whole", "killed"))
    whole.parent.mkdir()
    short(drawn_shards, whole, epoch_steps=4)
    seen = killed_at(drawn_shards, killed, (2, 6, 9), epoch_steps=4, checkpoint_steps=3)
    assert [step for epoch, step in seen if epoch == 0] == [0, 1, 0, 1, 2, 3, 3, 4, 5, 3, 4, 5]
    assert seen[12:] == [(1, step) for step in range(6)]
    assert_same_end(whole, killed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_saves_and_says_how_to_resume(number, unbroken, drawn_shards, tmp_path, capsys):
    handler, path = signal.getsignal(number), tmp_path / "captioner.keras"

    def interrupt(state):
        if (state.epoch, state.step) == (1, 0):
            signal.raise_signal(number)

    with (
        at_each_step(interrupt),
        pytest.raises(TrainingError, match=r"epoch 2, after step 1 of 3.*--resume") as stopped,
    ):
        short(drawn_shards, path)
    assert signal.getsignal(number) is handler and stopped.value.signal == number
    short(drawn_shards, path, resume=True)
    assert "going on at epoch 2, after step 1 of 3" in capsys.readouterr().err
    assert_same_end(unbroken, path)


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
