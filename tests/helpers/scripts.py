"""A decoder's `step` that follows a script, so that a search's answer is known."""

import numpy as np
from keras import ops

from v2t_lib.models.decoder import DecoderState
from v2t_lib.text.vocabulary import UNK

A, B, C = 4, 5, 6


SIZE = 7


def nothing(batch: int) -> DecoderState:
    """A state whose `h` carries the script's position; attention has three cells."""
    zeros = np.zeros((batch, 1), "float32")
    return DecoderState(zeros, zeros, zeros, zeros)


def scripted(table: dict):
    """A `step` whose distribution is `table[position, last token]`; None stands for any token."""

    def step(token, state):
        position = int(np.asarray(state.h).flat[0])
        token, rows = np.asarray(token), []
        for last in token.flat:
            shares = table.get((position, int(last))) or table[(position, None)]
            row = np.full(SIZE, 1e-9)
            for word, share in shares.items():
                row[word] = share
            row[UNK] += max(0.0, 1 - row.sum())  # what is left goes where no search may
            rows.append(np.log(row))
        weights = np.tile(np.eye(3)[position % 3], (len(rows), 1)).astype("float32")
        logits = np.array(rows, "float32").reshape(*token.shape, SIZE)
        weights = weights.reshape(*token.shape, 3)
        return ops.convert_to_tensor(logits), state._replace(h=state.h + 1), weights

    return step
