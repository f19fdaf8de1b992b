"""The training panel: what it shows as a model learns."""

import types

import numpy as np
import pytest
from helpers import tiny
from helpers.pages import Parsed, opened

from v2t_lib.models.caption import Caption
from v2t_lib.shards.example import Example
from v2t_lib.views import curves, training_panel
from v2t_lib.views.training_panel import TrainingPanel

LOGS = {"loss": 2.0, "val_loss": 1.8, "sequence_accuracy": 0.3, "val_sequence_accuracy": 0.35}
EXAMPLES = [
    Example(str(n), f"{n}.gif", (sentence,), frames, np.arange(4) / 10, None)
    for n, (sentence, frames) in enumerate(zip(tiny.SENTENCES, tiny.frames(3), strict=True))
]


class Handle:
    """What `display` returns: it keeps all that was shown at its place."""

    def __init__(self, first):
        self.shown = [first.data]

    def update(self, part):
        self.shown.append(part.data)


@pytest.fixture
def notebook(monkeypatch):
    """Panels take this for a notebook; the places at which they display are returned."""
    import IPython.display

    handles = []

    def display(part, display_id):
        handles.append(Handle(part))
        return handles[-1]

    for module in (curves, training_panel):
        monkeypatch.setattr(module, "in_notebook", lambda: True)
    monkeypatch.setattr(IPython.display, "display", display)
    return handles


def panel_of(captioner, run, examples=EXAMPLES):
    panel = TrainingPanel(run, examples)
    panel.set_model(captioner)
    panel.set_params({"epochs": 3, "steps": 2})
    panel.on_train_begin()
    return panel


@pytest.mark.usefixtures("eager")
def test_every_epoch_adds_curves_captions_and_a_row_of_attention(notebook, tmp_path):
    panel = panel_of(tiny.captioner(), tmp_path)
    assert panel.attention is None
    heights = []
    for epoch in range(3):
        panel.on_epoch_end(epoch, dict(LOGS))
        _, pictures = notebook
        page = Parsed(pictures.shown[-1])
        plotted, attention = (opened(image["src"]) for image in page.all("img"))
        assert plotted.size == (720, 256)
        heights.append(attention.height)
        assert f"after epoch {epoch + 1}" in page.text
        assert all(sentence in page.text for sentence in tiny.SENTENCES)
    assert len(pictures.shown) == 4
    assert heights[2] - heights[1] == heights[1] - heights[0] > 0
    assert panel.attention[:4] == b"\x89PNG"


def test_a_line_tells_where_training_stands_and_how_to_stop(notebook, tmp_path, monkeypatch):
    monkeypatch.setattr(training_panel, "_PAUSE", 0)
    panel = panel_of(None, tmp_path, [])
    for batch in range(2):
        panel.on_train_batch_end(batch, {"loss": 1.25})
    panel.on_epoch_end(1, dict(LOGS))
    panel.on_train_end()
    line, pictures = notebook
    assert line.shown == [
        "training begins",
        "step 1 of 2, loss 1.250; to stop and save, interrupt the kernel",
        "step 2 of 2, loss 1.250; to stop and save, interrupt the kernel",
        "trained",
    ]
    page = Parsed(pictures.shown[-1])
    assert len(page.all("img")) == 1 and not page.all("table")


def test_the_sharpest_word_of_all_clips_is_shown_as_it_was_in_each_epoch(
    notebook, tmp_path, monkeypatch
):
    """Of two clips' words, "star" of the second is the sharpest at the end."""
    drawn, epochs = [], 40

    def caption(words, share, sharp):
        attention = np.full((len(words), 2, 1, 1), 0.5, "float32")
        attention[sharp] = np.array([share, 1 - share]).reshape(2, 1, 1)
        frames = np.zeros((4, 8, 8, 3), np.uint8)
        text, probs = " ".join(words), np.full(len(words), share)
        return Caption(text, words, probs, -1.0, attention, frames, np.arange(4.0))

    def captions(*_, **__):
        share = 0.5 + (len(panel.rows) - 1) / (2 * epochs)
        return [caption(("a", "red"), 0.55, 1), caption(("a", "star"), share, 1)]

    model = types.SimpleNamespace(caption_frames=captions, explain_frames=captions)
    monkeypatch.setattr(training_panel, "sheet", lambda *rows: drawn.append(rows) or b"")
    panel = panel_of(model, tmp_path, EXAMPLES[:2])
    for epoch in range(epochs):
        panel.on_epoch_end(epoch, dict(LOGS))
    _, _, labels, probs, attention, *_ = drawn[2]
    assert labels == ["epoch 1", "epoch 2", "epoch 3"]
    _, _, labels, probs, attention, *_ = drawn[-1]
    assert len(labels) == 8 and labels[0] == "epoch 1" and labels[-1] == "epoch 40"
    np.testing.assert_allclose(probs[[0, -1]], (0.5, 0.9875))
    np.testing.assert_allclose(attention[:, 0, 0, 0], probs, rtol=1e-6)
    assert "“star”" in Parsed(notebook[1].shown[-1]).text


def test_outside_notebooks_nothing_is_shown_or_captioned(tmp_path, capsys):
    panel = panel_of(None, tmp_path, EXAMPLES)
    panel.on_train_batch_end(0, {"loss": 1.0})
    panel.on_epoch_end(0, dict(LOGS))
    panel.on_train_end()
    assert panel.rows and panel.attention is None and capsys.readouterr() == ("", "")
