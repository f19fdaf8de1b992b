"""The training panel: what it shows as a model learns, and how its button stops training."""

import io
import queue
import types

import ipywidgets as widgets
import keras
import numpy as np
import pytest
from helpers import tiny
from helpers.runs import assert_same_end, eagerly
from PIL import Image

from v2t_lib.errors import TrainingError
from v2t_lib.models.caption import Caption
from v2t_lib.shards.example import Example
from v2t_lib.specs import CaptionSpec
from v2t_lib.training.fit import fit
from v2t_lib.training.recipe import TrainingOptions
from v2t_lib.views import clicks, training_panel
from v2t_lib.views.training_panel import TrainingPanel

LOGS = {"loss": 2.0, "val_loss": 1.8, "sequence_accuracy": 0.3, "val_sequence_accuracy": 0.35}
EXAMPLES = [
    Example(str(n), f"{n}.gif", (sentence,), frames, np.arange(4) / 10, None)
    for n, (sentence, frames) in enumerate(zip(tiny.SENTENCES, tiny.frames(3), strict=True))
]


@pytest.fixture
def notebook(monkeypatch):
    """Panels take this for a notebook; what they display is returned."""
    import IPython.display

    shown = []
    monkeypatch.setattr(training_panel, "in_notebook", lambda: True)
    monkeypatch.setattr(IPython.display, "display", lambda shown_now: shown.append(shown_now))
    return shown


def panel_of(captioner, run, examples=EXAMPLES):
    panel = TrainingPanel(run, examples)
    panel.set_model(captioner)
    panel.set_params({"epochs": 3, "steps": 2})
    panel.on_train_begin()
    return panel


def heights(picture):
    return Image.open(io.BytesIO(picture)).height


@pytest.mark.usefixtures("eager")
def test_every_epoch_adds_curves_captions_and_a_row_of_attention(notebook, tmp_path):
    panel = panel_of(tiny.captioner(), tmp_path)
    assert notebook == [panel.panel] and panel.attention is None
    rows = []
    for epoch in range(3):
        panel.on_epoch_end(epoch, dict(LOGS))
        rows.append(heights(panel.attention))
        assert panel.curves.value[:4] == b"\x89PNG" and panel.picture.value == panel.attention
        assert f"after epoch {epoch + 1}" in panel.captions.value
    assert rows[2] - rows[1] == rows[1] - rows[0] > 0
    assert all(sentence in panel.captions.value for sentence in tiny.SENTENCES)
    panel.on_train_end()
    assert panel.status.value == "trained" and panel.stop.disabled


def test_the_sharpest_word_of_all_clips_is_shown_as_it_was_in_each_epoch(
    notebook, tmp_path, monkeypatch
):
    """Of two clips' words, "star" of the second is the sharpest at the end."""
    shares = iter((0.3, 0.6, 0.9))
    drawn = []

    def caption(words, share, sharp):
        attention = np.full((len(words), 2, 1, 1), 0.5, "float32")
        attention[sharp] = np.array([share, 1 - share]).reshape(2, 1, 1)
        frames = np.zeros((4, 8, 8, 3), np.uint8)
        text, probs = " ".join(words), np.full(len(words), share)
        return Caption(text, words, probs, -1.0, attention, frames, np.arange(4.0))

    def explain(*_):
        share = next(shares)
        return [caption(("a", "red"), 0.55, 1), caption(("a", "star"), share, 1)]

    model = types.SimpleNamespace(
        caption_frames=lambda *_, **__: explain.last, explain_frames=lambda *_: explain.last
    )
    monkeypatch.setattr(training_panel, "sheet", lambda *rows: drawn.append(rows) or b"")
    panel = panel_of(model, tmp_path, EXAMPLES[:2])
    for epoch in range(3):
        explain.last = explain()
        panel.on_epoch_end(epoch, dict(LOGS))
    _, _, labels, probs, attention, *_ = drawn[-1]
    assert labels == ["epoch 1", "epoch 2", "epoch 3"]
    np.testing.assert_allclose(probs, (0.3, 0.6, 0.9))
    np.testing.assert_allclose(attention[:, 0, 0, 0], (0.3, 0.6, 0.9))
    assert "“star”" in panel.heading.value


def test_of_a_long_run_the_first_and_the_last_epochs_are_shown():
    assert training_panel._spread(3) == [0, 1, 2]
    shown = training_panel._spread(40)
    assert len(shown) == 8 and shown[0] == 0 and shown[-1] == 39


def train(drawn_shards, path, callbacks=(), resume=False):
    keras.utils.set_random_seed(0)
    captioner = tiny.captioner("blind", tiny.DECODER, CaptionSpec(length=3))
    options = TrainingOptions(epochs=2, batch_size=16, checkpoint_steps=100)
    with eagerly():
        fit(captioner, drawn_shards / "train", path, options, None, resume, callbacks=callbacks)


class Click(keras.callbacks.Callback):
    """Clicks after a step, as a callback of another thread would."""

    def __init__(self, panel, click):
        super().__init__()
        self.panel, self.click = panel, click

    def on_train_batch_end(self, batch, logs=None):
        if batch == 1:
            self.click(self.panel)


def waiting(panel):
    """The click waits in the kernel's queue."""
    panel.clicked = True


@pytest.mark.parametrize("click", [lambda panel: panel.stop.click(), waiting])
def test_a_click_saves_after_the_step_and_the_next_run_goes_on(
    click, notebook, drawn_shards, tmp_path, monkeypatch
):
    train(drawn_shards, tmp_path / "whole" / "captioner.keras")
    run = tmp_path / "run"
    panel = TrainingPanel(run)
    monkeypatch.setattr(
        training_panel, "click_waits", lambda button: getattr(panel, "clicked", False)
    )
    with pytest.raises(TrainingError, match="epoch 1, after step 2 of 3"):
        train(drawn_shards, run / "captioner.keras", [Click(panel, click), panel])
    assert "run the cell again" in panel.status.value and panel.stop.disabled
    panel.clicked = False
    train(drawn_shards, run / "captioner.keras", [panel], resume=True)
    assert panel.status.value == "trained"
    assert_same_end(tmp_path / "whole" / "captioner.keras", run / "captioner.keras")


@pytest.mark.usefixtures("eager")
def test_outside_notebooks_captions_are_printed(tmp_path, capsys):
    panel = panel_of(tiny.captioner(), tmp_path, EXAMPLES[:1])
    panel.on_train_batch_end(0, {"loss": 1.0})
    panel.on_epoch_end(0, dict(LOGS))
    panel.on_train_end()
    assert f"reference: {tiny.SENTENCES[0]}" in capsys.readouterr().err


def message(session, kind, comm_id, event):
    """The frames of a message from the page, as a kernel gets them."""
    data = {"method": "custom", "content": {"event": event}}
    sent = session.msg(kind, {"comm_id": comm_id, "data": data})
    return [b"address", *session.serialize(sent)]


@pytest.mark.parametrize(
    ("kind", "comm", "event", "expected"),
    [
        ("comm_msg", "mine", "click", True),
        ("comm_msg", "other", "click", False),
        ("comm_msg", "mine", "hover", False),
        ("execute_request", "mine", "click", False),
    ],
)
def test_clicks_are_found_among_the_messages_that_wait_and_left_there(
    kind, comm, event, expected, monkeypatch
):
    import IPython
    from jupyter_client.session import Session

    session, waiting = Session(key=b"secret"), queue.Queue()
    items = [(0, None, ()), (1, None, (message(session, kind, comm, event),)), (2, None, (b"x",))]
    stream = types.SimpleNamespace(flush=lambda: [waiting.put_nowait(item) for item in items])
    kernel = types.SimpleNamespace(msg_queue=waiting, shell_stream=stream)
    monkeypatch.setattr(IPython, "get_ipython", lambda: types.SimpleNamespace(kernel=kernel))
    button = types.SimpleNamespace(comm=types.SimpleNamespace(comm_id="mine"))
    assert clicks.in_notebook()
    assert clicks.click_waits(button) is expected and clicks.clicks_arrive()
    assert [waiting.get_nowait() for _ in items] == items and waiting.empty()


def test_without_a_kernel_no_click_waits():
    assert not clicks.in_notebook() and not clicks.click_waits(widgets.Button())
    assert not clicks.clicks_arrive()
