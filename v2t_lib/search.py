"""Search: the words a decoder would write, greedily or with a beam.

Both run as one graph of `keras.ops` over a batch of clips. They know a decoder only by its `step`:
`step(token, state) -> (logits, state, weights)`, with `state` a `DecoderState`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from v2t_lib.decoder import DecoderState
from v2t_lib.vocabulary import END, PAD, START, UNK, Vocabulary

#: Exponent of the length by which a caption's log-probability is divided when beams are compared
#: (arXiv 1609.08144, with the plain length in place of its formula).
LENGTH_EXPONENT = 0.7
_IMPOSSIBLE = -1e9


class Found(NamedTuple):
    """What a search returns, per clip.

    Attributes:
        tokens: int32 `(batch, L)`, END included, then PAD.
        log_probs: float32 `(batch, L)`, of each token given those before; 0 at PAD.
        weights: float32 `(batch, L, S)`, where the model looked for each token.
    """

    tokens: Any
    log_probs: Any
    weights: Any


def _log_probs(logits):
    """float32 log-probabilities of words and END; the rest can't be written."""
    log_probs = ops.log_softmax(ops.cast(logits, "float32"))
    barred = np.zeros(logits.shape[-1], np.float32)
    barred[[PAD, START, UNK]] = _IMPOSSIBLE
    return log_probs + barred


def greedy(step: Callable, state: DecoderState, batch: int, length: int) -> Found:
    """The most probable next word, again and again, until END or `length` tokens."""
    token = ops.full((batch,), START, dtype="int32")
    done = ops.zeros((batch,), dtype="bool")
    tokens, log_probs, looks = [], [], []
    for _ in range(length):
        logits, state, weights = step(token, state)
        scores = _log_probs(logits)
        token = ops.where(done, PAD, ops.cast(ops.argmax(scores, axis=-1), "int32"))
        tokens.append(token)
        log_probs.append(ops.where(done, 0.0, ops.max(scores, axis=-1)))
        looks.append(weights)
        done = ops.logical_or(done, ops.equal(token, END))
    return Found(ops.stack(tokens, 1), ops.stack(log_probs, 1), ops.stack(looks, 1))


def _spread(state: DecoderState, width: int) -> DecoderState:
    """One copy of every clip's state a beam."""
    return DecoderState(
        *(None if part is None else ops.repeat(part, width, axis=0) for part in state)
    )


def beam(
    step: Callable,
    state: DecoderState,
    batch: int,
    length: int,
    width: int,
    length_exponent: float = LENGTH_EXPONENT,
) -> Found:
    """Keeps the `width` best beginnings; the best whole caption by length-normalised score.

    A finished caption keeps its place among the beams until better ones push it out.

    Args:
        step: As for `greedy`.
        state: The state before the first word, of `batch` clips.
        batch: Number of clips.
        length: Most tokens a caption may have.
        width: Number of beams.
        length_exponent: Log-probabilities are divided by their length to this power; 0 for none.
    """
    state = _spread(state, width)
    token = ops.full((batch * width,), START, dtype="int32")
    done = ops.zeros((batch, width), dtype="bool")
    # All beams begin alike: only the first may be continued, or they would stay alike.
    total = ops.tile(ops.where(ops.arange(width) == 0, 0.0, _IMPOSSIBLE)[None], (batch, 1))
    count = ops.zeros((batch, width))
    first = ops.arange(batch)[:, None] * width  # flat index of each clip's first beam
    history = []  # newest last: (tokens, log-probabilities, parents), each (B,K), and looks
    for _ in range(length):
        logits, state, weights = step(token, state)
        vocabulary = logits.shape[-1]
        scores = ops.reshape(_log_probs(logits), (batch, width, vocabulary))
        padding = np.full(vocabulary, _IMPOSSIBLE, np.float32)
        padding[PAD] = 0.0
        scores = ops.where(done[..., None], padding, scores)  # a finished beam only waits
        longer = count + ops.cast(ops.logical_not(done), "float32")
        ranked = (total[..., None] + scores) / (longer[..., None] ** length_exponent)
        _, chosen = ops.top_k(ops.reshape(ranked, (batch, width * vocabulary)), width)
        chosen = ops.cast(chosen, "int32")
        parent, token = chosen // vocabulary, chosen % vocabulary

        def follow(values, parent=parent):
            return ops.take_along_axis(values, parent, axis=1)

        gained = ops.take_along_axis(ops.reshape(scores, (batch, -1)), chosen, axis=1)
        total, count = follow(total) + gained, follow(longer)
        history.append((token, ops.where(follow(done), 0.0, gained), parent, weights))
        done = ops.logical_or(follow(done), ops.logical_or(token == END, token == PAD))
        flat = ops.reshape(parent + first, (-1,))
        state = state._replace(h=ops.take(state.h, flat, 0), c=ops.take(state.c, flat, 0))
        token = ops.reshape(token, (-1,))
    # An unfinished caption must not win over a finished one by being cut short.
    final = total / count**length_exponent + ops.where(done, 0.0, _IMPOSSIBLE)
    best = ops.cast(ops.argmax(final, axis=1), "int32")[:, None]
    return _backtrack(history, best, batch, width)


def _backtrack(history: list, best, batch: int, width: int) -> Found:
    """Follows the best beam's parents from the last token to the first."""
    tokens, log_probs, looks = [], [], []
    for token, gained, parent, weights in reversed(history):
        tokens.append(ops.take_along_axis(token, best, axis=1)[:, 0])
        log_probs.append(ops.take_along_axis(gained, best, axis=1)[:, 0])
        best = ops.take_along_axis(parent, best, axis=1)
        weights = ops.reshape(weights, (batch, width, weights.shape[-1]))
        looks.append(ops.take_along_axis(weights, best[..., None], axis=1)[:, 0])
    return Found(*(ops.stack(parts[::-1], 1) for parts in (tokens, log_probs, looks)))


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
    """

    text: str
    words: tuple[str, ...]
    probs: np.ndarray
    log_prob: float
    attention: np.ndarray
    frames: np.ndarray
    seconds: np.ndarray

    @classmethod
    def from_search(cls, found: Found, vocabulary: Vocabulary, grid, frames, seconds) -> "Caption":
        """One clip's part of a search's result, as numpy arrays without the batch axis."""
        words = tuple(vocabulary.unpack(found.tokens))
        count = len(words)
        return cls(
            text=" ".join(words),
            words=words,
            probs=np.exp(found.log_probs[:count]),
            log_prob=float(found.log_probs.sum()),
            attention=found.weights[:count].reshape(count, *grid),
            frames=frames,
            seconds=seconds,
        )

    def frame_of(self, word: int) -> int:
        """The number of the frame the model looked at most for word number `word`."""
        share = self.attention[word].sum(axis=(1, 2))  # (T',)
        # A memory cell stands for several frames; the middle one speaks for it.
        return int((share.argmax() + 0.5) * len(self.frames) / len(share))

    def sharpest_word(self) -> int:
        """The number of the word with the most concentrated attention: the highest single cell."""
        return int(self.attention.reshape(len(self.words), -1).max(axis=1).argmax())
