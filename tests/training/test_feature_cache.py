import dataclasses
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pandas as pd
import pytest
from helpers import tiny
from helpers.clips import write_gif
from helpers.processes import in_this_process

from v2t_lib.captions_file import read_captions
from v2t_lib.errors import DataError, ModelError
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.encoders import registry as encoders
from v2t_lib.models.saving import load
from v2t_lib.shards.pack import pack
from v2t_lib.shards.reader import ShardDataset
from v2t_lib.specs import CaptionSpec, ClipSpec
from v2t_lib.training import feature_cache as features
from v2t_lib.training.feature_cache import cached_features
from v2t_lib.training.fit import fit
from v2t_lib.training.recipe import TrainingOptions

pytestmark = pytest.mark.usefixtures("eager")

SPEC, CAPTION = ClipSpec(3, 32, 32), CaptionSpec(length=2)


@pytest.fixture
def shards(tmp_path, monkeypatch):
    """Six clips in three shards, one of them with two captions."""
    monkeypatch.setattr("v2t_lib.shards.plan.SOURCES", 2)
    rows = []
    for number in range(6):
        write_gif(tmp_path / f"{number}.gif", number)
        rows.append(f"{number}.gif\t{tiny.SENTENCES[number % 3]}\n")
    captions = tmp_path / "captions.tsv"
    captions.write_text("".join([*rows, rows[0].replace("red", "green")]))
    with in_this_process():
        pack(read_captions(captions), captions, tmp_path / "shards", SPEC)
    return ShardDataset.open(tmp_path / "shards")


@pytest.fixture(autouse=True)
def small_network(monkeypatch):
    """MobileNet's place is taken by a network of one layer, whose features vary."""

    def make(self, picture, weights):
        layers = [keras.layers.AveragePooling2D(16), keras.layers.Conv2D(12, 1)]
        frames = keras.Input(picture)
        x = keras.layers.Rescaling(1 / 64)(frames)
        for layer in layers:
            x = layer(x)
        return keras.Model(frames, keras.layers.AveragePooling2D(2)(x))

    monkeypatch.setattr(encoders.ENCODERS["mobilenet_v3_small"], "make_network", make)


def encoder(**options):
    made = encoders.get("mobilenet_v3_small", weights=None, width=8, frozen=True, **options)
    made.build((None, *SPEC.shape))
    return made


def test_features_are_those_of_the_clips_and_made_once(shards, monkeypatch):
    frozen, asked = encoder(), []
    whole, stop = features.Compiled.predict_on_batch, [3]

    def predict(self, clips):
        asked.append(len(clips))
        if len(asked) in stop:
            raise KeyboardInterrupt
        return whole(self, clips)

    monkeypatch.setattr(features.Compiled, "predict_on_batch", predict)
    with pytest.raises(KeyboardInterrupt):
        cached_features(frozen, shards)
    # Interrupted in the third shard: the two before it stay.
    out = cached_features(frozen, shards)
    assert asked == [32] * 4 and out == ShardDataset.open(out.folder)
    assert out.info.clip_spec == SPEC and out.info.features.network == "MobileNetV3Small"
    assert len(list(out.folder.glob("*.tfrecord"))) == 3
    made = out.batches(tiny.VOCABULARY, tiny.CAPTION, 4)
    got = np.concatenate([clips for (clips, _), _ in made])
    frames = [example.frames for example in shards.examples() for _ in example.captions]
    expected = np.stack([np.asarray(frozen.features(clip)) for clip in frames])
    assert got.dtype == np.float16 and got.shape == (7, *frozen.feature_shape)
    np.testing.assert_allclose(got, expected, rtol=2e-3, atol=2e-3)
    assert cached_features(frozen, shards) == out and len(asked) == 4


def of_other_clips(shards, digest="others"):
    """The same folder, as if it held other clips."""
    return ShardDataset(shards.folder, dataclasses.replace(shards.info, digest=digest))


def test_only_features_of_a_frozen_network_are_kept_and_those_of_other_clips_apart(shards):
    for name in ("mobilenet_v3_small", "conv3d"):
        assert cached_features(encoders.get(name), shards) is shards
    before, after = (cached_features(encoder(), one) for one in (shards, of_other_clips(shards)))
    assert after.folder != before.folder and after.info.shards == before.info.shards
    assert ShardDataset.open(before.folder) == before  # a training may still read it
    with pytest.raises(DataError, match="Received: features of MobileNetV3Small"):
        cached_features(encoder(), before)


def test_features_of_shards_that_may_not_be_written_to_lie_with_the_run(
    shards, tmp_path, monkeypatch
):
    """Those that lie in the shards already are read there, as in a data set that has them."""
    made = cached_features(one := encoder(components=6), shards)
    monkeypatch.setattr(features.os, "access", lambda path, mode: path != shards.folder)
    assert cached_features(like(one), shards, fallback=tmp_path / "run") == made
    assert not (tmp_path / "run").exists()
    other = of_other_clips(shards)
    out = cached_features(frozen := encoder(), other, fallback=tmp_path / "run")
    assert out.folder.parent == tmp_path / "run" and out.info.clips == shards.info.clips
    assert cached_features(frozen, other, fallback=tmp_path / "run") == out


def like(one, components=6):
    """An encoder with the same image network, whose components are to be fitted."""
    other = encoder(components=components)
    other.backbone.set_weights(one.backbone.get_weights())
    return other


def test_components_are_fitted_once_and_hold_for_every_split(shards, tmp_path):
    val = of_other_clips(shards)
    one, cache = encoder(components=6), tmp_path / "cache"
    kept = [cached_features(one, part, cache) for part in (shards, val)]
    assert kept[0].folder.parent == kept[1].folder.parent == cache
    assert not list(shards.folder.glob("features-*"))
    assert kept[0].info.features.dtype == "int8" and kept[0].info.features.shape == (3, 1, 1, 6)
    (clips, _), _ = next(iter(kept[1].batches(tiny.VOCABULARY, tiny.CAPTION, 7)))
    frames = [example.frames for example in shards.examples() for _ in example.captions]
    expected = np.stack([np.asarray(one.features(clip)) for clip in frames])
    assert clips.dtype == np.int8 and np.abs(clips.numpy().astype(int) - expected).max() <= 1
    assert np.abs(expected).max() > 30  # of 127, at five deviations
    again = like(one)
    assert [cached_features(again, part, cache) for part in (shards, val)] == kept
    for mine, theirs in zip(again.projection.weights, one.projection.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_each_data_set_and_number_of_components_has_components_of_its_own(shards, tmp_path):
    """Fewer on the same clips, as a full disk asks for; and other clips in the same cache."""
    cache, one = tmp_path / "cache", encoder(components=6)
    cached_features(one, shards, cache)
    assert cached_features(like(one, 3), shards, cache).info.features.shape == (3, 1, 1, 3)
    for number in range(6):
        write_gif(tmp_path / f"{number}.gif", number + 100)
    captions = tmp_path / "captions.tsv"
    with in_this_process():
        pack(read_captions(captions), captions, tmp_path / "second", SPEC)
    cached_features(second := like(one), tmp_path / "second", cache)
    assert np.abs(np.asarray(second.projection.mean) - one.projection.mean).max() > 1e-3


def test_of_two_trainings_that_share_a_cache_one_computes_and_the_other_waits(
    shards, tmp_path, monkeypatch
):
    one, computing, whole = encoder(components=6), [], features.of_distinct_frames

    def slow(model, clips, together):
        computing.append(threading.get_ident())
        time.sleep(0.2)
        return whole(model, clips, together)

    monkeypatch.setattr(features, "of_distinct_frames", slow)
    with ThreadPoolExecutor(2) as pool:
        trainings = [
            pool.submit(cached_features, part, shards, tmp_path) for part in (one, like(one))
        ]
        first, second = (training.result() for training in trainings)
    assert first == second and len(computing) == 1 + 3  # components, then a slice at a time


def test_the_space_that_features_take_is_said_first_and_missed_in_time(shards, monkeypatch, capsys):
    frozen = encoder(components=6)
    cached_features(frozen, shards)
    assert "0.0 MB for the features of 6 clips, computed once" in capsys.readouterr().err
    assert frozen.feature_bytes == 3 * 1 * 1 * 6
    usage = features.shutil.disk_usage("/")
    monkeypatch.setattr(features.shutil, "disk_usage", lambda path: usage._replace(free=10))
    with pytest.raises(DataError, match=r"Received: 0 MB free; keep fewer components"):
        cached_features(encoder(components=6), shards)


def test_frames_that_recur_are_computed_once(monkeypatch):
    frozen, seen = encoder(), []
    whole = features.Compiled.predict_on_batch
    monkeypatch.setattr(
        features.Compiled,
        "predict_on_batch",
        lambda self, frames: seen.append(len(np.unique(frames, axis=0))) or whole(self, frames),
    )
    clips = np.random.default_rng(0).integers(0, 256, (3, *SPEC.shape), dtype=np.uint8)
    clips[1] = clips[0]
    clips[2, 2] = clips[2, 0]
    found = features.of_distinct_frames(features.Compiled(frozen.stored, frozen), clips)
    assert seen == [5]
    expected = np.stack([np.asarray(frozen.features(clip)) for clip in clips])
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)


def test_a_frozen_network_is_in_no_checkpoint_and_has_to_be_the_same_to_go_on(shards, tmp_path):
    path, options = tmp_path / "captioner.keras", TrainingOptions(epochs=1, batch_size=3)

    def run(part, resume=False):
        captioner = Captioner(SPEC, CAPTION, tiny.VOCABULARY, part, tiny.DECODER)
        fit(captioner, shards, path, options, resume=resume)

    run(one := encoder(components=6))
    (saved,) = (tmp_path / ".captioner-checkpoints").glob("*.npz")
    frozen = {np.asarray(weight).tobytes() for weight in one.backbone.weights}
    with np.load(saved) as parts:
        held = {parts[name].tobytes() for name in parts.files}
    assert frozen and not frozen & held
    assert np.asarray(one.projection.axes).tobytes() in held  # fitted to the clips
    run(like(one), resume=True)
    with pytest.raises(ModelError, match=r"a run with .*'frozen weights'.* Received: one with"):
        run(encoder(components=6), resume=True)


def test_training_on_features_is_training_on_clips(shards, tmp_path, monkeypatch):
    """The losses agree within float16's digits, and what is saved captions clips."""
    losses, options = [], TrainingOptions(epochs=1, batch_size=3)
    for name, cached in (("features", cached_features), ("clips", lambda _, shards, *__: shards)):
        monkeypatch.setattr("v2t_lib.training.fit.cached_features", cached)
        keras.utils.set_random_seed(0)
        captioner = Captioner(SPEC, CAPTION, tiny.VOCABULARY, encoder(), tiny.DECODER)
        path = tmp_path / name / "captioner.keras"
        path.parent.mkdir()
        losses.append(fit(captioner, shards, path, options)["loss"])
    pd.testing.assert_series_equal(*losses, rtol=1e-3)
    assert load(path).caption_frames(np.zeros((1, *SPEC.shape), np.uint8))
