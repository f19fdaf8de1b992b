"""`train`: a captioner and its blind twin, from shards to saved models."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import time
import types

import numpy as np
import pandas as pd
import pytest
from helpers import tiny
from helpers.runs import assert_same_end, eagerly

import v2t_lib as v2t
from v2t_lib.captions_file import read_captions, select
from v2t_lib.errors import DataError, TrainingError
from v2t_lib.evaluation import cross_entropy, evaluate
from v2t_lib.shards.pack import pack
from v2t_lib.shards.reader import ShardDataset
from v2t_lib.specs import CaptionSpec, ClipSpec
from v2t_lib.training.recipe import DecoderOptions, Recipe, TrainingOptions
from v2t_lib.training.train import train

OPTIONS = TrainingOptions(epochs=2, batch_size=24, learning_rate=3e-3, checkpoint_steps=1)


DECODER = tiny.DECODER | {"dropout": 0.2}


RECIPE = Recipe(
    caption=CaptionSpec(length=4),
    encoder_options=tiny.ENCODER,
    decoder=DecoderOptions(**DECODER),
    training=OPTIONS,
)


def run(drawn_shards, out, **options):
    return train(drawn_shards / "train", out, RECIPE, val=drawn_shards / "val", **options)


@pytest.fixture
def plan(monkeypatch):
    """Makes `train` say what it would fit, instead of fitting."""

    def planned(*given, **options):
        plans = []

        def fit(captioner, shards, path, options, val, resume, mirror, callbacks=(), cache=None):
            plans.append(types.SimpleNamespace(**locals()))

        monkeypatch.setattr("v2t_lib.training.train.fit", fit)
        returned = train(*given, **options)
        assert returned is plans[-1].captioner
        return plans

    return planned


def test_the_twin_comes_first_and_trains_as_long(plan, drawn_shards, tmp_path, capsys):
    training = dataclasses.replace(OPTIONS, epochs=7)
    recipe = dataclasses.replace(RECIPE, training=training)
    twin, full = plan(drawn_shards / "train", tmp_path, recipe, resume=True, callbacks=["mine"])
    assert (twin.path, full.path) == (tmp_path / "blind.keras", tmp_path / "captioner.keras")
    assert full.options == twin.options == training
    assert twin.resume and full.resume and full.callbacks == ["mine"] and not twin.callbacks
    assert twin.captioner.encoder.memory_size == full.captioner.encoder.memory_size
    assert full.captioner.clip_spec == tiny.CLIP and full.captioner.caption_spec.length == 4
    said = r"warning: (\d+) of \1 captions have more than 3 words .*; --length \d+ keeps 99%"
    assert re.search(said, capsys.readouterr().err)


def test_bfloat16_convolutions_on_a_cpu_are_refused_with_the_reason(plan, drawn_shards, tmp_path):
    training = dataclasses.replace(OPTIONS, precision="mixed_bfloat16")
    recipe = dataclasses.replace(RECIPE, training=training)
    with pytest.raises(ValueError, match=r"mixed_bfloat16, .*3D convolutions are NaN"):
        plan(drawn_shards / "train", tmp_path, recipe)
    sightless = dataclasses.replace(recipe, encoder="blind", encoder_options={})
    plan(drawn_shards / "train", tmp_path, sightless)


def test_a_run_goes_on_with_the_shards_it_began_with(plan, drawn_shards, tmp_path):
    """Also from its copy on another machine; else its history would mix two data sets."""
    recipe = dataclasses.replace(RECIPE, encoder="blind", encoder_options={})
    shards, val, drive = drawn_shards / "train", drawn_shards / "val", tmp_path / "drive"
    plan(shards, tmp_path / "one", recipe, val=val, copy_to=drive)
    plan(shards, tmp_path / "two", recipe, val=val, copy_to=drive, resume=True)
    others = shutil.copytree(shards, tmp_path / "others")
    described = (others / "dataset.json").read_text()
    (others / "dataset.json").write_text(described.replace('"plan": "', '"plan": "0'))
    again = {"copy_to": drive, "resume": True}
    message = r"three: expected the training shards that its run.*others, with other.*--start-from"
    with pytest.raises(TrainingError, match=message):
        plan(others, tmp_path / "three", recipe, val=val, **again)
    with pytest.raises(TrainingError, match=r"the validation shards that.* Received: none, with"):
        plan(shards, tmp_path / "one", recipe, **again)
    plan(others, tmp_path / "one", recipe, overwrite=True, copy_to=drive)
    plan(others, tmp_path / "four", recipe, **again)
    for folder in ("one", "four"):  # runs of older versions have no note
        (tmp_path / folder / "data.json").write_text("damaged")
        plan(others, tmp_path / folder, recipe, resume=True)


@pytest.fixture(scope="module")
def finished(drawn_shards, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    with eagerly():
        run(drawn_shards, out)
    return out


def test_training_lowers_the_loss_and_leaves_its_files(finished):
    assert sorted(p.name for p in finished.iterdir() if not p.name.startswith(".")) == [
        "blind.csv",
        "blind.keras",
        "captioner.keras",
        "data.json",
        "history.csv",
    ]
    history = pd.read_csv(finished / "history.csv")
    assert history["epoch"].tolist() == [0, 1]
    assert history["loss"].is_monotonic_decreasing
    assert history["distinct_captions"].between(0, 1).all()
    assert len(pd.read_csv(finished / "blind.csv")) == len(history)


def test_the_saved_model_has_the_held_out_loss_that_the_history_says(finished, drawn_shards):
    best = pd.read_csv(finished / "history.csv")["val_loss"].min()
    with eagerly():
        captioner = v2t.load(finished / "captioner.keras")
        examples = list(ShardDataset.open(drawn_shards / "val").examples())
        frames = np.stack([example.frames for example in examples])
        captions = [example.captions for example in examples]
        nats, tokens = cross_entropy(captioner, frames, captioner.encode(frames), captions)
    assert nats / tokens == pytest.approx(best, rel=2e-2)


def test_the_blind_twin_has_the_same_decoder_and_sees_nothing_and_the_other_verifies(finished):
    captioner, blind = (v2t.load(finished / f"{name}.keras") for name in ("captioner", "blind"))
    assert blind.vocabulary == captioner.vocabulary
    assert [w.shape for w in blind.decoder.weights] == [w.shape for w in captioner.decoder.weights]
    with eagerly():
        captions = blind.caption_frames(np.concatenate([tiny.frames(3), tiny.frames(1) * 0]))
    assert len({caption.text for caption in captions}) == 1
    assert captioner.verifier.familiarity is not None and blind.verifier.null_memory is None
    assert captioner.verifier.calibration is None  # its captions are all longer than it writes
    with eagerly():
        (found,) = captioner.verify_frames(tiny.frames(1), ["there is a"])
    assert found.score is not None and found.verdict == "can't tell"


KILLED = """
import json, sys
from helpers.runs import eagerly
from v2t_lib.specs import CaptionSpec
from v2t_lib.training.recipe import DecoderOptions, Recipe, TrainingOptions
from v2t_lib.training.train import train
drawn_shards, out, encoder, decoder, options = map(json.loads, sys.argv[1:])
recipe = Recipe(caption=CaptionSpec(length=4), encoder_options=encoder,
                decoder=DecoderOptions(**decoder), training=TrainingOptions(**options))
with eagerly():
    train(drawn_shards + "/train", out, recipe, val=drawn_shards + "/val", resume=True)
"""


def test_a_run_whose_process_was_killed_resumes_in_another(
    finished, drawn_shards, tmp_path, capsys
):
    given = (str(drawn_shards), str(tmp_path), tiny.ENCODER, DECODER, dataclasses.asdict(OPTIONS))
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, *map(json.dumps, given)],
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(".captioner-checkpoints/*.npz")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    with eagerly():
        run(drawn_shards, tmp_path, resume=True)
    assert "going on at epoch" in capsys.readouterr().err
    for name in ("captioner.keras", "blind.keras"):
        assert_same_end(finished / name, tmp_path / name)


@pytest.mark.usefixtures("eager")
def test_a_finished_run_can_be_extended_from_its_copy(drawn_shards, tmp_path):
    """The machine is lost, its drive is not."""

    def sightless(out, epochs, **options):
        recipe = Recipe(
            caption=CaptionSpec(length=3),
            encoder="blind",
            decoder=DecoderOptions(**DECODER),
            training=dataclasses.replace(OPTIONS, epochs=epochs, batch_size=48),
        )
        drive = tmp_path / "drive"
        return train(drawn_shards / "train", tmp_path / out, recipe, copy_to=drive, **options)

    sightless("one", 1)
    first = pd.read_csv(tmp_path / "drive" / "history.csv")
    returned = sightless("two", 2, resume=True).get_weights()
    saved = v2t.load(tmp_path / "two" / "captioner.keras").get_weights()
    assert all((mine == theirs).all() for mine, theirs in zip(returned, saved, strict=True))
    history = pd.read_csv(tmp_path / "two" / "history.csv")
    assert history["epoch"].tolist() == [0, 1]
    pd.testing.assert_frame_equal(history.iloc[:1], first)
    names = [{p.name for p in (tmp_path / out).rglob("*.*")} for out in ("two", "drive")]
    assert names[0] == names[1]


def test_shards_of_another_size_are_refused(drawn_shards, tmp_path):
    captions = drawn_shards.parent / "captions.tsv"
    records = select(read_captions(captions), drawn_shards.parent / "val.txt")
    pack(records, captions, tmp_path / "large", ClipSpec(4, 24, 24), workers=1)
    with pytest.raises(DataError, match="Received: ClipSpec"):
        train(drawn_shards / "train", tmp_path / "run", val=tmp_path / "large")
    with pytest.raises(DataError, match="pack again at the model's size"):
        evaluate(tiny.captioner(), tmp_path / "large")
