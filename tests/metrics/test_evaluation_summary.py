from v2t_lib.metrics.evaluation_summary import figures, summary

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


def test_exact_match_of_free_sentences_is_no_mark_against_a_model():
    for share in (0.01, 0.99):
        real = SCORES | {"exact_match": share, "exact_match_by": None, "unseen_combinations": None}
        assert figures(real)[0].mark == ""


def test_a_model_that_is_never_right_is_not_good_at_what_it_has_not_seen():
    never = SCORES | {"exact_match": 0.0, "unseen_combinations": 0.0}
    assert {figure.name: figure.mark for figure in figures(never)}["unseen combinations"] == ""


def test_what_was_not_measured_has_no_row():
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
