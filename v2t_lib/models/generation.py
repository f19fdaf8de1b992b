"""Generating captions: greedy search, beam search, sampling, and scoring given captions. All that
is needed of a decoder is `step(token, state) -> (logits, state, weights)`."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from v2t_lib.models.decoder import DecoderState
from v2t_lib.text.vocabulary import END, PAD, START, UNK

#: How many of the most probable tokens a search returns for each position.
ALTERNATIVES = 4
#: Added to the log-probability of what must not be chosen.
IMPOSSIBLE = -1e9
#: Added to the score of a caption that was cut off at the maximum length: finished ones go first.
CUT_OFF = -1e4


class SearchResult(NamedTuple):
    """What a search returns for a batch of clips.

    `alternatives` are the most probable tokens at each position, best first; the chosen one is
    among them if it was that probable.
    """

    tokens: Any  # int32 (batch, L), END included, then PAD
    log_probs: Any  # float32 (batch, L), of each token given those before; 0 at PAD
    weights: Any  # float32 (batch, L, S), the attention weights of each token
    alternatives: Any  # int32 (batch, L, ALTERNATIVES)
    alternative_log_probs: Any  # float32 (batch, L, ALTERNATIVES)


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
    """The result of a search that is forced to generate `targets` `(..., L)` (teacher forcing)."""
    given = log_probs_of(logits, targets)
    return SearchResult(targets, given, weights, *most_probable(allowed_log_probs(logits)))


def log_probs_of(logits, targets):
    """float32 log-probabilities `(..., L)` of int32 targets `(..., L)`, 0 at PAD."""
    log_probs = ops.log_softmax(ops.cast(logits, "float32"))
    given = ops.take_along_axis(log_probs, targets[..., None], axis=-1)[..., 0]
    return ops.where(ops.equal(targets, PAD), 0.0, given)


def decode_loop(advance: Callable, carry: tuple, length: int, finished: Callable) -> tuple:
    """Repeats `advance(position, carry) -> (carry, rows)`, one token a caption, until `finished`.

    Returns the last carry, and every row of all positions, `(length, ...)`, zeros after the last
    that was needed.
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


def _not_before(log_probs, position, fewest: int):
    """Bars END where fewer words than `fewest` come before it."""
    if not fewest:
        return log_probs
    end = np.eye(log_probs.shape[-1], dtype=np.float32)[END] * IMPOSSIBLE
    return log_probs + ops.where(position < fewest, ops.convert_to_tensor(end), 0.0)


def greedy(step: Callable, state: DecoderState, length: int, fewest: int = 0) -> SearchResult:
    """Chooses the most probable word at each step, until END, after at least `fewest` words, or
    `length` tokens."""

    def advance(position, carry):
        token, done, h, c = carry
        logits, new, weights = step(token, state._replace(h=h, c=c))
        log_probs = _not_before(allowed_log_probs(logits), position, fewest)
        chosen = ops.cast(ops.argmax(log_probs, axis=-1), "int32")  # (B,)
        gained = ops.take_along_axis(log_probs, chosen[:, None], axis=-1)[:, 0]
        token, gained = ops.where(done, PAD, chosen), ops.where(done, 0.0, gained)
        done = ops.logical_or(done, ops.equal(token, END))
        return (token, done, new.h, new.c), (token, gained, weights, *most_probable(log_probs))

    shape = ops.shape(state.h)[:1]
    carry = (ops.full(shape, START, dtype="int32"), ops.zeros(shape, dtype="bool"))
    _, rows = decode_loop(advance, (*carry, state.h, state.c), length, _all_done)
    return SearchResult(*(ops.moveaxis(row, 0, 1) for row in rows))


def beam(
    step: Callable,
    state: DecoderState,
    length: int,
    width: int,
    length_exponent: float = 0.7,
    n: int = 1,
    fewest: int = 0,
) -> SearchResult:
    """Beam search: extends the `width` best unfinished captions at each step.

    Captions that end with one of the `width` best extensions of a step go into a pool, which keeps
    the `n` with the best score, their log-probability over length to an exponent. The search ends
    when no unfinished caption can get into the pool any more.

    Args:
        step, state: The decoder's `step`, for `width` tokens a clip, and the first state.
        length: Maximum number of tokens.
        width: Number of beams.
        length_exponent: As in arXiv 1609.08144, with the plain length instead of its formula.
        n: How many captions of each clip, at most `width`.
        fewest: Words that come before END at least.

    Returns:
        The best caption of each clip; with `n` > 1 the `n` best, best first, `(batch, n, L)` and so
        on. A caption that was cut off at `length` comes after all finished ones.
    """
    batch = ops.shape(state.h)[0]
    state = state.repeated(width)

    def advance(position, carry):
        token, total, h, c, best, origin = carry
        logits, new, weights = step(token, state._replace(h=h, c=c))
        log_probs = _not_before(allowed_log_probs(logits), position, fewest)  # (B,K,V)
        # The best extensions but END are among each beam's `width + 1` best tokens. They aren't
        # sliced from the others here: XLA would then sort the whole vocabulary.
        alternatives = tokens, gains = most_probable(log_probs, max(width + 1, ALTERNATIVES))
        each = gains.shape[-1]

        def best_of(extended):
            return ops.top_k(ops.reshape(extended, (batch, width * each)), width)

        ending, extended = log_probs[..., END], total[..., None] + gains
        scores = (total + ending) / ops.cast(position + 1, "float32") ** length_exponent
        among_best = total + ending >= best_of(extended)[0][:, -1:]
        scores = ops.where(among_best, scores, 10 * IMPOSSIBLE)
        best, origin = _pooled(best, origin, scores, position * width)
        total, chosen = best_of(ops.where(tokens == END, IMPOSSIBLE, extended))
        chosen = ops.cast(chosen, "int32")
        parent = chosen // each
        token, gained = (
            ops.take_along_axis(ops.reshape(x, (batch, width * each)), chosen, axis=1)
            for x in (tokens, gains)
        )
        h, c = (ops.take_along_axis(x, parent[..., None], axis=1) for x in (new.h, new.c))
        row = (token, gained, parent, ending, weights, *alternatives)
        return (token, total, h, c, best, origin), row

    def settled(carry):
        """Whether no unfinished caption can get a better score than the pool's last."""
        _, total, _, _, best, _ = carry
        return ops.all(best[:, -1] >= total[:, 0] / length**length_exponent)

    # All beams start equal: only the first may be extended, or they would stay equal.
    first = ops.convert_to_tensor([0.0] + [IMPOSSIBLE] * (width - 1), "float32")
    total = ops.tile(first[None], (batch, 1))
    tokens = ops.full((batch, width), START, dtype="int32")
    pool = (ops.full((batch, n), 10 * IMPOSSIBLE, "float32"), ops.zeros((batch, n), dtype="int32"))
    carry = (tokens, total, state.h, state.c, *pool)
    (_, total, _, _, best, origin), rows = decode_loop(advance, carry, length, settled)
    unfinished = total / length**length_exponent + CUT_OFF
    _, origin = _pooled(best, origin, unfinished, length * width)
    found = _backtrack(rows, origin // width, origin % width)
    return SearchResult(*(part[:, 0] for part in found)) if n == 1 else found


def _pooled(best, origin, scores, offset):
    """The pool, `best` scores `(B, n)`, with the best of K further captions, best first.

    `origin` says where each ends: position times K, the `offset` of the further ones, plus beam.
    """
    count, width = best.shape[1], scores.shape[1]
    beams = ops.broadcast_to(ops.arange(width, dtype="int32") + offset, ops.shape(scores))
    best, kept = ops.top_k(ops.concatenate([best, scores], axis=1), count)
    origins = ops.concatenate([origin, beams], axis=1)
    return best, ops.take_along_axis(origins, ops.cast(kept, "int32"), axis=1)


def _backtrack(rows: tuple, end, beam) -> SearchResult:
    """Collects captions from the last token to the first, along their beams' parents.

    Args:
        rows: What `beam` keeps of every position, `(L, B, K, ...)`: of the beams after the step
            tokens, log-probabilities and parents; of those before it the rest.
        end: int32 `(B, n)`, the position of each caption's END; L for one that was cut off.
        beam: int32 `(B, n)`, its beam before END, or after the last step.
    """
    tokens, log_probs, parents, ending, *of_parents = rows
    length = tokens.shape[0]
    after, before = [], []
    for position in range(length - 1, -1, -1):
        after.append(beam)
        parent = ops.take_along_axis(parents[position], beam, axis=1)
        beam = ops.where(position < end, parent, beam)
        before.append(beam)
    after, before = (ops.stack(beams[::-1]) for beams in (after, before))  # (L,B,n)

    def along(beams, values):
        index = ops.reshape(beams, (*ops.shape(beams), *[1] * (len(values.shape) - 3)))
        return ops.moveaxis(ops.take_along_axis(values, index, axis=2), 0, 2)  # (B,n,L,...)

    position, end = ops.arange(length, dtype="int32"), end[..., None]

    def until_end(words, last, padding):
        return ops.where(position < end, words, ops.where(position == end, last, padding))

    words = until_end(along(after, tokens), END, PAD)
    gains = until_end(along(after, log_probs), along(before, ending), 0.0)
    weights, *alternatives = (along(before, values) for values in of_parents)
    weights = ops.where((position <= end)[..., None], weights, 0.0)
    return SearchResult._make(
        (words, gains, weights, *(a[..., :ALTERNATIVES] for a in alternatives))
    )


def sample(step: Callable, state: DecoderState, length: int, points, temperature: float = 1.0):
    """Samples `count` captions a clip, word by word, from the model's distribution.

    `points` are random numbers from 0 to 1, float32 `(length, batch, count)`; returns int32 tokens
    `(batch, count, length)`, END included, then PAD.
    """
    shape = ops.shape(points)[1:]
    state = state.repeated(points.shape[2])

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

    carry = (ops.full(shape, START, dtype="int32"), ops.zeros(shape, dtype="bool"))
    _, (tokens,) = decode_loop(advance, (*carry, state.h, state.c), length, _all_done)
    return ops.moveaxis(tokens, 0, -1)


def _all_done(carry):
    return ops.all(carry[1])
