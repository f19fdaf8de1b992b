"""Two devices train as one does: the two logical ones that `make test-jax` makes of a processor."""

import keras
import numpy as np
import pandas as pd
import pytest
from helpers import tiny
from helpers.runs import Killed, assert_same_end

from v2t_lib.cli.main import main
from v2t_lib.errors import DeviceError
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.devices import split, spread
from v2t_lib.models.encoders import registry as encoders
from v2t_lib.models.saving import load
from v2t_lib.specs import CaptionSpec
from v2t_lib.training.callbacks import ResumableState
from v2t_lib.training.fit import fit
from v2t_lib.training.recipe import TrainingOptions
from v2t_lib.training.scst import train_scst

pytestmark = pytest.mark.jax

CLIPS = 13  # three batches of 4, and one clip that no two devices can share
OPTIONS = TrainingOptions(epochs=2, batch_size=4, learning_rate=1e-2, checkpoint_steps=1)
LENGTH = CaptionSpec(length=4)  # what XLA compiles grows with it
DECODER = tiny.DECODER | {"dropout": 0.2}


@pytest.fixture(scope="module")
def shards(packed, tmp_path_factory):
    captions = [[tiny.SENTENCES[number % 3]] for number in range(CLIPS)]
    return packed(tmp_path_factory.mktemp("data"), captions)


def run(shards, folder, count, resume=False):
    """The captioner of a whole run on `count` devices, its losses step by step and its history."""
    losses = []
    told = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: losses.append(float(logs["loss"]))
    )
    with spread(count, OPTIONS.batch_size):
        keras.utils.set_random_seed(0)
        encoder = encoders.get("conv3d", **tiny.ENCODER)
        captioner = Captioner(tiny.CLIP, LENGTH, tiny.VOCABULARY, encoder, DECODER)
        path = folder / "captioner.keras"
        rows = fit(captioner, shards, path, OPTIONS, shards, resume, callbacks=[told])
    return captioner, losses, rows


@pytest.fixture(scope="module")
def one(shards, tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    return folder, *run(shards, folder, 1)


@pytest.fixture(scope="module")
def two(shards, tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    return folder, *run(shards, folder, 2)


def test_losses_and_weights_are_those_of_one_device(one, two):
    """Those of each step, with dropout, and of validation, its odd batch included."""
    (_, alone, losses, rows), (_, shared, same_losses, same_rows) = one, two
    assert len(losses) == 6
    np.testing.assert_allclose(same_losses, losses, rtol=0, atol=1e-5)
    assert {"loss", "val_loss", "distinct_captions"} <= set(rows.columns)
    np.testing.assert_allclose(same_rows, rows, rtol=0, atol=1e-5)
    for mine, other in zip(shared.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=0, atol=1e-5)


def test_every_device_has_the_weights_and_an_equal_part_of_a_batch(two):
    _, captioner, *_ = two
    assert {len(weight.value.sharding.device_set) for weight in captioner.weights} == {2}
    clips = tiny.frames(4)
    assert split(clips) is clips
    with spread(2, 4):
        for batch, shares in ((clips, [clips[:2], clips[2:]]), (clips[:3], [clips[:3]] * 2)):
            held = sorted(split(batch).addressable_shards, key=lambda shard: shard.device.id)
            for shard, share in zip(held, shares, strict=True):
                np.testing.assert_array_equal(shard.data, share)


def test_a_run_killed_on_two_devices_ends_as_if_it_had_not_been(shards, two, tmp_path, monkeypatch):
    whole = ResumableState.on_train_batch_end

    def killed(self, batch, logs=None):
        whole(self, batch, logs)
        if (self.epoch, self.step) == (1, 2):
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(ResumableState, "on_train_batch_end", killed)
        run(shards, tmp_path, 2)
    run(shards, tmp_path, 2, resume=True)
    assert_same_end(*(folder / "captioner.keras" for folder in (two[0], tmp_path)))


def test_a_saved_model_needs_no_devices_and_captions_as_on_two(two):
    path, frames = two[0] / "captioner.keras", tiny.frames(4)
    texts = list(tiny.SENTENCES)

    def written(captioner):
        """By a batch that two can share, by one clip, and by three sentences given."""
        return [
            *captioner.caption_frames(frames, beam=2),
            *captioner.caption_frames(frames[:1]),
            *captioner.explain_frames(frames[:3], texts),
        ]

    alone = load(path)
    assert {len(weight.value.sharding.device_set) for weight in alone.weights} == {1}
    with spread(2, 4):
        shared = written(load(path))
    for mine, other in zip(shared, written(alone), strict=True):
        assert mine.words == other.words
        np.testing.assert_allclose(mine.probs, other.probs, rtol=1e-5)
        np.testing.assert_allclose(mine.attention, other.attention, rtol=1e-5, atol=1e-6)


def test_the_self_critical_stage_is_that_of_one_device(shards, two, tmp_path):
    histories, weights = [], []
    for count in (1, 2):
        folder = tmp_path / str(count)
        folder.mkdir()
        (folder / "captioner.keras").write_bytes((two[0] / "captioner.keras").read_bytes())
        with spread(count, OPTIONS.batch_size):
            train_scst(folder, shards, 1, options=OPTIONS)
        histories.append(pd.read_csv(folder / "scst.csv"))
        weights.append(load(folder / "scst.keras").get_weights())
    pd.testing.assert_frame_equal(*histories, rtol=1e-5)
    for mine, other in zip(*weights, strict=True):
        np.testing.assert_allclose(mine, other, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("count", "batch_size", "message"),
    [
        (3, 6, r"expected 3 devices. Received: 2 \(cpu:0, cpu:1\)"),
        (2, 5, r"Received: 5 examples a batch; ask for a multiple of 2"),
    ],
)
def test_devices_that_are_not_there_and_uneven_batches_are_refused(count, batch_size, message):
    with pytest.raises(DeviceError, match=message), spread(count, batch_size):
        pytest.fail("expected no devices")
    assert keras.distribution.distribution() is None


def test_the_command_trains_on_as_many_devices_as_asked_for(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "v2t_lib.training.train.train",
        lambda *_, **__: seen.append(keras.distribution.distribution().device_mesh.shape),
    )
    assert main(["train", "shards", "--out", str(tmp_path), "--devices", "2"]) == 0
    assert seen == [(2,)] and keras.distribution.distribution() is None
