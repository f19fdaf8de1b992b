"""What models leave as it was in the process around them, and what they need of it."""

import contextlib
import os
import random
from collections.abc import Iterator

from v2t_lib.errors import ModelError

#: The process in which a model was first made.
_OWN: set[int] = set()


def require_own_process() -> None:
    """Refuses to compute in the fork of a process that has a model: of TensorFlow's threads, and
    those of others, a fork has none, and waits for them forever.

    Raises:
        ModelError: This process is such a fork.
    """
    if not _OWN:
        _OWN.add(os.getpid())
    if os.getpid() not in _OWN:
        raise ModelError(
            "expected to work in the process that loaded the first model. Received: a fork of it, "
            f"process {os.getpid()}; load models only in the child (gunicorn without --preload), "
            'or start it with multiprocessing.get_context("spawn")'
        )


@contextlib.contextmanager
def seeded(seed: int | None = None) -> Iterator[None]:
    """Within it Keras's layers get the seeds that follow from `seed`, or any: it draws them with
    Python's `random`, whose state is as before afterwards."""
    before = random.getstate()
    if seed is not None:
        random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)
