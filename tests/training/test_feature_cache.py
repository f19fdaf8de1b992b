import dataclasses
import json

import keras
import numpy as np
import pandas as pd
import pytest
from helpers import tiny
from helpers.clips import write_gif

from v2t_lib.captions_file import read_captions
from v2t_lib.models.captioner import Captioner, load
from v2t_lib.models.encoders import registry as encoders
from v2t_lib.shards.pack import pack
from v2t_lib.shards.reader import batches, iter_examples
from v2t_lib.specs import ClipSpec
from v2t_lib.training import feature_cache as features
from v2t_lib.training.feature_cache import cached_features
from v2t_lib.training.recipe import TrainingOptions
from v2t_lib.training.train import fit

SPEC = ClipSpec(3, 32, 32)


@pytest.fixture
def shards(tmp_path, monkeypatch):
    """Six clips in three shards, one of them with two captions."""
    monkeypatch.setattr("v2t_lib.shards.pack.CLIPS_PER_SHARD", 2)
    rows = []
    for number in range(6):
        write_gif(tmp_path / f"{number}.gif", number)
        rows.append(f"{number}.gif\t{tiny.SENTENCES[number % 3]}\n")
    captions = tmp_path / "captions.tsv"
    captions.write_text("".join([*rows, rows[0].replace("red", "green")]))
    pack(read_captions(captions), captions, tmp_path / "shards", SPEC, workers=1)
    return tmp_path / "shards"


def encoder(**options):
    made = encoders.get("mobilenet_v3_small", width=8, frozen=True, **options)
    made.build((None, *SPEC.shape))
    return made


def test_features_are_those_of_the_clips_and_made_once(shards, monkeypatch):
    frozen, asked = encoder(), []
    whole = features.FeatureWriter.predict_on_batch
    monkeypatch.setattr(
        features.FeatureWriter,
        "predict_on_batch",
        lambda self, clips: asked.append(len(clips)) or whole(self, clips),
    )
    out = cached_features(frozen, shards)
    about = json.loads((out / "dataset.json").read_text())
    assert about["clip_spec"] == dataclasses.asdict(SPEC)
    assert about["features"]["network"] == "MobileNetV3Small"
    made = batches(out, tiny.VOCABULARY, tiny.CAPTION, 4)
    got = np.concatenate([clips for (clips, _), _ in made])
    frames = [example.frames for example in iter_examples(shards) for _ in example.captions]
    expected = np.asarray(frozen.features(np.stack(frames)))
    assert got.dtype == np.float16 and got.shape == (7, *frozen.feature_shape)
    np.testing.assert_allclose(got, expected, rtol=2e-3, atol=2e-3)
    assert asked == [2, 2, 2]
    # Interrupted before the end: what is there stays.
    (out / "dataset.json").unlink()
    (out / about["shards"][1]["name"]).unlink()
    assert cached_features(frozen, shards) == out and asked == [2, 2, 2, 2]
    assert json.loads((out / "dataset.json").read_text()) == about
    assert cached_features(frozen, shards) == out and asked == [2, 2, 2, 2]


def test_other_weights_have_other_features(shards):
    one, other = encoder(), encoder()
    assert features._digest(one) != features._digest(other)
    other.backbone.set_weights(one.backbone.get_weights())
    assert features._digest(one) == features._digest(other)


def test_features_that_change_are_not_kept(shards):
    for name in ("mobilenet_v3_small", "conv3d"):
        assert cached_features(encoders.get(name), shards) == shards
    assert not list(shards.glob("features-*"))


@pytest.mark.usefixtures("eager")
def test_training_on_features_is_training_on_clips(shards, tmp_path, monkeypatch):
    """The losses agree within float16's digits, and what is saved captions clips."""
    losses, options = [], TrainingOptions(epochs=1, batch_size=3)
    for name, cached in (("features", cached_features), ("clips", lambda encoder, shards: shards)):
        monkeypatch.setattr("v2t_lib.training.train.cached_features", cached)
        keras.utils.set_random_seed(0)
        captioner = Captioner(SPEC, tiny.CAPTION, tiny.VOCABULARY, encoder(), tiny.DECODER)
        path = tmp_path / name / "captioner.keras"
        path.parent.mkdir()
        losses.append(fit(captioner, shards, path, options)["loss"])
    pd.testing.assert_series_equal(*losses, rtol=1e-3)
    assert load(path).caption_frames(np.zeros((1, *SPEC.shape), np.uint8))
