import dataclasses
import json
import re

import pytest
from helpers import tiny

from v2t_lib import report
from v2t_lib.evaluation import evaluate

pytestmark = pytest.mark.usefixtures("eager", "no_java")
HISTORY = "epoch,loss,sequence_accuracy\n0,2.0,0.1\n1,1.0,0.5\n"


def test_the_worst_are_those_with_the_lowest_cider_as_beam_search_wrote_them(
    several_captions, monkeypatch
):
    captioner = tiny.captioner()
    scores, predictions = evaluate(captioner, several_captions, beam=2, shown=0)
    ciders = [3.0, 0.5, 2.0, 0.1, 1.0]
    ranked = [
        dataclasses.replace(p, cider=value) for p, value in zip(predictions, ciders, strict=True)
    ]
    monkeypatch.setattr(report, "WORST", 3)
    found = report.worst(captioner, several_captions, ranked, scores["beam"])
    assert [p.source for p in found] == ["3.gif", "1.gif", "4.gif"]
    assert [p.shown.text for p in found] == [p.beam for p in found]


def test_the_cider_of_a_prediction_is_its_own(several_captions, monkeypatch):
    captioner = tiny.captioner()
    whole, right = captioner.caption_frames, iter([False, True, False, False, False])

    def scripted(*arguments):
        return [
            dataclasses.replace(caption, text=tiny.SENTENCES[1] if next(right) else "")
            for caption in whole(*arguments)
        ]

    monkeypatch.setattr(captioner, "caption_frames", scripted, raising=False)
    _, predictions = evaluate(captioner, several_captions, beam=1)
    assert max(predictions, key=lambda p: p.cider).source == "1.gif"
    assert [p.cider == 0 for p in predictions] == [True, False, True, True, True]


def test_the_page_holds_figures_curves_the_worst_and_the_first(several_captions, tmp_path):
    captioner = tiny.captioner()
    scores, predictions = evaluate(captioner, several_captions, beam=2, shown=2)
    scores["doubts"] = ["a <doubt>"]
    (tmp_path / "history.csv").write_text(HISTORY)
    for run, curves in ((tmp_path, 1), (tmp_path / "none", 0)):
        page = tmp_path / "report.html"
        report.save_report(page, captioner, several_captions, scores, predictions, run)
        text = page.read_text()
        assert text.count('class="curves"') == curves
        assert "5 held-out clips" in text and "Careful: a &lt;doubt&gt;" in text
        assert re.search(r'row">loss on wrong clips</th><td class="value">[\d.]+ nats</td>', text)
        lowest, first = (json.loads(t) for t in re.findall(r"const clips = (.*);\n", text))
        assert len(lowest) == 5 and [clip["name"] for clip in first] == ["0.gif", "1.gif"]
        assert not re.search(r"\$[A-Z]+\b|https?://", text)
