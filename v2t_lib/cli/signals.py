"""Signals that end the program: it closes everything, and then ends by that signal, so that a
shell's loop or a job scheduler knows that it was interrupted."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator

#: Requests to end: the system's, and a terminal's or a connection's that is closed.
REQUESTS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
#: An exit code beyond it is that of a program that a signal ended.
BY_SIGNAL = 128
#: What a pipe's writer gets when nobody reads it any more; Windows has none.
SIGPIPE = getattr(signal, "SIGPIPE", 13)


class Interrupted(KeyboardInterrupt):
    """The program got the signal `number`."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


def _interrupt(number, frame):
    signal.signal(number, signal.SIG_DFL)  # a second one ends it at once
    raise Interrupted(number)


@contextlib.contextmanager
def as_interrupts() -> Iterator[None]:
    """Within it the requests to end interrupt, as Ctrl-C does; those that are ignored, SIGHUP under
    nohup say, stay so."""
    before = {}
    if threading.current_thread() is threading.main_thread():  # no other may set handlers
        heard = [number for number in REQUESTS if signal.getsignal(number) != signal.SIG_IGN]
        before = {number: signal.signal(number, _interrupt) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def end_by(number: int) -> None:
    """Ends the program as the signal would have."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
