"""The training panel: curves, captions and a word's attention, in a cell, as a model learns."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from IPython.display import HTML, Pretty

from v2t_lib.models.caption import Caption
from v2t_lib.shards.example import Example
from v2t_lib.views.curves import LiveCurves, in_notebook
from v2t_lib.views.pages import data_url, rendered
from v2t_lib.views.sheet import sheet

#: Most epochs in the picture of attention, and most frames.
_ROWS, _FRAMES = 8, 8
#: Seconds between two updates of the status line.
_PAUSE = 1.0


class TrainingPanel(LiveCurves):
    """Shows a model as it trains: curves, captions of held-out clips, a word's attention.

    For each clip the first reference is scored after every epoch (teacher forcing). Of all its
    words the one whose attention is sharpest now is shown, a row an epoch. Interrupting the kernel
    finishes the step and saves everything; running the cell again resumes.

    Args:
        run: The run's directory, with `history.csv` if the run is resumed.
        examples: Held-out clips, three say; each makes an epoch a little longer.

    Attributes:
        attention: The picture of a word's attention by epoch as the bytes of a PNG; None before the
            first epoch's end, and outside notebooks.
    """

    def __init__(self, run: str | Path, examples: Sequence[Example] = ()):
        super().__init__(run)
        self.examples = list(examples)
        self.attention: bytes | None = None
        self._scored: list[list[Caption]] = []  # the references by epoch
        self._shown_at = 0.0

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self._say("training begins")
        if in_notebook() and "panel" not in self._displays:
            self.put("panel", HTML(""))  # its place, above what training prints

    def on_train_batch_end(self, batch, logs=None):
        if time.monotonic() - self._shown_at > _PAUSE and in_notebook():
            self._shown_at = time.monotonic()
            loss = float((logs or {})["loss"])
            done = f"step {batch + 1} of {self.params['steps']}, loss {loss:.3f}"
            self._say(f"{done}; to stop and save, interrupt the kernel")

    def on_train_end(self, logs=None):
        self._say("trained")

    def _say(self, text: str) -> None:
        if in_notebook():
            self.put("status", Pretty(text))

    def show(self, picture: bytes) -> None:
        """Shows the curves, a PNG, with captions and attention."""
        captions = self._captions() if self.examples else {"captions": ()}
        page = rendered("training.html", curves=data_url(picture, "png"), **captions)
        self.put("panel", HTML(page))

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
        count, last = len(self._scored), self._scored[-1][clip]
        shown = np.linspace(0, count - 1, min(count, _ROWS)).round().astype(int)
        rows = [self._scored[n][clip] for n in shown]
        epochs = [row["epoch"] + 1 for row in self.rows[-count:]]
        return sheet(
            last.frames,
            last.seconds,
            [f"epoch {epochs[n]}" for n in shown],
            np.array([caption.probs[word] for caption in rows]),
            np.stack([caption.attention[word] for caption in rows]),
            _FRAMES,
            last.cell_shift,
        )


def _sharpest(captions: Sequence[Caption]) -> tuple[int, int]:
    """The caption with the word of the lowest attention entropy, and that word's number."""
    clip = min(
        (n for n, c in enumerate(captions) if c.words), key=lambda n: captions[n].entropy().min()
    )
    return clip, int(captions[clip].entropy().argmin())
