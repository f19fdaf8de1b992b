"""The training panel: what it shows as a model learns."""

import types

import numpy as np
import pandas as pd
import pytest
from helpers import tiny
from helpers.pages import Parsed, opened

from v2t_lib.models.caption import Caption
from v2t_lib.shards.example import Example
from v2t_lib.views import training_panel
from v2t_lib.views.curves import curves
from v2t_lib.views.training_panel import TrainingPanel

LOGS = {"loss": 2.0, "val_loss": 1.8, "sequence_accuracy": 0.3, "val_sequence_accuracy": 0.35}
EXAMPLES = [
    Example(str(n), f"{n}.gif", (sentence,), frames, np.arange(4) / 10, None)
    for n, (sentence, frames) in enumerate(zip(tiny.SENTENCES, tiny.frames(3), strict=True))
]


@pytest.fixture
def notebook(monkeypatch):
    """The panel takes this for a notebook; all that it displays is returned by its kind."""
    shown = {"Pretty": [], "Image": [], "HTML": []}

    def update(part):
        shown[type(part).__name__].append(part.data)

    def display(part, display_id):
        assert display_id and not shown[type(part).__name__], "each kind has one place"
        update(part)
        return types.SimpleNamespace(update=update)

    monkeypatch.setattr(training_panel, "in_notebook", lambda: True)
    monkeypatch.setattr(training_panel, "display", display)
    return shown


def panel_of(captioner, run, examples=EXAMPLES):
    panel = TrainingPanel(run, examples)
    panel.set_model(captioner)
    panel.set_params({"epochs": 3, "steps": 2})
    panel.on_train_begin()
    return panel


@pytest.mark.usefixtures("eager")
def test_every_epoch_adds_captions_and_a_row_of_attention(notebook, tmp_path):
    panel = panel_of(tiny.captioner(), tmp_path)
    assert panel.attention is None
    heights = []
    for epoch in range(3):
        panel.on_epoch_end(epoch, dict(LOGS))
        page = Parsed(notebook["HTML"][-1])
        (attention,) = (opened(image["src"]) for image in page.all("img"))
        heights.append(attention.height)
        assert f"after epoch {epoch + 1}" in page.text
        assert all(sentence in page.text for sentence in tiny.SENTENCES)
    assert len(notebook["HTML"]) == len(notebook["Image"]) == 3
    assert heights[2] - heights[1] == heights[1] - heights[0] > 0
    assert panel.attention[:4] == b"\x89PNG"


def test_curves_are_redrawn_and_a_line_tells_where_training_stands(notebook, tmp_path, monkeypatch):
    monkeypatch.setattr(training_panel, "_PAUSE", 0)
    history = pd.DataFrame([{"epoch": epoch} | LOGS for epoch in range(3)])
    history[:1].to_csv(tmp_path / "history.csv", index=False)
    panel = panel_of(None, tmp_path, [])
    for epoch in (1, 2):
        panel.on_train_batch_end(epoch - 1, {"loss": 1.25})
        panel.on_epoch_end(epoch, dict(LOGS))
    panel.on_train_end()
    assert notebook["Pretty"] == [
        "training begins",
        "step 1 of 2, loss 1.250; to stop and save, interrupt the kernel",
        "step 2 of 2, loss 1.250; to stop and save, interrupt the kernel",
        "trained",
    ]
    one, both = notebook["Image"]
    assert one != both == curves(tmp_path, history) and not notebook["HTML"]


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
    monkeypatch.setattr(training_panel, "curves", lambda *_: b"")
    monkeypatch.setattr(training_panel, "sheet", lambda one, _: drawn.append(one) or b"")
    panel = panel_of(model, tmp_path, EXAMPLES[:2])
    for epoch in range(epochs):
        panel.on_epoch_end(epoch, dict(LOGS))
    assert drawn[2].words == ("epoch 1", "epoch 2", "epoch 3")
    last = drawn[-1]
    assert len(last.words) == 8 and last.words[::7] == ("epoch 1", "epoch 40")
    np.testing.assert_allclose(last.probs[[0, -1]], (0.5, 0.9875))
    np.testing.assert_allclose(last.attention[:, 0, 0, 0], last.probs, rtol=1e-6)
    assert "“star”" in Parsed(notebook["HTML"][-1]).text


def test_outside_notebooks_nothing_is_shown_or_captioned(tmp_path, capsys):
    panel = panel_of(None, tmp_path, EXAMPLES)
    panel.on_train_batch_end(0, {"loss": 1.0})
    panel.on_epoch_end(0, dict(LOGS))
    panel.on_train_end()
    assert panel.rows and panel.attention is None and capsys.readouterr() == ("", "")
