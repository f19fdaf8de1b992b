"""Caption: a sentence for a clip, and where the model looked for every word of it."""

import dataclasses
import math
from pathlib import Path

import numpy as np

from v2t_lib.models.cells import cell_of

#: Attention with at least this share of the highest possible entropy is as good as none.
UNIFORM = 0.95


@dataclasses.dataclass(frozen=True)
class Caption:
    """A sentence for a clip, and where the model looked for every word.

    Attributes:
        text: The sentence.
        words: Its words.
        probs: float32 `(words,)`, each word's probability given those before.
        log_prob: Log-probability of the whole sentence, END included, in nats.
        attention: float32 `(words, T', h', w')`; each word's weights sum to 1.
        frames: uint8 `(T, H, W, 3)`, what the model saw.
        seconds: float `(T,)`, when in the clip those frames show.
        runners_up: For each word the words that could have stood there instead, the most probable
            first, as `(word, probability)`.
    """

    text: str
    words: tuple[str, ...]
    probs: np.ndarray
    log_prob: float
    attention: np.ndarray
    frames: np.ndarray
    seconds: np.ndarray
    runners_up: tuple[tuple[tuple[str, float], ...], ...] = ()

    def frame_share(self) -> np.ndarray:
        """float32 `(words, T)`: the share of each word's attention on each frame; rows sum to 1.

        A memory cell stands for several frames, which share its weight evenly.
        """
        times = self.attention.sum(axis=(2, 3))  # (words,T')
        cell = cell_of(np.arange(len(self.frames)), len(self.frames), times.shape[1])
        return times[:, cell] / np.bincount(cell, minlength=times.shape[1])[cell]

    def frame_of(self, word: int) -> int:
        """The number of the frame the model looked at most for word number `word`."""
        share = self.attention[word].sum(axis=(1, 2))  # (T',)
        # A memory cell stands for several frames; the middle one speaks for it.
        return int((share.argmax() + 0.5) * len(self.frames) / len(share))

    def entropy(self) -> np.ndarray:
        """float32 `(words,)`: the attention's entropy, 0 for one cell, 1 for all cells alike."""
        cells = math.prod(self.attention.shape[1:])
        nats = -np.sum(self.attention * np.log(np.maximum(self.attention, 1e-12)), axis=(1, 2, 3))
        return nats / np.log(max(cells, 2))

    def looked_nowhere(self, word: int) -> bool:
        """Whether the word's attention is so even that its heat says nothing."""
        return bool(self.entropy()[word] >= UNIFORM)

    def evidence_frame(self) -> int:
        """The number of the frame that the caption as a whole rests on.

        Every word votes with its share of each frame, the more the sharper it looked.
        """
        votes = (1 - self.entropy())[:, None] * self.frame_share()
        return int(votes.sum(axis=0).argmax())

    def sharpest_word(self) -> int:
        """The number of the word with the most concentrated attention: the highest single cell."""
        return int(self.attention.max(axis=(1, 2, 3)).argmax())

    def save_gif(self, path: str | Path, word: int | None = None, width: int = 240) -> None:
        """Writes the clip twice, side by side, as it is and under one word's heat.

        Args:
            path: Where to.
            word: The word's number, from 0; the sharpest one's when left out.
            width: Of each half, in pixels, at most; small frames are enlarged to near it.
        """
        from v2t_lib.views import heatmap

        word = self.sharpest_word() if word is None else self._checked(word)
        heatmap.save_gif(
            path, self.frames, self.seconds, self.words, self.attention[word], word, width
        )

    def save_sheet(self, path: str | Path) -> None:
        """Writes a PNG of words by key frames, each word's heat over its frames."""
        from v2t_lib.views import heatmap

        heatmap.write(path, self.sheet())

    def sheet(self, columns: int = 4) -> bytes:
        """The contact sheet as the bytes of a PNG: a row a word, a column a key frame."""
        from v2t_lib.views import heatmap

        return heatmap.sheet(
            self.frames, self.seconds, self.words, self.probs, self.attention, columns
        )

    def _checked(self, word: int) -> int:
        if not 0 <= word < len(self.words):
            raise ValueError(
                f"expected a word's number from 0 to {len(self.words) - 1}. Received: {word}"
            )
        return word
