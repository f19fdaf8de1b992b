"""A decoder's `step` that follows a script, so that a search's answer is known."""

import numpy as np
from keras import ops

from v2t_lib.models.decoder import DecoderState
from v2t_lib.text.vocabulary import UNK

A, B, C = 4, 5, 6


SIZE = 7


def nothing(batch: int) -> DecoderState:
    """A state whose `h` carries the script's position; attention has three cells."""
    zeros = ops.zeros((batch, 1))
    return DecoderState(zeros, zeros, zeros, zeros)


def scripted(table: dict, positions: int = 8):
    """A `step` whose distribution is `table[position, last token]`; None stands for any token.

    Where the table says nothing all that is probable is what no search may write.
    """
    logits = np.zeros((positions, SIZE, SIZE), "float32")
    for position in range(positions):
        for last in range(SIZE):
            shares = table.get((position, last)) or table.get((position, None)) or {}
            row = np.full(SIZE, 1e-9)
            for word, share in shares.items():
                row[word] = share
            row[UNK] += max(0.0, 1 - row.sum())
            logits[position, last] = np.log(row)

    def step(token, state):
        position = ops.cast(ops.ravel(state.h)[0], "int32")
        rows = ops.take(ops.take(logits, position, axis=0), token, axis=0)
        weights = ops.take(np.eye(3, dtype="float32"), position % 3, axis=0)
        weights = ops.broadcast_to(weights, (*ops.shape(token), 3))
        return rows, state._replace(h=state.h + 1), weights

    return step
