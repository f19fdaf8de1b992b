"""The training panel: curves, captions and a word's attention, in a cell, as a model learns."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from IPython import get_ipython
from IPython.display import HTML, Image, Pretty, display

from v2t_lib.models.caption import Caption
from v2t_lib.shards.example import Example
from v2t_lib.views.curves import curves
from v2t_lib.views.pages import data_url, rendered
from v2t_lib.views.sheet import sheet

#: Most epochs in the picture of attention, and most frames.
_ROWS, _FRAMES = 8, 8
#: Seconds between two updates of the status line.
_PAUSE = 1.0


class TrainingPanel(keras.callbacks.Callback):
    """Shows a model as it trains in a notebook: curves, captions of held-out clips, attention.

    For each clip the first reference is scored after every epoch (teacher forcing). Of all its
    words the one whose attention is sharpest now is shown, a row an epoch. Interrupting the kernel
    finishes the step and saves everything; running the cell again resumes.

    Args:
        run: The run's directory, with `history.csv` if the run is resumed.
        examples: Held-out clips, three say; each makes an epoch a little longer. Without any there
            are only curves.
    """

    def __init__(self, run: str | Path, examples: Sequence[Example] = ()):
        super().__init__()
        self.run, self.examples = Path(run), list(examples)
        self.rows: list[dict[str, Any]] = []
        self.attention: bytes | None = None  # a word's by epoch, as a PNG; in notebooks alone
        self._scored: list[list[Caption]] = []  # the references by epoch
        self._displays: dict[type, Any] = {}
        self._shown_at = 0.0

    def on_train_begin(self, logs=None):
        history = self.run / "history.csv"
        if history.exists() and history.stat().st_size:
            self.rows = pd.read_csv(history).to_dict("records")
        self._show(Pretty("training begins"))

    def on_train_batch_end(self, batch, logs=None):
        if time.monotonic() - self._shown_at > _PAUSE:
            self._shown_at = time.monotonic()
            done = f"step {batch + 1} of {self.params['steps']}, loss {float(logs['loss']):.3f}"
            self._show(Pretty(f"{done}; to stop and save, interrupt the kernel"))

    def on_epoch_end(self, epoch, logs=None):
        self.rows.append({"epoch": epoch} | {k: float(v) for k, v in (logs or {}).items()})
        if in_notebook():
            self._show(Image(data=curves(self.run, pd.DataFrame(self.rows))))
            if self.examples:
                self._show(HTML(rendered("training.html", **self._captions())))

    def on_train_end(self, logs=None):
        self._show(Pretty("trained"))

    def _show(self, shown: Any) -> None:
        """In a notebook, shows something in place of what was shown of that kind before."""
        if not in_notebook():
            return
        if type(shown) in self._displays:
            self._displays[type(shown)].update(shown)
        else:
            self._displays[type(shown)] = display(shown, display_id=True)

    def _captions(self) -> dict[str, Any]:
        """What the template says of captions and attention."""
        frames = np.stack([example.frames for example in self.examples])
        seconds = np.stack([example.seconds for example in self.examples])
        references = [example.captions[0] for example in self.examples]
        written = self.model.caption_frames(frames, seconds=seconds)
        self._scored.append(self.model.explain_frames(frames, references, seconds))
        clip, word = _sharpest(self._scored[-1])
        last = self._scored[-1][clip]
        self.attention = self._by_epoch(clip, word)
        return {
            "epoch": self.rows[-1]["epoch"] + 1,
            "captions": [(c.text, text) for c, text in zip(written, references, strict=True)],
            "attention": data_url(self.attention, "png"),
            "word": last.words[word],
            "sentence": last.text,
        }

    def _by_epoch(self, clip: int, word: int) -> bytes:
        """The attention of one word of a clip's reference, a row an epoch, as a PNG."""
        count = len(self._scored)
        shown = np.linspace(0, count - 1, min(count, _ROWS)).round().astype(int)
        rows = [self._scored[n][clip] for n in shown]
        epochs = [row["epoch"] + 1 for row in self.rows[-count:]]
        by_epoch = dataclasses.replace(
            rows[-1],
            words=tuple(f"epoch {epochs[n]}" for n in shown),
            probs=np.array([caption.probs[word] for caption in rows]),
            attention=np.stack([caption.attention[word] for caption in rows]),
        )
        return sheet(by_epoch, _FRAMES)


def _sharpest(captions: Sequence[Caption]) -> tuple[int, int]:
    """The caption with the word of the lowest attention entropy, and that word's number."""
    lowest = [min(caption.entropy(), default=np.inf) for caption in captions]
    clip = int(np.argmin(lowest))
    return clip, int(captions[clip].entropy().argmin())


def in_notebook() -> bool:
    """Whether a notebook's kernel runs this."""
    return getattr(get_ipython(), "kernel", None) is not None
