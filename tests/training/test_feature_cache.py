import collections
import dataclasses
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from helpers import tiny
from helpers.clips import write_gif
from helpers.processes import in_this_process

from v2t_lib.captions_file import read_captions
from v2t_lib.errors import DataError
from v2t_lib.fetching.fetch import fetch
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.encoders import registry as encoders
from v2t_lib.models.saving import load
from v2t_lib.shards.merge import merge
from v2t_lib.shards.pack import pack
from v2t_lib.shards.reader import ShardDataset
from v2t_lib.shards.writer import ShardWriter
from v2t_lib.specs import CaptionSpec, ClipSpec
from v2t_lib.training import feature_cache as features
from v2t_lib.training.feature_cache import cached_features
from v2t_lib.training.fit import fit
from v2t_lib.training.recipe import DecoderOptions, Recipe, TrainingOptions
from v2t_lib.training.train import train

pytestmark = pytest.mark.usefixtures("eager")

SPEC, CAPTION = ClipSpec(3, 32, 32), CaptionSpec(length=2)


@pytest.fixture
def shards(tmp_path, monkeypatch):
    """Six clips in three shards, one of them with two captions."""
    monkeypatch.setattr(ShardWriter, "clips_per_shard", 2)
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
    whole, stop = features.CompiledFeatures.predict_on_batch, [3]

    def predict(self, clips):
        asked.append(len(clips))
        if len(asked) in stop:
            raise KeyboardInterrupt
        return whole(self, clips)

    monkeypatch.setattr(features.CompiledFeatures, "predict_on_batch", predict)
    monkeypatch.setattr(features, "_seconds_a_frame", lambda model: 0)
    with pytest.raises(KeyboardInterrupt):
        cached_features(frozen, shards)
    # Interrupted in the third shard: the two before it stay.
    out = cached_features(frozen, shards)
    assert asked == [32] * 4 and out == ShardDataset.open(out.folder)
    about = json.loads((out.folder / "dataset.json").read_text())
    assert about["clip_spec"] == dataclasses.asdict(SPEC)
    assert about["features"]["network"] == "MobileNetV3Small"
    assert {path.name for path in out.folder.iterdir()} == {
        "dataset.json",
        *(name for n in range(3) for name in (f"{n:05d}.json", f"{n:05d}.tfrecord")),
    }
    made = out.batches(tiny.VOCABULARY, tiny.CAPTION, 4)
    got = np.concatenate([clips for (clips, _), _ in made])
    frames = [example.frames for example in shards.examples() for _ in example.captions]
    expected = np.stack([np.asarray(frozen.features(clip)) for clip in frames])
    assert got.dtype == np.float16 and got.shape == (7, *frozen.feature_shape)
    np.testing.assert_allclose(got, expected, rtol=2e-3, atol=2e-3)
    assert cached_features(frozen, shards) == out and len(asked) == 4


def test_features_of_clips_that_have_changed_are_computed_again(shards):
    frozen = encoder()
    before = cached_features(frozen, shards)
    info = dataclasses.replace(shards.info, digest="of other clips")
    after = cached_features(frozen, ShardDataset(shards.folder, info))
    assert after.folder == before.folder
    assert after.info.digest != before.info.digest
    assert after.info.shards == before.info.shards


def test_features_of_shards_that_may_not_be_written_to_lie_with_the_run(
    shards, tmp_path, monkeypatch
):
    other = ShardDataset(shards.folder, dataclasses.replace(shards.info, digest="read-only"))
    monkeypatch.setattr(features.os, "access", lambda path, mode: path != shards.folder)
    out = cached_features(frozen := encoder(), other, fallback=tmp_path / "run")
    assert out.folder.parent == tmp_path / "run" and out.info.clips == shards.info.clips
    assert cached_features(frozen, other, fallback=tmp_path / "run") == out


def test_features_that_lie_in_shards_are_read_where_nothing_can_be_written(
    shards, tmp_path, monkeypatch
):
    """As in a data set that comes with its features."""
    made = cached_features(one := encoder(components=6), shards)
    another = encoder(components=6)
    another.backbone.set_weights(one.backbone.get_weights())
    monkeypatch.setattr(features.os, "access", lambda path, mode: path != shards.folder)
    assert cached_features(another, shards, fallback=tmp_path / "run") == made
    assert not list((tmp_path / "run").iterdir())


def test_other_weights_have_other_features(shards):
    one, other = encoder(), encoder()
    assert features._digest(one) != features._digest(other)
    other.backbone.set_weights(one.backbone.get_weights())
    assert features._digest(one) == features._digest(other)


def test_components_are_fitted_once_and_hold_for_every_split(shards, tmp_path):
    """The second training, of other shards even, finds the components of the first."""
    val = tmp_path / "val"
    shutil.copytree(shards.folder, val)
    one, cache = encoder(components=6), tmp_path / "cache"
    kept = [cached_features(one, folder, cache) for folder in (shards, val)]
    assert kept[0].folder.parent == kept[1].folder.parent == cache
    assert not list(shards.folder.glob("features-*"))
    assert kept[0].info.features.dtype == "int8" and kept[0].info.features.shape == (3, 1, 1, 6)
    (clips, _), _ = next(iter(kept[1].batches(tiny.VOCABULARY, tiny.CAPTION, 7)))
    frames = [example.frames for example in shards.examples() for _ in example.captions]
    expected = np.stack([np.asarray(one.features(clip)) for clip in frames])
    assert clips.dtype == np.int8 and np.abs(clips.numpy().astype(int) - expected).max() <= 1
    assert np.abs(expected).max() > 30  # of 127, at five deviations
    another = encoder(components=6)
    another.backbone.set_weights(one.backbone.get_weights())
    assert cached_features(another, val, cache) == kept[1]
    for mine, theirs in zip(another.projection.weights, one.projection.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_the_space_that_features_take_is_said_first_and_missed_in_time(shards, monkeypatch, capsys):
    frozen = encoder(components=6)
    cached_features(frozen, shards)
    assert (
        "0.0 MB for the features of 6 clips, computed once, in 1 min or less"
        in capsys.readouterr().err
    )
    assert frozen.feature_bytes == 3 * 1 * 1 * 6
    usage = features.shutil.disk_usage("/")
    monkeypatch.setattr(features.shutil, "disk_usage", lambda path: usage._replace(free=10))
    with pytest.raises(DataError, match=r"Received: 0 MB free; keep fewer components"):
        cached_features(encoder(components=6), shards)


def test_features_in_the_place_of_clips_are_refused(shards):
    frozen = encoder()
    kept = cached_features(frozen, shards)
    with pytest.raises(DataError, match="Received: features of MobileNetV3Small; name the folder"):
        cached_features(frozen, kept)


def test_frames_that_recur_are_computed_once(monkeypatch):
    frozen, seen = encoder(), []
    whole = features.CompiledFeatures.predict_on_batch
    monkeypatch.setattr(
        features.CompiledFeatures,
        "predict_on_batch",
        lambda self, frames: seen.append(len(np.unique(frames, axis=0))) or whole(self, frames),
    )
    clips = np.random.default_rng(0).integers(0, 256, (3, *SPEC.shape), dtype=np.uint8)
    clips[1] = clips[0]
    clips[2, 2] = clips[2, 0]
    found = features.CompiledFeatures(frozen).of_clips(clips)
    assert seen == [5]
    expected = np.stack([np.asarray(frozen.features(clip)) for clip in clips])
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)


def test_features_that_change_are_not_kept(shards):
    for name in ("mobilenet_v3_small", "conv3d"):
        assert cached_features(encoders.get(name), shards) is shards
    assert not list(shards.folder.glob("features-*"))


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


def fetched(records, captions, folder: Path) -> Path:
    fetch(records, captions, folder, spec=SPEC, workers=1)
    return folder / "all"


def merged(records, captions, folder: Path) -> Path:
    parts = {folder / "a": records[:4], folder / "b": records[4:]}
    for part, its_records in parts.items():
        pack(its_records, captions, part, SPEC, workers=1)
    merge(list(parts), folder / "shards")
    return folder / "shards"


@pytest.mark.parametrize("made", [fetched, merged])
def test_a_frozen_network_trains_on_fetched_and_merged_shards_too(shards, tmp_path, made):
    captions = tmp_path / "captions.tsv"
    folder = made(read_captions(captions), captions, tmp_path / "made")
    captioner = Captioner(SPEC, CAPTION, tiny.VOCABULARY, encoder(), tiny.DECODER)
    options = TrainingOptions(epochs=1, batch_size=3)
    assert np.isfinite(fit(captioner, folder, tmp_path / "captioner.keras", options)["loss"]).all()
    (kept,) = folder.glob("features-*/dataset.json")
    assert ShardDataset.open(kept.parent).info.clips == 6


def test_what_describes_a_data_set_is_read_once_a_run(shards, tmp_path, monkeypatch):
    val = tmp_path / "val"
    shutil.copytree(shards.folder, val)
    reads, read_text = collections.Counter(), Path.read_text

    def counted(path, *args, **options):
        reads[path] += path.name == "dataset.json"
        return read_text(path, *args, **options)

    monkeypatch.setattr(Path, "read_text", counted)
    recipe = Recipe(
        caption=CAPTION,
        encoder="mobilenet_v3_small",
        encoder_options={"weights": None, "width": 8, "frozen": True},
        decoder=DecoderOptions(**tiny.DECODER),
        training=TrainingOptions(epochs=1, batch_size=3),
    )
    captioner = train(shards.folder, tmp_path / "run", recipe, val=val)
    described = {shards.folder / "dataset.json": 1, val / "dataset.json": 1}
    seen = collections.Counter(+reads)
    kept = [cached_features(captioner.encoder, folder).folder for folder in (shards.folder, val)]
    # Of the features too: the twin's training makes them, the captioner's finds them.
    assert seen == described | {folder / "dataset.json": 1 for folder in kept}
