"""Generating captions: greedy search, sampling and beam search.

Each is one graph of `keras.ops` over a batch of clips. All they need of a decoder is its `step`:
`step(token, state) -> (logits, state, weights)`, with `state` a `DecoderState`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from v2t_lib.models.decoder import DecoderState
from v2t_lib.text.vocabulary import END, PAD, START, UNK

#: How many of the most probable tokens a search returns for each position.
ALTERNATIVES = 4
_IMPOSSIBLE = -1e9


class SearchResult(NamedTuple):
    """What a search returns for a batch of clips.

    Attributes:
        tokens: int32 `(batch, L)`, END included, then PAD.
        log_probs: float32 `(batch, L)`, of each token given those before; 0 at PAD.
        weights: float32 `(batch, L, S)`, the attention weights of each token.
        alternatives: int32 `(batch, L, ALTERNATIVES)`, the most probable tokens at each position,
            best first; the chosen one is among them if it was that probable.
        alternative_log_probs: float32 `(batch, L, ALTERNATIVES)`.
    """

    tokens: Any
    log_probs: Any
    weights: Any
    alternatives: Any
    alternative_log_probs: Any


def _log_probs(logits):
    """float32 log-probabilities, of which PAD, START and UNK lose 1e9: they are never generated."""
    log_probs = ops.log_softmax(ops.cast(logits, "float32"))
    barred = np.zeros(logits.shape[-1], np.float32)
    barred[[PAD, START, UNK]] = _IMPOSSIBLE
    return log_probs + barred


def _alternatives(log_probs, count: int = ALTERNATIVES):
    """The most probable tokens and their log-probabilities, `(..., count)` each."""
    values, tokens = ops.top_k(log_probs, min(count, log_probs.shape[-1]))
    return ops.cast(tokens, "int32"), values


def forced(logits, weights, targets) -> SearchResult:
    """The result of a search that is forced to generate `targets` (teacher forcing).

    Args:
        logits: `(batch, L, vocabulary_size)`.
        weights: float32 `(batch, L, S)`.
        targets: int32 `(batch, L)`, END included, then PAD.
    """
    given = log_probs_of(logits, targets)
    return SearchResult(targets, given, weights, *_alternatives(_log_probs(logits)))


def log_probs_of(logits, targets):
    """float32 log-probabilities `(..., L)` of int32 targets `(..., L)`, 0 at PAD."""
    log_probs = ops.log_softmax(ops.cast(logits, "float32"))
    given = ops.take_along_axis(log_probs, targets[..., None], axis=-1)[..., 0]
    return ops.where(ops.equal(targets, PAD), 0.0, given)


def greedy(step: Callable, state: DecoderState, batch: int, length: int) -> SearchResult:
    """Chooses the most probable word at each step, until END or `length` tokens."""
    token = ops.full((batch,), START, dtype="int32")
    done = ops.zeros((batch,), dtype="bool")
    history = []
    for _ in range(length):
        logits, state, weights = step(token, state)
        log_probs = _log_probs(logits)
        chosen = ops.cast(ops.argmax(log_probs, axis=-1), "int32")  # (B,)
        gained = ops.take_along_axis(log_probs, chosen[:, None], axis=-1)[:, 0]
        token = ops.where(done, PAD, chosen)
        history.append((token, ops.where(done, 0.0, gained), weights, *_alternatives(log_probs)))
        done = ops.logical_or(done, ops.equal(token, END))
    return SearchResult(*(ops.stack(parts, 1) for parts in zip(*history, strict=True)))


def sample(
    step: Callable,
    state: DecoderState,
    batch: int,
    length: int,
    seed: keras.random.SeedGenerator,
    count: int,
):
    """Samples `count` captions a clip, word by word, from the model's distribution.

    Returns:
        int32 tokens `(batch, count, length)`, END included, then PAD.
    """
    state = state.repeated(count)
    token = ops.full((batch, count), START, dtype="int32")
    done = ops.zeros((batch, count), dtype="bool")
    written = []
    for _ in range(length):
        logits, state, _ = step(token, state)
        log_probs = ops.reshape(_log_probs(logits), (-1, logits.shape[-1]))
        drawn = keras.random.categorical(log_probs, 1, dtype="int32", seed=seed)
        token = ops.where(done, PAD, ops.reshape(drawn, (-1, count)))
        written.append(token)
        done = ops.logical_or(done, ops.equal(token, END))
    return ops.stack(written, axis=-1)


def beam(
    step: Callable,
    state: DecoderState,
    batch: int,
    length: int,
    width: int,
    length_exponent: float = 0.7,
    no_repeat: int = 0,
) -> SearchResult:
    """Beam search: keeps the `width` best partial captions at each step.

    Returned is the finished caption with the best length-normalised log-probability. A finished
    caption keeps its place among the beams until better ones displace it.

    Args:
        step: The decoder's `step`, for `width` tokens a clip.
        state: The state before the first word, of `batch` clips.
        batch: Number of clips.
        length: Maximum number of tokens.
        width: Number of beams.
        length_exponent: Log-probabilities are divided by their length to this power, 0 for none
            (arXiv 1609.08144, with the plain length instead of its formula).
        no_repeat: How many tokens in a row may not occur twice in a caption; 0 lets them.
    """
    state = state.repeated(width)
    token = ops.full((batch, width), START, dtype="int32")
    done = ops.zeros((batch, width), dtype="bool")
    # All beams start equal: only the first may be extended, or they would stay equal.
    total = ops.tile(ops.where(ops.arange(width) == 0, 0.0, _IMPOSSIBLE)[None], (batch, 1))
    count = ops.zeros((batch, width))
    history = []  # newest last: tokens, log-probabilities, parents, each (B,K), and (B,K,...)
    written = []  # the beams' tokens so far, (B,K) each
    for _ in range(length):
        logits, state, weights = step(token, state)
        # The best `width` extensions are among each beam's `width` best tokens.
        log_probs = _log_probs(logits)
        if no_repeat:
            log_probs = log_probs + _repeated(written, no_repeat, logits.shape[-1])
        alternatives = _alternatives(log_probs, max(width, ALTERNATIVES))
        tokens, scores = (part[..., :width] for part in alternatives)
        each = scores.shape[-1]
        tokens = ops.where(done[..., None], PAD, tokens)
        # A finished beam has one extension, PAD, at no cost.
        finished = np.where(np.arange(each) == 0, 0.0, _IMPOSSIBLE).astype("float32")
        scores = ops.where(done[..., None], finished, scores)
        longer = count + ops.cast(ops.logical_not(done), "float32")
        ranked = (total[..., None] + scores) / (longer[..., None] ** length_exponent)
        _, chosen = ops.top_k(ops.reshape(ranked, (batch, width * each)), width)
        chosen = ops.cast(chosen, "int32")
        parent = chosen // each

        def follow(values, parent=parent):
            return ops.take_along_axis(values, parent, axis=1)

        def choose(values, chosen=chosen):
            return ops.take_along_axis(ops.reshape(values, (batch, -1)), chosen, axis=1)

        token, gained = choose(tokens), choose(scores)
        if no_repeat:
            written = [*map(follow, written), token]
        total, count = follow(total) + gained, follow(longer)
        log_probs = ops.where(follow(done), 0.0, gained)
        of_parent = [weights, *(part[..., :ALTERNATIVES] for part in alternatives)]
        history.append((token, log_probs, parent, of_parent))
        done = ops.logical_or(follow(done), ops.logical_or(token == END, token == PAD))
        h, c = (ops.take_along_axis(x, parent[..., None], axis=1) for x in (state.h, state.c))
        state = state._replace(h=h, c=c)
    # A caption that was cut off must not beat a finished one.
    final = total / count**length_exponent + ops.where(done, 0.0, _IMPOSSIBLE)
    best = ops.cast(ops.argmax(final, axis=1), "int32")[:, None]
    return _backtrack(history, best)


def _repeated(written: list, size: int, vocabulary_size: int):
    """float32 `(B, K, V)`: -1e9 for tokens that would end `size` tokens in a row a second time."""
    barred = 0.0
    for start in range(len(written) - size + 1):
        begun, last = written[start : start + size - 1], written[start + size - 1]
        latest = written[len(written) - size + 1 :]
        same = ops.ones_like(last, dtype="bool")
        for earlier, now in zip(begun, latest, strict=True):
            same = ops.logical_and(same, ops.equal(earlier, now))
        barred = barred + ops.cast(same, "float32")[..., None] * ops.one_hot(last, vocabulary_size)
    return _IMPOSSIBLE * ops.minimum(barred, 1.0)


def _backtrack(history: list, best) -> SearchResult:
    """Collects the best beam's tokens from the last to the first, along its parents."""
    rows = []
    for token, gained, parent, of_parent in reversed(history):
        row = [ops.take_along_axis(values, best, axis=1)[:, 0] for values in (token, gained)]
        best = ops.take_along_axis(parent, best, axis=1)
        for values in of_parent:  # indexed by the beams before this step
            row.append(ops.take_along_axis(values, best[..., None], axis=1)[:, 0])
        rows.append(row)
    return SearchResult(*(ops.stack(parts, 1) for parts in zip(*rows[::-1], strict=True)))
