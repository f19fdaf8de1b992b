"""The last stage of training, for CIDEr itself: its reward, its draws, and that it raises both."""

import itertools

import keras
import numpy as np
import pandas as pd
import pytest
from helpers import tiny
from helpers.runs import TOKENS, Killed
from keras import ops

from v2t_lib.cli.main import main
from v2t_lib.errors import ModelError, TrainingError
from v2t_lib.metrics import coco as metrics
from v2t_lib.models.saving import load, save
from v2t_lib.shards.reader import ShardDataset
from v2t_lib.specs import CaptionSpec
from v2t_lib.training.losses import sentence_loss
from v2t_lib.training.recipe import TrainingOptions
from v2t_lib.training.run_folder import Mirror
from v2t_lib.training.scst import RATE_SHARE, Policy, Stage, train_scst


def stage(captioner, shards, tmp_path, **options):
    shards, options = ShardDataset.open(shards), TrainingOptions(batch_size=2, **options)
    return Stage(captioner, shards, options, tmp_path / "scst.keras", Mirror(tmp_path))


def policy(captioner, rate, **options):
    options = TrainingOptions(learning_rate=rate / RATE_SHARE, scst_temperature=1.0, **options)
    return Policy(captioner, options, jit_compile=False)


def test_the_reward_is_cider_with_the_training_captions_weights_and_end_as_a_word(shards, tmp_path):
    captioner = tiny.captioner()
    judge = stage(captioner, shards, tmp_path)
    corpus = [*ShardDataset.open(shards).sentences()]
    texts = ["a red star spins", "a red star", "the blue"]
    captions = np.stack([captioner.vocabulary.pack(text, 5)[1:] for text in texts])
    references = [corpus[0], corpus[1]]
    found = judge.reward(np.stack([captions, captions]), references)
    assert found.shape == (2, 3) and found[0, 0] == pytest.approx(10) and found[1, 0] < 1
    words = [[*text.split(), "END"] for text in texts]
    ended = [[[*text.split(), "END"] for text in of] for of in corpus]
    expected = metrics.cider(words, [ended[0]] * 3, metrics.Documents(ended))
    np.testing.assert_allclose(found[0], expected)


@pytest.mark.usefixtures("eager")
def test_what_earned_more_than_usual_becomes_more_probable_and_what_earned_less_less():
    captioner = tiny.captioner()
    memory = ops.convert_to_numpy(captioner.encoder(tiny.frames(2)))
    words, targets = TOKENS[:2, :-1], TOKENS[:2, 1:]

    def losses():
        return ops.convert_to_numpy(sentence_loss(targets, captioner.decoder(words, memory)[0]))

    before = losses()
    policy(captioner, 1e-3).train_on_batch((words, memory), targets, np.array([2.0, -1.0]))
    assert losses()[0] < before[0] and losses()[1] > before[1]


@pytest.mark.usefixtures("eager")
def test_samples_and_what_is_learnt_from_them_have_the_stages_temperature(shards, tmp_path):
    captioner = tiny.captioner()
    memory = ops.convert_to_numpy(captioner.encoder(tiny.frames(2)))
    of_stage = stage(captioner, shards, tmp_path, scst_temperature=0.01, scst_samples=3)
    sampled = of_stage.sample.run(memory)
    greedy = captioner.search(memory).tokens
    np.testing.assert_array_equal(sampled, greedy[:, None].repeat(3, axis=1))
    words = TOKENS[:2, :-1]
    logits = ops.convert_to_numpy(captioner.decoder(words, memory)[0])
    np.testing.assert_allclose(
        ops.convert_to_numpy(of_stage.policy((words, memory))), logits / 0.01, rtol=1e-4, atol=1e-2
    )


def test_a_huge_gradient_is_cut_to_the_norm():
    first = tiny.captioner("blind")
    second = tiny.captioner("blind")
    second.set_weights(first.get_weights())
    policies = [policy(captioner, 0.1, clip_norm=0.5) for captioner in (first, second)]
    gradients = [np.full(v.shape, 0.001, "float32") for v in policies[0].trainable_variables]
    norm = np.sqrt(sum(np.square(gradient).sum() for gradient in gradients))
    for one, scale in zip(policies, (1000.0, 0.5 / norm), strict=True):
        for factor in (1.0, scale):
            given = [ops.convert_to_tensor(factor * gradient) for gradient in gradients]
            one.optimizer.apply(given, one.trainable_variables)
    assert norm < 0.5
    for cut, whole in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_allclose(cut, whole, rtol=1e-4, atol=1e-6)


def test_batches_hold_every_clip_once_with_all_its_captions(shards):
    shards = ShardDataset.open(shards)
    first, second = (list(shards.clip_batches(3, seed=0, epoch=epoch)) for epoch in (0, 1))
    assert [clips.shape for clips, _ in first] == [(3, *tiny.CLIP.shape)] * 2
    assert [texts for _, texts in first] != [texts for _, texts in second]
    texts = [texts for _, batch in shards.clip_batches(3) for texts in batch]
    assert texts == [[tiny.SENTENCES[number % 3]] for number in range(8)]
    ((clips, sentences),) = shards.clip_batches(3, seed=0, epoch=0, skip=1)
    np.testing.assert_array_equal(clips, first[1][0])
    assert sentences == first[1][1]


OPTIONS = TrainingOptions(batch_size=2, learning_rate=1e-2, checkpoint_steps=2)


@pytest.fixture(scope="module")
def trained(shards, tmp_path_factory):
    """A captioner that has learnt two sentences for every clip, of which `shards` holds one."""
    keras.utils.set_random_seed(0)
    captioner = tiny.captioner(caption=CaptionSpec(length=3))
    examples = list(ShardDataset.open(shards).examples())
    clips = np.stack([example.frames for example in examples for _ in range(2)])
    numbers = [int(example.source[0]) + k for example in examples for k in range(2)]
    texts = [tiny.SENTENCES[number % 3] for number in numbers]
    tokens = np.stack([tiny.VOCABULARY.pack(text, 3) for text in texts])
    memory = ops.convert_to_numpy(captioner.encoder(clips))
    decoder = policy(captioner, 1e-2)
    for _ in range(60):
        decoder.train_on_batch((tokens[:, :-1], memory), tokens[:, 1:])
    out = tmp_path_factory.mktemp("trained")
    save(captioner, out / "captioner.keras")
    return out


@pytest.fixture
def run(trained, tmp_path):
    (tmp_path / "captioner.keras").write_bytes((trained / "captioner.keras").read_bytes())
    return tmp_path


def test_the_stage_raises_cider_and_leaves_the_encoder_and_the_model_as_they_were(run, shards):
    as_it_was = (run / "captioner.keras").read_bytes()
    captioner = train_scst(run, shards, 8, options=OPTIONS)
    history = pd.read_csv(run / "scst.csv")
    assert history["epoch"].tolist() == list(range(9))
    assert history["reward"].iloc[-1] > history["reward"][0] + 0.5
    assert history["sampled_reward"].notna().tolist() == [False] + [True] * 8
    assert (run / "captioner.keras").read_bytes() == as_it_was
    before = load(run / "captioner.keras")
    for one, other in zip(captioner.encoder.weights, before.encoder.weights, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(other))


@pytest.mark.usefixtures("eager")
def test_a_stage_killed_at_any_step_ends_as_if_it_had_not_been(run, shards, monkeypatch):
    whole = run / "whole"
    whole.mkdir()
    (whole / "captioner.keras").write_bytes((run / "captioner.keras").read_bytes())
    train_scst(whole, shards, 2, options=OPTIONS)
    calls, step = itertools.count(1), Stage.step

    def killed(self, *batch):
        if next(calls) in (2, 5, 8):
            raise Killed
        step(self, *batch)

    monkeypatch.setattr(Stage, "step", killed)
    for _ in range(3):
        with pytest.raises(Killed):
            train_scst(run, shards, 2, options=OPTIONS, resume=True)
    train_scst(run, shards, 2, options=OPTIONS, resume=True)
    assert next(calls) == 13  # 8 steps, 3 that were killed, 1 done twice
    ours, theirs = (load(at / "scst.keras").get_weights() for at in (run, whole))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)
    names = ("scst.csv", ".scst-checkpoints/000000008.npz")
    for name in names:
        assert (run / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.usefixtures("eager")
def test_a_stage_goes_on_only_with_the_options_it_began_with(run, shards):
    train_scst(run, shards, 1, options=TrainingOptions(batch_size=8))
    with pytest.raises(TrainingError, match=r"Received: one with scst.keras.*--overwrite"):
        train_scst(run, shards, 1, options=TrainingOptions(batch_size=8))
    with pytest.raises(ModelError, match=r"Received: one with .*'batch_size': 8"):
        train_scst(run, shards, 2, options=TrainingOptions(batch_size=4), resume=True)
    with pytest.raises(TrainingError, match="expected the validation shards that its run began"):
        train_scst(run, shards, 2, shards, TrainingOptions(batch_size=8), resume=True)


@pytest.mark.usefixtures("eager")
def test_a_loss_that_is_no_number_stops_the_stage(run, shards, monkeypatch):
    monkeypatch.setattr(Policy, "train_on_batch", lambda *_: np.float32("nan"))
    with pytest.raises(TrainingError, match="Received: nan at batch 1"):
        train_scst(run, shards, 1, options=OPTIONS)


@pytest.mark.usefixtures("eager")
def test_the_command_adds_the_stage_and_names_its_model(run, shards, monkeypatch, capsys):
    monkeypatch.setattr("v2t_lib.training.train.train", lambda *_, **__: None)  # `run` is trained
    command = ["train", str(shards), "--out", str(run), "--batch", "8", "--scst", "2"]
    assert main(command) == 0
    assert capsys.readouterr().out.strip() == str(run / "scst.keras")
    assert len(pd.read_csv(run / "scst.csv")) == 3
