"""The training panel: curves, captions and a word's attention as a model learns, and a stop button.

A click on the button does what an interrupt of the kernel does: the step is finished, everything is
saved, and running the cell again resumes.
"""

import html
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import ipywidgets as widgets
import numpy as np

from v2t_lib.models.caption import Caption
from v2t_lib.progress import log
from v2t_lib.shards.example import Example
from v2t_lib.views.clicks import click_waits, clicks_arrive, in_notebook
from v2t_lib.views.curves import LiveCurves
from v2t_lib.views.sheet import sheet

#: Most epochs in the picture of attention, and most frames.
_ROWS, _FRAMES = 8, 8
#: Seconds between two updates of the status line.
_PAUSE = 1.0


def _spread(count: int) -> list[int]:
    """At most `_ROWS` of the numbers up to `count`, evenly, the first and the last among them."""
    return sorted({round(n) for n in np.linspace(0, count - 1, min(count, _ROWS))})


class TrainingPanel(LiveCurves):
    """Shows a model as it trains: curves, captions of held-out clips, a word's attention; can stop.

    For each clip the first reference is scored after every epoch (teacher forcing). Of all its
    words the one whose attention is sharpest now is shown, a row an epoch. Outside notebooks the
    captions are printed, and Ctrl-C stops.

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
        self.attention: bytes | None = None  # the newest picture of it, PNG
        self._scored: list[tuple[int, list[Caption]]] = []
        self._stopped, self._shown_at, self._epoch = False, 0.0, 0
        self._in_notebook, self._how_to_stop = in_notebook(), ""
        if self._in_notebook:
            self._make_widgets()

    def _make_widgets(self) -> None:
        self.stop = widgets.Button(
            description="Stop and save", icon="stop", tooltip="stops after this step"
        )
        self.stop.on_click(lambda _: self._ask_to_stop())
        self.status = widgets.HTML()
        self.curves = widgets.Image(format="png", layout=widgets.Layout(max_width="100%"))
        self.captions = widgets.HTML()
        self.heading = widgets.HTML()
        self.picture = widgets.Image(format="png", layout=widgets.Layout(max_width="100%"))
        for image in (self.curves, self.picture):
            image.layout.align_self = "flex-start"
            image.layout.display = "none"  # until there is a picture
        self.panel = widgets.VBox(
            [
                widgets.HBox([self.stop, self.status]),
                self.curves,
                self.captions,
                self.heading,
                self.picture,
            ]
        )

    def _ask_to_stop(self) -> None:
        # A front end may run this in another thread, between two steps or within one.
        self._stopped = self.stop.disabled = True
        self.status.value = (
            "Stops after this step and saves everything; run the cell again to resume."
        )

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self._stopped = False
        if self._in_notebook:
            from IPython.display import display

            self.stop.disabled = False
            if not clicks_arrive():
                self.stop.layout.display = "none"
                self._how_to_stop = "; to stop and save, interrupt the kernel"
            display(self.panel)

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if not self._in_notebook:
            return
        if self._stopped or click_waits(self.stop):
            if not self.stop.disabled:
                self._ask_to_stop()
            signal.raise_signal(signal.SIGINT)  # `StopSignal` has the step finished and all saved
        elif time.monotonic() - self._shown_at > _PAUSE:
            self._shown_at = time.monotonic()
            self.status.value = (
                f"epoch {self._epoch + 1} of {self.params['epochs']}, step {batch + 1} of "
                f"{self.params['steps']}, loss {float((logs or {})['loss']):.3f}{self._how_to_stop}"
            )

    def on_epoch_end(self, epoch, logs=None):
        if self.examples:
            self._caption(epoch)
        super().on_epoch_end(epoch, logs)

    def on_train_end(self, logs=None):
        if self._in_notebook:
            self.stop.disabled = True
            self.status.value = "trained"

    def show(self, picture: bytes) -> None:
        """Shows the curves."""
        if self._in_notebook:
            self._put(self.curves, picture)

    @staticmethod
    def _put(image: widgets.Image, picture: bytes) -> None:
        image.value, image.layout.display = picture, ""

    def _caption(self, epoch: int) -> None:
        """Captions the clips and scores their references."""
        frames = np.stack([example.frames for example in self.examples])
        seconds = np.stack([example.seconds for example in self.examples])
        references = [example.captions[0] for example in self.examples]
        written = self.model.caption_frames(frames, seconds=seconds)
        self._scored.append((epoch, self.model.explain_frames(frames, references, seconds)))
        if not self._in_notebook:
            for caption, reference in zip(written, references, strict=True):
                log.info("  %s   | reference: %s", caption.text or "(nothing)", reference)
            return
        rows = "".join(
            f"<tr><td style='padding-right: 2em'>{html.escape(caption.text) or '(nothing)'}</td>"
            f"<td>{html.escape(reference)}</td></tr>"
            for caption, reference in zip(written, references, strict=True)
        )
        self.captions.value = (
            f"<table><tr style='text-align: left'><th>written after epoch {epoch + 1}</th>"
            f"<th>a reference</th></tr>{rows}</table>"
        )
        self._show_attention()

    def _show_attention(self) -> None:
        """Draws the attention of the word that has the sharpest now, a row an epoch."""
        now = self._scored[-1][1]
        clip = min((n for n, c in enumerate(now) if c.words), key=lambda n: now[n].entropy().min())
        word = int(now[clip].entropy().argmin())
        rows = [(self._scored[n][0], self._scored[n][1][clip]) for n in _spread(len(self._scored))]
        last = now[clip]
        picture = sheet(
            last.frames,
            last.seconds,
            [f"epoch {epoch + 1}" for epoch, _ in rows],
            np.array([caption.probs[word] for _, caption in rows]),
            np.stack([caption.attention[word] for _, caption in rows]),
            _FRAMES,
            last.cell_shift,
        )
        self.heading.value = (
            f"Attention for “{html.escape(last.words[word])}” in the reference "
            f"“{html.escape(last.text)}”; below each epoch the word's probability:"
        )
        self.attention = picture
        self._put(self.picture, picture)
