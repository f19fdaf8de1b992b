import dataclasses
import gc
import weakref

import keras
import numpy as np
import pytest
from helpers import tiny
from helpers.clips import write_gif
from helpers.processes import in_this_process
from helpers.runs import learn
from PIL import Image

from v2t_lib import evaluation
from v2t_lib.captions_file import read_captions
from v2t_lib.evaluation import Prediction, evaluate, risk_coverage, write_predictions
from v2t_lib.metrics import coco
from v2t_lib.models import over_clips
from v2t_lib.models.caption import Caption
from v2t_lib.shards.example import DRAWN_FILE
from v2t_lib.shards.pack import pack
from v2t_lib.shards.reader import ShardDataset
from v2t_lib.training.losses import sequence_loss

pytestmark = pytest.mark.usefixtures("eager")

GRID = (2, 2, 2)


def loss_by_hand(captioner, shards, away=0):
    """The loss over every caption, with its clip or with one so many clips away."""
    examples = list(ShardDataset.open(shards).examples())
    pairs = [
        (examples[number - away].frames, text)
        for number, example in enumerate(examples)
        for text in example.captions
    ]
    frames, texts = zip(*pairs, strict=True)
    tokens = tiny.tokens(*texts)
    return float(sequence_loss(tokens[:, 1:], captioner((np.stack(frames), tokens[:, :-1]))))


def test_the_surest_captions_are_kept():
    texts = {"a": "a cat", "b": "a dog", "c": "a fox", "d": "the star spins"}
    predictions = [
        Prediction(source, ("a dog", "a fox"), text, text, None, None, log_prob)
        for (source, text), log_prob in zip(texts.items(), (-3.0, -1.0, -2.0, -4.0), strict=True)
    ]
    rows = coco.clip_statistics([t.split() for t in texts.values()], [[["a", "dog"]]] * 4)
    by_source = dict(zip(texts, rows, strict=True))
    found = {row["coverage"]: row for row in risk_coverage(predictions, by_source)}
    assert list(found) == [1.0, 0.9, 0.75, 0.5, 0.25]
    assert [row["least"] for row in found.values()] == [-4, -4, -3, -2, -1]
    assert [found[share]["exact_match"] for share in (1.0, 0.5, 0.25)] == [0.5, 1, 1]
    assert found[0.25]["ROUGE-L"] == 1 > found[0.5]["ROUGE-L"]


def test_masks_and_unseen_combinations_have_their_scores(
    several_captions, tmp_path, monkeypatch, no_java
):
    """The weights of "red" and "spins" are on the object, in two of eight cells, not of "star"."""
    write_gif(tmp_path / "0.gif", 0)
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / DRAWN_FILE).touch()
    mask = Image.new("RGB", (32, 32))
    mask.paste((255, 0, 0), (0, 0, 16, 16))
    mask.save(tmp_path / "masks" / "0.gif")
    (tmp_path / "captions.tsv").write_text("0.gif\ta red star spins\n")
    records = read_captions(tmp_path / "captions.tsv")
    with in_this_process():
        pack(records, tmp_path / "captions.tsv", tmp_path / "drawn", tiny.CLIP)
    attention = np.zeros((4, *GRID))
    for word, cell in enumerate([(1, 1, 1), (0, 0, 0), (0, 1, 1), (1, 0, 0)]):
        attention[(word, *cell)] = 1
    words, frames = ("a", "red", "star", "spins"), tiny.frames(1)[0]
    caption = Caption(" ".join(words), words, np.ones(4), 0.0, attention, frames, np.arange(4))
    texts = iter([caption.text] * 4 + ["something else"] * 2)  # for one clip, then for five

    def scripted(frames, beam=1, seconds=None, memory=None):
        return [dataclasses.replace(caption, text=next(texts)) for _ in frames]

    captioner = tiny.captioner()
    monkeypatch.setattr(captioner, "caption_frames", scripted, raising=False)
    scores, _ = evaluate(captioner, tmp_path / "drawn", unseen=several_captions, beam=1)
    assert scores["exact_match"] == 1 and scores["unseen_combinations"] == 3 / 5
    assert scores["pointing"] == scores["mass_on_object"] == 1 / 2
    assert scores["pointing_behaviour"] == 1
    assert scores["pointing_chance"] == scores["pointing_behaviour_chance"] == 1 / 4
    assert set(scores["exact_match_by"]["behaviour"]) == {"spins"}
    assert scores["deletion"] is not None


def test_scores_of_a_scripted_captioner(several_captions, monkeypatch, tmp_path, no_java):
    """Greedy is right for clips 0 and 1 of 5, the beam for all: only the text counts."""
    captioner, blind = tiny.captioner(), tiny.captioner("blind")
    shown = iter(range(5))

    def scripted(frames, beam=1, seconds=None, memory=None):
        numbers = range(len(frames)) if beam > 1 else [next(shown) for _ in frames]
        texts = [tiny.SENTENCES[0] if beam > 1 or n < 2 else "something else" for n in numbers]
        blank = Caption("", (), np.ones(0), 0.0, np.ones((0, *GRID)), None, None)
        return [dataclasses.replace(blank, text=text) for text in texts]

    monkeypatch.setattr(captioner, "caption_frames", scripted, raising=False)
    options = {"blind": blind, "beam": 2, "training": several_captions}
    scores, predictions = evaluate(captioner, several_captions, **options)
    assert scores["clips"] == 5
    assert scores["exact_match"] == 2 / 5 and scores["exact_match_beam"] == 1.0
    assert scores["distinct_captions"] == 1 / 5 and scores["seen_in_training"] == 1
    assert scores["BLEU-1"] == pytest.approx(1) and scores["METEOR"] is None
    assert scores["intervals"]["ROUGE-L"] == pytest.approx([1, 1])
    assert scores["perplexity"] == pytest.approx(np.exp(scores["loss"]))
    losses = {"loss": (captioner, 0), "shuffled_loss": (captioner, 2), "blind_loss": (blind, 0)}
    for name, (model, away) in losses.items():
        expected = loss_by_hand(model, several_captions, away)
        assert scores[name] == pytest.approx(expected, rel=1e-4)
    assert any("collapsed: 1 distinct for 5 clips" in doubt for doubt in scores["doubts"])
    assert scores["unseen_combinations"] is None and scores["pointing"] is None
    assert scores["exact_match_by"] is None
    assert scores["deletion"] is None
    write_predictions(predictions, tmp_path / "p" / "predictions.tsv")
    rows = (tmp_path / "p" / "predictions.tsv").read_text().splitlines()
    assert rows == [f"{n}.gif\t{tiny.SENTENCES[0]}" for n in range(5)]


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(over_clips, "BATCH", 1)
    monkeypatch.setattr(evaluation, "DELETION_CLIPS", 1)


@pytest.mark.usefixtures("small_batches", "no_java")
def test_frames_are_kept_of_the_clips_shown_alone(several_captions, monkeypatch):
    captioner, batches, alive = tiny.captioner(), [], []
    whole = captioner.caption_frames

    def watched(frames, *arguments):
        gc.collect()
        alive.append(sum(batch() is not None for batch in batches))
        batches.append(weakref.ref(frames))
        return whole(frames, *arguments)

    monkeypatch.setattr(captioner, "caption_frames", watched, raising=False)
    _, predictions = evaluate(captioner, several_captions, beam=1, shown=2)
    assert [prediction.shown is None for prediction in predictions] == [False, False, *[True] * 3]
    assert [p.shown.text for p in predictions[:2]] == [p.greedy for p in predictions[:2]]
    assert alive == [0, 1, 2, 3, 3]  # the two that are shown, and the one before


@pytest.mark.usefixtures("no_java")
def test_training_goes_on_after_an_evaluation_as_if_there_had_been_none(
    several_captions, monkeypatch
):
    monkeypatch.setattr(evaluation, "DELETION_CLIPS", 1)
    ends = []
    for evaluated in (False, True):
        keras.utils.set_random_seed(0)
        captioner = tiny.captioner("blind", decoder=tiny.DECODER | {"dropout": 0.2})
        step = learn(captioner)
        step()
        if evaluated:
            evaluate(captioner, several_captions, beam=1)
        ends.append([step(), step(), *captioner.get_weights(), *captioner.optimizer.variables])
    for mine, theirs in zip(*ends, strict=True):
        np.testing.assert_array_equal(np.asarray(mine), np.asarray(theirs))


@pytest.mark.usefixtures("no_java")
def test_clips_are_encoded_once_for_captions_and_losses(several_captions, monkeypatch):
    captioner, blind, computed = tiny.captioner(), tiny.captioner("blind"), []
    monkeypatch.setattr(evaluation, "DELETION_CLIPS", 0)
    monkeypatch.setattr(over_clips, "BATCH", 2)
    expected = [loss_by_hand(model, several_captions) for model in (captioner, blind)]

    whole = captioner.encode

    def encode(features):
        computed.append(len(features))
        return whole(features)

    monkeypatch.setattr(captioner, "encode", encode, raising=False)
    scores, _ = evaluate(captioner, several_captions, blind=blind, beam=2)
    assert [scores["loss"], scores["blind_loss"]] == pytest.approx(expected, rel=1e-4)
    assert computed == [2, 2, 2]  # the last batch is filled up
