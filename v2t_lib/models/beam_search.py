"""Beam search."""

from collections.abc import Callable

import numpy as np
from keras import ops

from v2t_lib.models.decoder import DecoderState
from v2t_lib.models.generation import (
    ALTERNATIVES,
    IMPOSSIBLE,
    SearchResult,
    allowed_log_probs,
    most_probable,
    write,
)
from v2t_lib.text.vocabulary import END, PAD, START


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
    caption keeps its place among the beams until better ones displace it. The search ends when no
    unfinished one can become the best any more.

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
    shape = (batch, width)

    def advance(position, carry):
        token, done, total, count, written, h, c = carry
        logits, new, weights = step(token, state._replace(h=h, c=c))
        log_probs = allowed_log_probs(logits)
        if no_repeat:
            log_probs = log_probs + _repeated(written, position, no_repeat, logits.shape[-1])
        # The best `width` extensions are among each beam's `width` best tokens. They aren't sliced
        # from the others here: XLA would then sort the whole vocabulary.
        alternatives = tokens, scores = most_probable(log_probs, max(width, ALTERNATIVES))
        each = scores.shape[-1]
        tokens = ops.where(done[..., None], PAD, tokens)
        # A finished beam has one extension, PAD, at no cost.
        finished = np.where(np.arange(each) == 0, 0.0, IMPOSSIBLE).astype("float32")
        scores = ops.where(done[..., None], finished, scores)
        longer = count + ops.cast(ops.logical_not(done), "float32")
        ranked = (total[..., None] + scores) / (longer[..., None] ** length_exponent)
        _, chosen = ops.top_k(ops.reshape(ranked, (batch, width * each)), width)
        chosen = ops.cast(chosen, "int32")
        parent = chosen // each

        def follow(values):
            return ops.take_along_axis(values, parent, axis=1)

        def choose(values):
            return ops.take_along_axis(ops.reshape(values, (batch, width * each)), chosen, axis=1)

        token, gained = choose(tokens), choose(scores)
        log_probs = ops.where(follow(done), 0.0, gained)
        row = (token, log_probs, parent + 1, weights, *alternatives)
        done = ops.logical_or(follow(done), ops.logical_or(token == END, token == PAD))
        here = ops.equal(ops.arange(length, dtype="int32"), position)
        written, h, c = (
            ops.take_along_axis(x, parent[..., None], axis=1) for x in (written, new.h, new.c)
        )
        written = ops.where(here, token[..., None], written)
        return (token, done, follow(total) + gained, follow(longer), written, h, c), row

    def settled(carry):
        """Whether no unfinished caption can get a better score than the best finished one."""
        _, done, total, count, *_ = carry
        best = ops.max(total / count**length_exponent + ops.where(done, 0.0, IMPOSSIBLE), axis=1)
        hope = ops.max(total / length**length_exponent + ops.where(done, IMPOSSIBLE, 0.0), axis=1)
        return ops.all(best >= hope)

    # All beams start equal: only the first may be extended, or they would stay equal.
    total = ops.tile(ops.where(ops.arange(width) == 0, 0.0, IMPOSSIBLE)[None], (batch, 1))
    carry = (
        ops.full(shape, START, dtype="int32"),
        ops.zeros(shape, dtype="bool"),
        total,
        ops.zeros(shape),
        ops.full((*shape, length), PAD, dtype="int32"),
        state.h,
        state.c,
    )
    (_, done, total, count, *_), rows = write(advance, carry, length, settled)
    # A caption that was cut off must not beat a finished one.
    final = total / count**length_exponent + ops.where(done, 0.0, IMPOSSIBLE)
    return _backtrack(rows, ops.cast(ops.argmax(final, axis=1), "int32"))


def _repeated(written, position, size: int, vocabulary_size: int):
    """float32 `(B, K, V)`: -1e9 for tokens that would end `size` tokens in a row a second time."""
    length, barred = written.shape[-1], 0.0
    latest = [
        ops.take(written, ops.maximum(position - n, 0), axis=-1) for n in range(size - 1, 0, -1)
    ]
    for start in range(length - size + 1):
        end = start + size - 1
        same = ops.broadcast_to(end < position, ops.shape(written)[:-1])
        for earlier, now in zip(range(start, end), latest, strict=True):
            same = ops.logical_and(same, ops.equal(written[..., earlier], now))
        tokens = ops.one_hot(written[..., end], vocabulary_size)
        barred = barred + ops.cast(same, "float32")[..., None] * tokens
    return IMPOSSIBLE * ops.minimum(barred, 1.0)


def _backtrack(rows: tuple, best) -> SearchResult:
    """Collects the best beam's tokens from the last to the first, along its parents.

    Args:
        rows: What `beam` keeps of every position, `(L, B, K, ...)`: tokens, log-probabilities,
            one more than each beam's number before the step, 0 where there was none any more, and
            what those numbers stand for.
        best: int32 `(B,)`, each clip's best beam after the last step.
    """
    tokens, log_probs, parents, *of_parents = rows
    after, before = [], []
    for position in range(tokens.shape[0] - 1, -1, -1):
        after.append(best)
        parent = ops.take_along_axis(parents[position], best[:, None], axis=1)[:, 0]
        best = ops.where(parent > 0, parent - 1, best)
        before.append(best)
    after, before = (ops.stack(beams[::-1]) for beams in (after, before))  # (L,B)

    def along(beams, values):
        index = ops.reshape(beams, (*ops.shape(beams), *[1] * (len(values.shape) - 2)))
        return ops.moveaxis(ops.take_along_axis(values, index, axis=2)[:, :, 0], 0, 1)

    ours = (along(after, values) for values in (tokens, log_probs))
    weights, *alternatives = (along(before, values) for values in of_parents)
    best_of = (part[..., :ALTERNATIVES] for part in alternatives)
    return SearchResult._make((*ours, weights, *best_of))
