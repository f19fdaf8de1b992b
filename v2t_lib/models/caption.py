"""Caption: a sentence for a clip, with a probability and attention weights for every word."""

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from v2t_lib.files import replacing
from v2t_lib.text.vocabulary import PAD, START, UNK, Vocabulary, sentence

if TYPE_CHECKING:  # it loads Keras
    from v2t_lib.models.generation import SearchResult

#: Attention whose entropy is at least this share of the maximum counts as uniform.
UNIFORM = 0.95


def cell_of(position, size: int, cells: int, shift: float = 0.0):
    """The cell, of `cells`, that holds the middle of pixels or frames `position`, of `size`."""
    return np.clip(np.floor((position + 0.5) * cells / size - shift).astype(int), 0, cells - 1)


def over_pixels(values: np.ndarray, shape: tuple[int, ...], shift=(0.0, 0.0)) -> np.ndarray:
    """Each pixel's value of its cell: `(T', h', w')` to `shape`, `(T, H, W)`."""
    for axis, (size, offset) in enumerate(zip(shape, (0.0, *shift), strict=True)):
        cell = cell_of(np.arange(size), size, values.shape[axis], offset)
        values = values.take(cell, axis=axis)
    return values


@dataclasses.dataclass(frozen=True)
class Caption:
    """A sentence for a clip, with a probability and attention weights for every word.

    Attention weights lie on the encoder's memory: `T'` time steps of `h'` by `w'` cells, each time
    step encoding one or several frames.

    Attributes:
        probs: float32 `(words,)`, each word's probability given the words before it.
        log_prob: Log-probability of the whole sentence with its END token, in nats.
        attention: float32 `(words, T', h', w')`, attention weights; they sum to 1 for each word.
        frames: uint8 `(T, H, W, 3)`, the model's input.
        seconds: float `(T,)`, the time in the clip at which each frame was sampled.
        runners_up: For each word the most probable alternatives at its position, as
            `(word, probability)`, most probable first.
        cell_shift: How far `(down, right)` the centres of what the cells see lie from the cells'
            own, in cells.
        unlike_training: Whether the clip is unlike those the model was trained on; None where that
            isn't known.
    """

    text: str
    words: tuple[str, ...]
    probs: np.ndarray
    log_prob: float
    attention: np.ndarray
    frames: np.ndarray
    seconds: np.ndarray
    runners_up: tuple[tuple[tuple[str, float], ...], ...] = ()
    cell_shift: tuple[float, float] = (0.0, 0.0)
    unlike_training: bool | None = None

    @classmethod
    def from_search(
        cls, found: "SearchResult", vocabulary: Vocabulary, grid: tuple[int, int, int], **parts
    ) -> "Caption":
        """A search's result for one clip, its tokens `(L,)` and so on, with the other `parts`."""
        words = tuple(vocabulary.unpack(found.tokens))
        count = len(words)
        rows = (found.tokens, found.alternatives, found.alternative_log_probs)
        runners_up = tuple(
            tuple(
                (vocabulary.words[token], float(np.exp(log_prob)))
                for token, log_prob in zip(tokens, log_probs, strict=True)
                if token not in (chosen, PAD, START, UNK)
            )[: len(tokens) - 1]
            for chosen, tokens, log_probs in zip(*(row[:count] for row in rows), strict=True)
        )
        return cls(
            text=sentence(words, vocabulary.unit),
            words=words,
            probs=np.exp(found.log_probs[:count]),
            log_prob=float(found.log_probs.sum()),
            attention=found.weights[:count].reshape(count, *grid),
            runners_up=runners_up,
            **parts,
        )

    def to_dict(self, file: str) -> dict:
        """The row that `v2t caption --json` prints of the clip `file`."""
        words = []
        for number, (word, prob) in enumerate(zip(self.words, self.probs, strict=True)):
            frame = self.frame_of(number)
            seconds = round(float(self.seconds[frame]), 3)
            words.append(
                {"word": word, "prob": round(float(prob), 4), "frame": frame, "seconds": seconds}
            )
        log_prob = round(self.log_prob, 4)
        return {"file": file, "caption": self.text, "log_prob": log_prob, "words": words}

    def frame_share(self) -> np.ndarray:
        """float32 `(words, T)`: each word's attention on each frame; the rows sum to 1.

        Frames of the same time step share its weight equally.
        """
        times = self.attention.sum(axis=(2, 3))  # (words,T')
        step = cell_of(np.arange(len(self.frames)), len(self.frames), times.shape[1])
        return times[:, step] / np.bincount(step, minlength=times.shape[1])[step]

    def frame_of(self, word: int) -> int:
        """The number of the frame in the middle of the time step with word `word`'s most weight."""
        share = self.attention[word].sum(axis=(1, 2))  # (T',)
        return int((share.argmax() + 0.5) * len(self.frames) / len(share))

    def entropy(self) -> np.ndarray:
        """float32 `(words,)`: normalised attention entropy, 0 for one of many cells, 1 for uniform.

        It is 1 where the memory has a single cell, a blind model's say.
        """
        cells = math.prod(self.attention.shape[1:])
        if cells == 1:
            return np.ones(len(self.words), np.float32)
        nats = -np.sum(self.attention * np.log(np.maximum(self.attention, 1e-12)), axis=(1, 2, 3))
        return nats / np.log(cells)

    def looked_nowhere(self, word: int) -> bool:
        """Whether the word's attention is close to uniform, so that its heat map says nothing."""
        return bool(self.entropy()[word] >= UNIFORM)

    def evidence_frame(self, weights: np.ndarray | None = None) -> int:
        """The number of the frame with the most attention, by `weights` `(words,)`.

        When left out they are 1 minus the words' entropy: concentrated attention counts more.
        """
        weights = 1 - self.entropy() if weights is None else weights
        return int((weights[:, None] * self.frame_share()).sum(axis=0).argmax())

    def sharpest_word(self) -> int:
        """The number of the word with the highest attention weight on a single cell; a caption
        without words is a ValueError."""
        if not self.words:
            raise ValueError("expected a caption with a word. Received: one without words")
        return int(self.attention.max(axis=(1, 2, 3)).argmax())

    def save_gif(self, path: str | Path, word: int | str | None = None, width: int = 240) -> None:
        """Writes a GIF of the clip, plain and under one word's heat map, side by side.

        Args:
            path: A file name that ends in `.gif`.
            word: The word's number, from 0, or the word itself (where it occurs first); by default
                the one with the most concentrated attention.
            width: Most pixels across each half. Small frames are enlarged by a whole factor.
        """
        from v2t_lib.views import animation

        animation.write_gif(path, *self._animation(word, width))

    def save_video(self, path: str | Path, word: int | str | None = None, width: int = 240) -> None:
        """As `save_gif`, an MP4 that plays once in browsers and slides; `path` ends in `.mp4`."""
        from v2t_lib.views import animation

        animation.write_mp4(path, *self._animation(word, width))

    def _animation(self, word: int | str | None, width: int) -> tuple[np.ndarray, np.ndarray]:
        from v2t_lib.views import animation

        number = self._number_of(word) if self.words or word is not None else None
        pictures = animation.side_by_side(self, number, width)
        return pictures, animation.frame_durations(self.seconds)

    def _number_of(self, word: int | str | None) -> int:
        if word is None or not self.words:
            return self.sharpest_word()
        number = self.words.index(word) if word in self.words else word
        if number not in range(len(self.words)):
            raise ValueError(
                f"expected a word of “{self.text}”, or a number from 0 to {len(self.words) - 1}. "
                f"Received: {word!r}"
            )
        return int(number)

    def save_sheet(self, path: str | Path) -> None:
        """Writes the contact sheet of `sheet` as a PNG."""
        with replacing(path) as temporary:
            temporary.write_bytes(self.sheet())

    def sheet(self, columns: int = 4) -> bytes:
        """A contact sheet as a PNG: a row for each word, a column for each of a few key frames."""
        from v2t_lib.views import sheet

        return sheet.sheet(self, columns)
