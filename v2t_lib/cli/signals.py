"""Signals that end the program: it closes everything, and then ends by that signal, so that a
shell's loop or a job scheduler knows that it was interrupted."""

import contextlib
import os
import signal
import sys

#: An exit code beyond it is that of a program that a signal ended.
BY_SIGNAL = 128
#: What a pipe's writer gets when nobody reads it any more; Windows has none.
SIGPIPE = getattr(signal, "SIGPIPE", 13)


class Interrupted(KeyboardInterrupt):
    """The program got the signal `number`."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


def interrupt(number, frame):
    """Handles a request to end as Ctrl-C is."""
    signal.signal(number, signal.SIG_DFL)  # a second one ends it at once
    raise Interrupted(number)


def end_by(number: int) -> None:
    """Ends the program as the signal would have."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
