"""The training panel: curves, captions and a word's attention, in a cell, as a model learns."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from v2t_lib.models.caption import Caption
from v2t_lib.progress import log
from v2t_lib.shards.example import Example
from v2t_lib.views.curves import LiveCurves
from v2t_lib.views.pages import data_url, rendered
from v2t_lib.views.sheet import sheet

#: Most epochs in the picture of attention, and most frames.
_ROWS, _FRAMES = 8, 8
#: Seconds between two updates of the status line.
_PAUSE = 1.0


def in_notebook() -> bool:
    """Whether a notebook's kernel runs this."""
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


class TrainingPanel(LiveCurves):
    """Shows a model as it trains: curves, captions of held-out clips, a word's attention.

    For each clip the first reference is scored after every epoch (teacher forcing). Of all its
    words the one whose attention is sharpest now is shown, a row an epoch. Interrupting the kernel
    (outside notebooks Ctrl-C) finishes the step and saves everything; running the cell again
    resumes. Outside notebooks the captions are printed.

    Args:
        run: The run's directory, with `history.csv` if the run is resumed.
        examples: Held-out clips, three say; each makes an epoch a little longer.

    Attributes:
        attention: The picture of a word's attention by epoch as the bytes of a PNG; None before the
            first epoch's end.
    """

    def __init__(self, run: str | Path, examples: Sequence[Example] = ()):
        super().__init__(run)
        self.examples = list(examples)
        self.attention: bytes | None = None
        self._scored: list[tuple[int, list[Caption]]] = []
        self._captions: dict[str, Any] = {"captions": ()}  # what the template says of them
        self._in_notebook, self._status, self._shown_at, self._epoch = in_notebook(), None, 0.0, 0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self._in_notebook and time.monotonic() - self._shown_at > _PAUSE:
            self._shown_at = time.monotonic()
            self._say(
                f"epoch {self._epoch + 1} of {self.params['epochs']}, step {batch + 1} of "
                f"{self.params['steps']}, loss {float((logs or {})['loss']):.3f}; to stop and "
                "save, interrupt the kernel"
            )

    def on_epoch_end(self, epoch, logs=None):
        if self.examples:
            self._caption(epoch)
        super().on_epoch_end(epoch, logs)

    def on_train_end(self, logs=None):
        if self._in_notebook:
            self._say("trained")

    def _say(self, text: str) -> None:
        from IPython.display import Pretty, display

        if self._status is None:
            self._status = display(Pretty(text), display_id=True)
        else:
            self._status.update(Pretty(text))

    def show(self, picture: bytes) -> None:
        """Shows the curves, a PNG, with captions and attention."""
        if self._in_notebook:
            from IPython.display import HTML

            url = data_url(picture, "png")
            self.put(HTML(rendered("training.html", curves=url, **self._captions)))

    def _caption(self, epoch: int) -> None:
        """Captions the clips and scores their references."""
        frames = np.stack([example.frames for example in self.examples])
        seconds = np.stack([example.seconds for example in self.examples])
        references = [example.captions[0] for example in self.examples]
        written = self.model.caption_frames(frames, seconds=seconds)
        self._scored.append((epoch, self.model.explain_frames(frames, references, seconds)))
        pairs = [
            (caption.text, reference)
            for caption, reference in zip(written, references, strict=True)
        ]
        if self._in_notebook:
            self._captions = {"epoch": epoch + 1, "captions": pairs} | self._sharpest()
            return
        for text, reference in pairs:
            log.info("  %s   | reference: %s", text or "(nothing)", reference)

    def _sharpest(self) -> dict[str, Any]:
        """Draws the attention of the word that has the sharpest now, a row an epoch."""
        now = self._scored[-1][1]
        clip = min((n for n, c in enumerate(now) if c.words), key=lambda n: now[n].entropy().min())
        word = int(now[clip].entropy().argmin())
        shown = np.linspace(0, len(self._scored) - 1, min(len(self._scored), _ROWS)).round()
        rows = [(self._scored[n][0], self._scored[n][1][clip]) for n in shown.astype(int)]
        last = now[clip]
        self.attention = sheet(
            last.frames,
            last.seconds,
            [f"epoch {epoch + 1}" for epoch, _ in rows],
            np.array([caption.probs[word] for _, caption in rows]),
            np.stack([caption.attention[word] for _, caption in rows]),
            _FRAMES,
            last.cell_shift,
        )
        return {
            "attention": data_url(self.attention, "png"),
            "word": last.words[word],
            "sentence": last.text,
        }
