"""What the library says while it works: progress bars, and messages through the logger "v2t_lib",
from `logging.INFO` on to stderr."""

import functools
import logging
import sys
import threading

from tqdm import tqdm

#: Seconds between two lines of progress where there is no terminal.
LOG_SECONDS = 30


class _Stderr(logging.StreamHandler):
    """Writes to what is `sys.stderr` at the time, if it is open."""

    def __init__(self):
        logging.Handler.__init__(self)

    @property
    def stream(self):
        return sys.stderr

    def emit(self, record):
        if not getattr(sys.stderr, "closed", sys.stderr is None):
            super().emit(record)


log = logging.getLogger("v2t_lib")
if not log.handlers:
    log.addHandler(_Stderr())
    log.setLevel(logging.INFO)
    log.propagate = False


def on_terminal(stream) -> bool:
    """Whether a stream is a terminal; None, a logger's or a closed one isn't."""
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


@functools.lru_cache(maxsize=1000)
def warn_once(message: str) -> None:
    """Logs a warning about a file, once for all the times that it is read."""
    log.warning(message)


class Progress(tqdm):
    """A progress bar on a terminal; elsewhere, in a log file say, a line every half a minute.

    tqdm's own lock would settle how the program around starts processes, and its thread stay.
    """

    _lock = threading.RLock()
    monitor_interval = 0

    def __init__(self, *args, **options):
        self._bar = on_terminal(sys.stderr)
        if not self._bar:
            options |= {"mininterval": LOG_SECONDS, "maxinterval": LOG_SECONDS, "miniters": 1,
                        "delay": LOG_SECONDS}  # fmt: skip
        silent = log.level > logging.INFO or sys.stderr is None
        super().__init__(*args, **options, disable=silent)

    def close(self):
        if not self.disable and not self._bar:
            self.disable = True  # tqdm would end a line that is not there
            self._decr_instances(self)
        super().close()

    @staticmethod
    def status_printer(file):
        if on_terminal(file):
            return tqdm.status_printer(file)

        def print_line(status: str) -> None:
            if status.strip():
                print(status, file=file, flush=True)

        return print_line


def keras_verbosity() -> int:
    """Keras's `verbose`: a progress bar on a terminal, else a line an epoch; nothing if quiet."""
    if log.level > logging.INFO or sys.stdout is None:  # where Keras writes
        return 0
    return 1 if on_terminal(sys.stdout) else 2
