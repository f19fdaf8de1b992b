import csv

import pytest

from v2t_lib.metrics.corpus_scores import score_corpus
from v2t_lib.metrics.tables import diagnose, figures, report, score_table, summary, write_clips

SCORES = {
    "clips": 640, "beam": 4, "exact_match": 0.95, "exact_match_beam": 0.96,
    "exact_match_by": {"behaviour": {"spins": {"clips": 9, "exact_match": 0.5}}},
    "unseen_combinations": 0.4, "loss": 1.0, "blind_loss": 1.3, "shuffled_loss": 1.01,
    "BLEU-4": 0.5, "ROUGE-L": 0.6, "CIDEr": 2.0, "METEOR": None,
    "intervals": {"BLEU-4": [0.4, 0.6], "ROUGE-L": [0.5, 0.7], "CIDEr": [1.5, 2.5]},
    "distinct_captions": 0.05, "seen_in_training": None,
    "risk_coverage": [{"coverage": 0.5, "exact_match": 1.0, "CIDEr": 2.5}],
    "pointing": 0.9, "pointing_chance": 0.2, "pointing_behaviour": 0.4,
    "pointing_behaviour_chance": 0.36, "mass_on_object": 0.8,
    "deletion": {"drop": 0.2, "random": 0.01, "interval": [-0.1, 0.3]},
    "doubts": ["The captions have collapsed."],
}  # fmt: skip


def test_a_figure_is_good_or_poor_beside_its_control():
    marks = {figure.name: figure.mark for figure in figures(SCORES)}
    assert {name for name, mark in marks.items() if mark == "good"} == {
        "exact match", "loss when blind", "surest half", "pointing"}  # fmt: skip
    assert {name for name, mark in marks.items() if mark == "poor"} == {
        "unseen combinations", "loss on wrong clips", "distinct captions", "pointing, behaviour",
        "deletion",
    }  # fmt: skip
    assert "METEOR" not in marks and "seen in training" not in marks
    surely = SCORES | {"deletion": SCORES["deletion"] | {"interval": [0.1, 0.3]}}
    assert {figure.name: figure.mark for figure in figures(surely)}["deletion"] == "good"


def test_what_was_not_measured_has_no_row_and_free_sentences_no_mark():
    for share in (0.01, 0.99):
        real = SCORES | {"exact_match": share, "exact_match_by": None, "unseen_combinations": None}
        assert figures(real)[0].mark == ""
    names = ("blind_loss", "shuffled_loss", "pointing", "pointing_behaviour", "mass_on_object")
    nothing = dict.fromkeys((*names, "deletion"))
    names = [figure.name for figure in figures(SCORES | nothing)]
    assert names == ["exact match", "with 4 beams", "unseen combinations", "loss", "BLEU-4",
                     "ROUGE-L", "CIDEr", "distinct captions", "surest half",
                     "behaviour: spins"]  # fmt: skip


def test_the_text_has_a_line_a_figure_and_the_doubts():
    lines = summary(SCORES).splitlines()
    assert lines[0] == "640 held-out clips, captioned greedily and with 4 beams"
    assert len(lines) == 2 + len(figures(SCORES))
    line = next(line for line in lines if line.startswith("pointing "))
    assert line.split()[:3] == ["pointing", "90.0%", "good"] and "20.0% by chance" in line
    assert lines[-1] == "Careful: The captions have collapsed."


FINE = {
    "clips": 100,
    "loss": 1.0,
    "blind_loss": 2.0,
    "shuffled_loss": 3.0,
    "distinct_captions": 0.5,
}


def test_a_model_that_uses_the_clips_and_varies_raises_no_doubts():
    assert diagnose(FINE) == []
    assert diagnose(FINE | {"blind_loss": None, "shuffled_loss": None}) == []
    assert diagnose(FINE | {"clips": 1, "distinct_captions": 1.0}) == []


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ({"loss": 1.97}, "is 1.970 nats a token, and 2.000 for the same decoder when it sees noth"),
        ({"shuffled_loss": 1.01}, "is 1.000 nats a token, and 1.010 when it is shown other clips"),
        ({"distinct_captions": 0.05}, "collapsed: 5 distinct for 100 clips"),
        ({"clips": 5, "distinct_captions": 0.2}, "collapsed: 1 distinct for 5 clips"),
    ],
)
def test_problems_are_said_in_words(scores, said):
    (problem,) = diagnose(FINE | scores)
    assert said in problem


@pytest.mark.usefixtures("no_java")
def test_the_table_of_clips_has_best_and_worst_first(tmp_path):
    references = {f"{n}.gif": [f"star {n} spins red"] for n in range(5)}
    predictions = {"0.gif": "nothing", "1.gif": references["1.gif"][0]}
    write_clips(score_corpus(predictions, references), tmp_path / "new" / "clips.csv")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["clips.csv"]
    with (tmp_path / "new" / "clips.csv").open(encoding="utf-8-sig", newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["rank"] for row in found] == ["1", "5", "2", "4", "3"]
    assert found[0]["source"] == "1.gif" and float(found[0]["ROUGE-L"]) == 1
    assert found[0]["prediction"] == found[0]["references"] == references["1.gif"][0]
    assert "METEOR" not in found[0] and float(found[1]["CIDEr"]) == 0


@pytest.mark.usefixtures("no_java")
def test_the_summary_shows_every_figure_beside_its_interval():
    scored = score_corpus({"b.gif": "a dog"}, {"a.gif": ["a cat sits"], "b.gif": ["a dog"]})
    text = score_table(report(scored, scored))
    assert "2 clips, 1 of them without a prediction" in text
    for name in ("BLEU-1", "BLEU-4", "ROUGE-L", "CIDEr"):
        assert f"\n{name}" in text
    assert "METEOR" not in text and "+0.0000  0.0000 to 0.0000" in text
