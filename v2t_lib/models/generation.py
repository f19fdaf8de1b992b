"""Generating captions: greedy search and sampling; `beam_search` has the beams.

Each is a loop of `keras.ops` over a batch of clips, which ends once all captions have. All they
need of a decoder is its `step`: `step(token, state) -> (logits, state, weights)`, with `state` a
`DecoderState`.
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
#: Added to the log-probability of what must not be chosen.
IMPOSSIBLE = -1e9


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


def allowed_log_probs(logits):
    """float32 log-probabilities, of which PAD, START and UNK lose 1e9: they are never generated."""
    log_probs = ops.log_softmax(ops.cast(logits, "float32"))
    barred = np.zeros(logits.shape[-1], np.float32)
    barred[[PAD, START, UNK]] = IMPOSSIBLE
    return log_probs + ops.convert_to_tensor(barred)


def most_probable(log_probs, count: int = ALTERNATIVES):
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
    return SearchResult(targets, given, weights, *most_probable(allowed_log_probs(logits)))


def log_probs_of(logits, targets):
    """float32 log-probabilities `(..., L)` of int32 targets `(..., L)`, 0 at PAD."""
    log_probs = ops.log_softmax(ops.cast(logits, "float32"))
    given = ops.take_along_axis(log_probs, targets[..., None], axis=-1)[..., 0]
    return ops.where(ops.equal(targets, PAD), 0.0, given)


def write(advance: Callable, carry: tuple, length: int, finished: Callable) -> tuple:
    """Repeats `advance(position, carry) -> (carry, rows)` for each position of a caption.

    Args:
        advance: Predicts one token a caption. The shapes of carry and rows stay the same.
        carry: Tensors that the first call gets.
        length: Maximum number of tokens.
        finished: `finished(carry)`, a bool scalar: whether the rest of the captions is padding.

    Returns:
        `(carry, rows)`: the last carry, and every row of all positions, `(length, ...)`, zeros
        after the last that was needed.
    """
    carry, first = advance(ops.convert_to_tensor(0, "int32"), carry)
    positions = ops.arange(length, dtype="int32")

    def stored(row, position, rows):
        here = ops.reshape(ops.equal(positions, position), (-1, *[1] * len(row.shape)))
        return ops.where(here, row[None], rows)

    def body(position, carry, stacked):
        carry, rows = advance(position, carry)
        stacked = tuple(stored(row, position, s) for row, s in zip(rows, stacked, strict=True))
        return position + 1, carry, stacked

    def unfinished(position, carry, stacked):
        return ops.logical_and(position < length, ops.logical_not(finished(carry)))

    stacked = tuple(ops.pad(r[None], [(0, length - 1), *[(0, 0)] * len(r.shape)]) for r in first)
    start = ops.convert_to_tensor(1, "int32")
    _, carry, stacked = ops.while_loop(unfinished, body, (start, carry, stacked))
    return carry, stacked


def greedy(step: Callable, state: DecoderState, batch: int, length: int) -> SearchResult:
    """Chooses the most probable word at each step, until END or `length` tokens."""

    def advance(position, carry):
        token, done, h, c = carry
        logits, new, weights = step(token, state._replace(h=h, c=c))
        log_probs = allowed_log_probs(logits)
        chosen = ops.cast(ops.argmax(log_probs, axis=-1), "int32")  # (B,)
        gained = ops.take_along_axis(log_probs, chosen[:, None], axis=-1)[:, 0]
        token, gained = ops.where(done, PAD, chosen), ops.where(done, 0.0, gained)
        done = ops.logical_or(done, ops.equal(token, END))
        return (token, done, new.h, new.c), (token, gained, weights, *most_probable(log_probs))

    begin = ops.full((batch,), START, dtype="int32")
    carry = (begin, ops.zeros((batch,), dtype="bool"), state.h, state.c)
    _, rows = write(advance, carry, length, lambda carry: ops.all(carry[1]))
    return SearchResult(*(ops.moveaxis(row, 0, 1) for row in rows))


def sample(
    step: Callable,
    state: DecoderState,
    batch: int,
    length: int,
    seed: keras.random.SeedGenerator,
    count: int,
    temperature: float = 1.0,
):
    """Samples `count` captions a clip, word by word, from the model's distribution.

    Logits are divided by `temperature`: below 1 what is probable becomes more so.

    Returns:
        int32 tokens `(batch, count, length)`, END included, then PAD.
    """
    state = state.repeated(count)
    points = keras.random.uniform((length, batch, count), seed=seed)

    def advance(position, carry):
        token, done, h, c = carry
        logits, new, _ = step(token, state._replace(h=h, c=c))
        # The first token whose cumulative probability exceeds a point between 0 and the whole.
        log_probs = allowed_log_probs(logits / temperature)
        cumulative = ops.cumsum(ops.exp(log_probs), axis=-1)  # (B,K,V)
        point = ops.take(points, position, axis=0)[..., None] * cumulative[..., -1:]
        drawn = ops.sum(ops.cast(cumulative <= point, "int32"), axis=-1)
        token = ops.where(done, PAD, ops.minimum(drawn, logits.shape[-1] - 1))
        return (token, ops.logical_or(done, ops.equal(token, END)), new.h, new.c), (token,)

    begin = ops.full((batch, count), START, dtype="int32")
    carry = (begin, ops.zeros((batch, count), dtype="bool"), state.h, state.c)
    _, (tokens,) = write(advance, carry, length, lambda carry: ops.all(carry[1]))
    return ops.moveaxis(tokens, 0, -1)
