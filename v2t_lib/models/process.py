"""What models leave as it was in the process around them, and what they need of it."""

import contextlib
import os
import random
import signal
import threading
from collections.abc import Callable, Iterable, Iterator

from v2t_lib.errors import ModelError

#: Requests to end: the system's, and a terminal's or a connection's that is closed.
REQUESTS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
#: The process in which a model was first made.
_OWN: set[int] = set()


def require_own_process() -> None:
    """Refuses to compute in the fork of a process that has a model: of TensorFlow's threads, and
    those of others, a fork has none, and waits for them forever."""
    if not _OWN:
        _OWN.add(os.getpid())
    if os.getpid() not in _OWN:
        raise ModelError(
            "expected to work in the process that loaded the first model. Received: a fork of it, "
            f"process {os.getpid()}; load models only in the child (gunicorn without --preload), "
            'or start it with multiprocessing.get_context("spawn")'
        )


@contextlib.contextmanager
def handled(numbers: Iterable[int], handler: Callable) -> Iterator[None]:
    """Within it `handler` gets these signals; requests that are ignored, SIGHUP under nohup say,
    stay so."""
    before = {}
    if threading.current_thread() is threading.main_thread():  # no other may set handlers
        ignored = {number for number in REQUESTS if signal.getsignal(number) == signal.SIG_IGN}
        before = {n: signal.signal(n, handler) for n in numbers if n not in ignored}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier or signal.SIG_DFL)


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
