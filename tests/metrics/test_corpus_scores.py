import random
import sys
import unicodedata
from pathlib import Path

import pytest

from v2t_lib.captions_file import read_captions, read_predictions
from v2t_lib.errors import DataError
from v2t_lib.metrics import meteor
from v2t_lib.metrics.corpus_scores import NAMES, difference, intervals, score_corpus
from v2t_lib.metrics.tables import report

REFERENCES = {
    "a.gif": ("A cat sits.", "The cat is here!"),
    "b.gif": ("A dog runs.",),
    "c.gif": ("Ein grüner Stern dreht sich.", "日本語 テスト"),
}
PREDICTIONS = {"a.gif": "a cat sits", "b.gif": "A DOG", "c.gif": "ein grüner stern"}


@pytest.fixture(autouse=True)
def _no_java(request):
    if "shared_data" not in request.fixturenames:
        request.getfixturevalue("no_java")


def many(clips, seed=0, errors=0.3):
    rng = random.Random(seed)
    words = ["red", "blue", "star", "cross", "spins", "grows", "a", "the"]
    references = {f"{n}.gif": [" ".join(rng.choices(words, k=6))] for n in range(clips)}
    predictions = {
        source: " ".join(rng.choice(words) if rng.random() < errors else w for w in text.split())
        for source, (text,) in references.items()
    }
    return predictions, references


def test_case_and_punctuation_do_not_count():
    scored = score_corpus(PREDICTIONS, REFERENCES)
    assert scored.scores()["BLEU-1"] == pytest.approx(1)  # 8 words, all right, for 3 + 3 + 2
    assert scored.scores()["METEOR"] is None and "Java" in scored.no_meteor


def test_a_missing_prediction_is_an_empty_caption_and_counted():
    missing = {"b.gif": "A DOG", "c.gif": "ein grüner stern"}
    result = report(score_corpus(missing, REFERENCES))
    assert (result["clips"], result["missing"], result["available_only"]["clips"]) == (3, 1, 2)
    blank = report(score_corpus({"a.gif": "", **missing}, REFERENCES))
    assert blank["missing"] == 0 and all(result[name] == blank[name] for name in NAMES)
    # What is over the others only is what there'd be without the clip.
    alone = report(score_corpus(missing, {k: v for k, v in REFERENCES.items() if k != "a.gif"}))
    assert {name: result["available_only"][name] for name in NAMES} == {n: alone[n] for n in NAMES}


@pytest.mark.parametrize(
    ("captions", "says"),
    [
        (["a red star spins"], ["CIDEr of one clip is 0 whatever"]),
        (["a red star spins"] * 12, ["CIDEr of 12 clips whose words are the same is 0"]),
        (["a star", "a red dot"], ["CIDEr of 2 clips says little", "BLEU-4 is 0 whatever"]),
        (["!!!", "...", "star"], ["CIDEr of 3 clips says little", "BLEU-4 is 0 whatever"]),
        ([f"the star {n} is red" for n in range(12)], []),
    ],
)
def test_figures_that_say_nothing_of_these_clips_are_named(captions, says):
    references = {f"{n}.gif": [text] for n, text in enumerate(captions)}
    for predicted in (dict(zip(references, captions, strict=True)), {"0.gif": "nothing"}):
        result = report(score_corpus(predicted, references))
        found = [doubt for doubt in result["doubts"] if not doubt.startswith("Available only")]
        assert len(found) == len(says)
        assert all(map(str.startswith, found, says))
    if len(captions) > 1:
        assert any(d.startswith("Available only: CIDEr of one clip") for d in result["doubts"])


def test_names_and_words_in_another_form_are_the_same():
    nfd, nfc = (unicodedata.normalize(form, "café.gif") for form in ("NFD", "NFC"))
    captions = {"İ": "İki ADAM un cafe\u0301 ﬁsh", "i": "iki adam un café fish"}
    for mine, theirs in ((nfd, f"./{nfc}"), ("HTTPS://A.org/é", "https://a.org/e\u0301")):
        scored = score_corpus({mine: captions["İ"]}, {theirs: [captions["i"]]})
        assert scored.scores()["BLEU-4"] == pytest.approx(1) and not scored.missing.any()


def test_predictions_for_clips_without_references_are_counted_and_change_nothing():
    scored = score_corpus({**PREDICTIONS, "z.gif": "a cat", "y.gif": "a dog"}, REFERENCES)
    assert scored.without_references == ("y.gif", "z.gif")
    assert report(scored)["without_references"] == 2
    assert scored.scores() == score_corpus(PREDICTIONS, REFERENCES).scores()
    with pytest.raises(DataError, match=r"Received: 1 for others, 'z.gif' for one; write sources"):
        score_corpus({"z.gif": "a cat"}, REFERENCES)


def test_the_difference_is_paired():
    predictions, references = many(200)
    better = {s: references[s][0] if n < 20 else p for n, (s, p) in enumerate(predictions.items())}
    first, second = score_corpus(better, references), score_corpus(predictions, references)
    found = difference(first, second)["ROUGE-L"]
    assert found["difference"] == pytest.approx(
        first.scores()["ROUGE-L"] - second.scores()["ROUGE-L"]
    )
    low, high = found["interval"]
    # The intervals of the two overlap, that of their difference lies above 0.
    assert intervals(second)["ROUGE-L"][1] > intervals(first)["ROUGE-L"][0]
    assert 0 < low < found["difference"] < high
    same = difference(second, second)
    assert same["CIDEr"] == {"difference": 0, "interval": [0, 0]} and same["METEOR"] is None


def test_captions_without_spaces_can_be_scored_by_character():
    references = {"a.gif": ["一只狗在跑。"], "b.gif": ["男孩在踢足球"], "c.gif": ["a dog"]}
    predictions = {"a.gif": "一只猫在跑", "c.gif": "a dog"}
    assert score_corpus(predictions, references).scores()["BLEU-1"] < 0.5  # a phrase is a word
    scored = score_corpus(predictions, references, unit="character")
    assert scored.table[:, 1].tolist() == [4, 0, 2]  # 一 只 在 跑; a dog
    assert scored.available().table[:, 1].tolist() == [4, 2]
    assert scored.captions == ("一只猫在跑", "", "a dog")


@pytest.mark.shared
def test_the_official_figures(shared_data, tmp_path, monkeypatch):
    """Of the official Java tools; METEOR needs a Java, here in a folder with a space."""
    folder = Path(meteor.find_jar()).parents[1]
    (tmp_path / "Colab Notebooks").mkdir()
    (tmp_path / "Colab Notebooks" / "pycocoevalcap").symlink_to(folder)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "Colab Notebooks"), *sys.path])
    assert " " in str(meteor.find_jar())
    scores = shared_data / "scores"
    references = read_captions(scores / "references.tsv", keep_repeats=True)
    scored = score_corpus(
        read_predictions(scores / "predictions.tsv"), {r.source: r.captions for r in references}
    )
    official = (0.36356, 0.20654, 0.12107, 0.07101, 0.32073, 0.36291, 0.13033)
    assert scored.no_meteor is None and len(scored.sources) == 3300
    assert scored.scores() == pytest.approx(dict(zip(NAMES, official, strict=True)), abs=1e-5)
