import dataclasses

import numpy as np
import pytest
from helpers import tiny
from helpers.clips import write_gif
from PIL import Image

from v2t_lib.captions_file import read_captions
from v2t_lib.evaluation import Prediction, evaluate, exact_by, mean_loss, write_predictions
from v2t_lib.models.caption import Caption
from v2t_lib.shards.example import Example
from v2t_lib.shards.pack import pack
from v2t_lib.shards.reader import ShardDataset
from v2t_lib.training.losses import sequence_loss

pytestmark = pytest.mark.usefixtures("eager")

GRID = (2, 2, 2)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    rows = []
    for number in range(5):
        write_gif(folder / f"{number}.gif", number)
        rows += [f"{number}.gif\t{text}\n" for text in tiny.SENTENCES[: 1 + number % 3]]
    (folder / "captions.tsv").write_text("".join(rows))
    records = read_captions(folder / "captions.tsv")
    pack(records, folder / "captions.tsv", folder / "shards", tiny.CLIP, workers=1)
    return ShardDataset.open(folder / "shards")


@pytest.mark.parametrize("batch", [2, 64])
def test_the_loss_is_the_mean_over_all_tokens(shards, monkeypatch, batch):
    monkeypatch.setattr("v2t_lib.evaluation.BATCH", batch)
    captioner = tiny.captioner()
    examples = [(e.frames, text) for e in shards.examples() for text in e.captions]
    frames = np.stack([frames for frames, _ in examples])
    tokens = tiny.tokens(*(text for _, text in examples))
    expected = float(sequence_loss(tokens[:, 1:], captioner((frames, tokens[:, :-1]))))
    assert mean_loss(captioner, shards) == pytest.approx(expected, rel=1e-4)


def test_the_loss_on_the_wrong_clips_shows_every_caption_one_clip_from_before(shards):
    captioner, examples = tiny.captioner(), list(shards.examples())
    for lag in (1, 2):
        shown = [
            (examples[number - lag].frames, text)
            for number, example in enumerate(examples)
            for text in example.captions
        ]
        frames = np.stack([frames for frames, _ in shown])
        tokens = tiny.tokens(*(text for _, text in shown))
        expected = float(sequence_loss(tokens[:, 1:], captioner((frames, tokens[:, :-1]))))
        assert mean_loss(captioner, shards, lag) == pytest.approx(expected, rel=1e-4)
    assert mean_loss(captioner, shards) != pytest.approx(expected, rel=1e-4)


def test_a_blind_captioner_loses_nothing_on_the_wrong_clips(shards):
    blind = tiny.captioner("blind")
    assert mean_loss(blind, shards, lag=2) == pytest.approx(mean_loss(blind, shards), rel=1e-5)


def prediction(truth: str, written: str) -> Prediction:
    example = Example("key", "0.gif", (truth,), None, None, np.zeros((2, 4, 4, 3), bool))
    caption = Caption(written, (), np.ones(0), 0.0, np.ones((0, *GRID)), None, None)
    return Prediction(example, caption, caption)


def test_exact_match_by_what_the_clips_show():
    one, two = "a red star spins", "the red star is moving left and the pink cross is spinning"
    rows = [(one, one), (one, "a red star grows"), (two, two), ("there is a red star growing", one)]
    by = exact_by([prediction(*row) for row in rows])
    assert by["objects"] == {
        "1": {"clips": 3, "exact_match": 1 / 3},
        "2": {"clips": 1, "exact_match": 1.0},
    }
    assert by["behaviour"] == {
        "grows": {"clips": 1, "exact_match": 0.0},
        "moves left": {"clips": 1, "exact_match": 1.0},
        "spins": {"clips": 3, "exact_match": pytest.approx(2 / 3)},
    }


def test_masks_and_unseen_combinations_have_their_scores(shards, tmp_path, monkeypatch, no_java):
    """ "red" and "spins" look at the object, which fills two of eight cells, "star" elsewhere."""
    write_gif(tmp_path / "0.gif", 0)
    (tmp_path / "masks").mkdir()
    mask = Image.new("RGB", (32, 32))
    mask.paste((255, 0, 0), (0, 0, 16, 16))
    mask.save(tmp_path / "masks" / "0.gif")
    (tmp_path / "captions.tsv").write_text("0.gif\ta red star spins\n")
    records = read_captions(tmp_path / "captions.tsv")
    pack(records, tmp_path / "captions.tsv", tmp_path / "drawn", tiny.CLIP, workers=1)
    attention = np.zeros((4, *GRID))
    for word, cell in enumerate([(1, 1, 1), (0, 0, 0), (0, 1, 1), (1, 0, 0)]):
        attention[(word, *cell)] = 1
    words, frames = ("a", "red", "star", "spins"), tiny.frames(1)[0]
    caption = Caption(" ".join(words), words, np.ones(4), 0.0, attention, frames, np.arange(4))
    texts = iter([caption.text] * 4 + ["something else"] * 2)  # for one clip, then for five

    def scripted(frames, beam=1, seconds=None):
        return [dataclasses.replace(caption, text=next(texts)) for _ in frames]

    captioner = tiny.captioner()
    monkeypatch.setattr(captioner, "caption_frames", scripted, raising=False)
    scores, _ = evaluate(captioner, tmp_path / "drawn", unseen=shards, beam=1)
    assert scores["exact_match"] == 1 and scores["unseen_combinations"] == 3 / 5
    assert scores["pointing"] == scores["mass_on_object"] == 1 / 2
    assert scores["pointing_behaviour"] == 1
    assert scores["pointing_chance"] == scores["pointing_behaviour_chance"] == 1 / 4
    assert set(scores["exact_match_by"]["behaviour"]) == {"spins"}
    assert scores["deletion"] is not None


def test_scores_of_a_scripted_captioner(shards, monkeypatch, tmp_path, no_java):
    """Greedy is right for clips 0 and 1 of 5, the beam for all: only the text counts."""
    captioner, blind = tiny.captioner(), tiny.captioner("blind")
    shown = iter(range(5))

    def scripted(frames, beam=1, seconds=None):
        numbers = range(len(frames)) if beam > 1 else [next(shown) for _ in frames]
        texts = [tiny.SENTENCES[0] if beam > 1 or n < 2 else "something else" for n in numbers]
        blank = Caption("", (), np.ones(0), 0.0, np.ones((0, *GRID)), None, None)
        return [dataclasses.replace(blank, text=text) for text in texts]

    monkeypatch.setattr(captioner, "caption_frames", scripted, raising=False)
    scores, predictions = evaluate(captioner, shards, blind=blind, beam=2, training=shards)
    assert scores["clips"] == 5
    assert scores["exact_match"] == 2 / 5 and scores["exact_match_beam"] == 1.0
    assert scores["distinct_captions"] == 1 / 5 and scores["seen_in_training"] == 1
    assert scores["BLEU-1"] == pytest.approx(1) and scores["METEOR"] is None
    assert scores["intervals"]["ROUGE-L"] == pytest.approx([1, 1])
    assert scores["perplexity"] == pytest.approx(np.exp(scores["loss"]))
    assert scores["shuffled_loss"] == pytest.approx(mean_loss(captioner, shards, lag=2))
    assert any("collapsed: 1 distinct for 5 clips" in doubt for doubt in scores["doubts"])
    assert scores["unseen_combinations"] is None and scores["pointing"] is None
    assert scores["exact_match_by"] is None
    assert scores["deletion"] is None
    assert scores["blind_loss"] == pytest.approx(mean_loss(blind, shards))
    write_predictions(predictions, tmp_path / "p" / "predictions.tsv")
    rows = (tmp_path / "p" / "predictions.tsv").read_text().splitlines()
    assert rows == [f"{n}.gif\t{tiny.SENTENCES[0]}" for n in range(5)]
