"""What `v2t train`'s options do to a run: each test fails where its option has no effect."""

import contextlib
import dataclasses
import itertools

import keras
import numpy as np
import pytest
from helpers import tiny
from helpers.runs import TOKENS, Killed, assert_same_end, eagerly, learn

from v2t_lib.cli.main import main
from v2t_lib.errors import ModelError
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.encoders import registry as encoders
from v2t_lib.models.saving import load, save
from v2t_lib.specs import CaptionSpec
from v2t_lib.text.vocabulary import Vocabulary
from v2t_lib.training.callbacks import ResumableState
from v2t_lib.training.fit import fit
from v2t_lib.training.recipe import DecoderOptions, Recipe, TrainingOptions
from v2t_lib.training.train import grow, train, warm_start


def weights(captioner):
    return np.concatenate([np.ravel(w) for w in captioner.get_weights()])


@pytest.mark.usefixtures("eager")
def test_accumulated_gradients_make_one_step():
    captioner = tiny.captioner("blind")
    step, seen = learn(captioner, accumulate=2), [weights(captioner)]
    for _ in range(6):
        step()
        seen.append(weights(captioner))
    changed = [bool((one != other).any()) for one, other in itertools.pairwise(seen)]
    assert changed == [False, True, False, True, False, True]


def test_compiled_steps_are_those_taken_one_by_one():
    """Losses, weights and averages, with all that counts steps or draws at random."""
    ends = []
    for way in (contextlib.nullcontext, eagerly):
        keras.utils.set_random_seed(0)
        captioner = tiny.captioner("blind", tiny.DECODER | {"dropout": 0.3}, CaptionSpec(length=3))
        with way():
            step = learn(captioner, accumulate=2, ema=0.9)
            assert captioner.run_eagerly == (way is eagerly)
            losses = [step() for _ in range(6)]
        averages = captioner.optimizer._model_variables_moving_average
        ends.append((losses, captioner.get_weights(), [np.asarray(one) for one in averages]))
    for compiled, eager in zip(*(keras.tree.flatten(end) for end in ends), strict=True):
        np.testing.assert_allclose(compiled, eager, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("eager")
def test_half_precision_scales_the_loss_and_keeps_whole_weights():
    encoder = encoders.get("conv3d", **tiny.ENCODER, dtype="mixed_float16")
    captioner = Captioner(
        tiny.CLIP, tiny.CAPTION, tiny.VOCABULARY, encoder, tiny.DECODER, dtype="mixed_float16"
    )
    step = learn(captioner, learning_rate=1e-2)
    assert isinstance(captioner.optimizer, keras.optimizers.LossScaleOptimizer)
    losses = [step() for _ in range(6)]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    assert {keras.backend.standardize_dtype(w.dtype) for w in captioner.weights} == {"float32"}
    logits = captioner((tiny.frames(3), TOKENS[:, :-1]))
    assert keras.backend.standardize_dtype(logits.dtype) == "float16"


def test_a_warm_start_knows_what_the_older_model_knew():
    keras.utils.set_random_seed(1)
    old = tiny.captioner()
    fresh = Vocabulary.from_captions(["a red zebra spins", "a lime star"])
    grown = grow(old.vocabulary, fresh)
    known = len(old.vocabulary)
    assert grown.words[:known] == old.vocabulary.words
    assert set(grown.words[known:]) == {"zebra", "lime"}
    new = Captioner(
        tiny.CLIP, tiny.CAPTION, grown, encoders.get("conv3d", **tiny.ENCODER), tiny.DECODER
    )
    begun = new.decoder.embedding.get_weights()[0]
    warm_start(new, old)
    inputs = (tiny.frames(3), TOKENS[:, :-1])
    np.testing.assert_allclose(
        np.asarray(new(inputs))[..., :known], np.asarray(old(inputs)), rtol=1e-5, atol=1e-5
    )
    np.testing.assert_array_equal(new.decoder.embedding.get_weights()[0][known:], begun[known:])
    for other in (tiny.captioner("blind"), tiny.captioner(decoder=tiny.DECODER | {"units": 32})):
        with pytest.raises(ModelError, match=r"weights to begin with.* Received: one with"):
            warm_start(other, old)


@pytest.mark.usefixtures("eager")
def test_averaged_weights_are_saved_and_a_killed_run_keeps_every_option(
    shards, tmp_path, monkeypatch
):
    """Moving averages, accumulation, dropout and half precision."""
    options = TrainingOptions(
        epochs=2,
        batch_size=4,
        checkpoint_steps=1,
        accumulate=2,
        ema=0.9,
        precision="mixed_bfloat16",
        learning_rate=1e-2,
    )

    def run(out, resume=False):
        keras.utils.set_random_seed(0)
        captioner = Captioner(
            *(tiny.CLIP, CaptionSpec(length=3), tiny.VOCABULARY),
            encoders.get("blind", dtype=options.precision),
            tiny.DECODER | {"dropout": 0.3},
            dtype=options.precision,
        )
        out.mkdir(exist_ok=True)
        rows = fit(captioner, shards, out / "captioner.keras", options, shards, resume)
        return captioner, rows

    captioner, rows = run(tmp_path / "one")
    kept = load(tmp_path / "one" / "captioner.keras")
    averages = captioner.optimizer._model_variables_moving_average
    assert rows["val_loss"].is_monotonic_decreasing
    for mine, average in zip(kept.trainable_variables, averages, strict=True):
        np.testing.assert_array_equal(np.asarray(mine), np.asarray(average))
    np.testing.assert_array_equal(weights(kept), weights(captioner))
    number = [v.path for v in captioner.variables].index(captioner.decoder.vocabulary.kernel.path)
    with np.load(max((tmp_path / "one" / ".captioner-checkpoints").glob("*.npz"))) as parts:
        trained = parts[f"{number:05d}"]
    assert (trained != np.asarray(kept.decoder.vocabulary.kernel)).any()
    whole = ResumableState.on_train_batch_end

    def killed(self, batch, logs=None):
        whole(self, batch, logs)
        if (self.epoch, self.step) == (1, 1):
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(ResumableState, "on_train_batch_end", killed)
        run(tmp_path / "two")
    run(tmp_path / "two", resume=True)
    assert_same_end(*(tmp_path / name / "captioner.keras" for name in ("one", "two")))


def test_the_command_line_passes_every_option_on(tmp_path, monkeypatch):
    got = {}

    def train(shards, out, recipe, **given):
        got.update(given, recipe=recipe)

    monkeypatch.setattr("v2t_lib.training.train.train", train)
    flags = ["--start-from", "m.keras", "--copy-to", "drive", "--ema", "0.99", "--dropout", "0.1"]
    assert main(["train", "shards", "--out", str(tmp_path), *flags]) == 0
    assert got["recipe"].training == TrainingOptions(ema=0.99)
    assert got["recipe"].decoder == DecoderOptions(dropout=0.1)
    assert str(got["start_from"]) == "m.keras" and str(got["copy_to"]) == "drive"


@pytest.mark.usefixtures("eager")
def test_a_run_starts_from_a_model(shards, tmp_path):
    """Its encoder, sizes and words, without being asked for them."""
    keras.utils.set_random_seed(1)
    encoder = encoders.get("blind", memory_size=8)
    old = Captioner(
        tiny.CLIP, tiny.CAPTION, Vocabulary.from_captions(["an old word"]), encoder, tiny.DECODER
    )
    save(old, tmp_path / "old.keras")
    options = dataclasses.replace(TrainingOptions(), epochs=1, batch_size=4, learning_rate=1e-9)
    new = train(
        shards,
        tmp_path / "run",
        Recipe(caption=tiny.CAPTION, training=options),
        start_from=tmp_path / "old.keras",
    )
    assert new.encoder.memory_size == 8 and new.decoder.units == tiny.DECODER["units"]
    assert new.vocabulary.words[: len(old.vocabulary)] == old.vocabulary.words
    assert "star" in new.vocabulary.words
    for one, other in zip(
        new.decoder.cell.get_weights(), old.decoder.cell.get_weights(), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)
