"""What the library says while it works: progress bars, and messages through `logging`.

Messages go to the logger "v2t_lib", from `logging.INFO` on to stderr; `v2t --quiet` raises its
level, and `logging.getLogger("v2t_lib")` does the same from Python.
"""

import functools
import logging
import sys

from tqdm import tqdm

#: Seconds between two lines of progress where there is no terminal.
LOG_SECONDS = 30


class _Stderr(logging.StreamHandler):
    """Writes to what is `sys.stderr` at the time."""

    def __init__(self):
        logging.Handler.__init__(self)

    @property
    def stream(self):
        return sys.stderr


log = logging.getLogger("v2t_lib")
if not log.handlers:
    log.addHandler(_Stderr())
    log.setLevel(logging.INFO)
    log.propagate = False


@functools.lru_cache(maxsize=1000)
def warn_once(message: str) -> None:
    """Logs a warning about a file, once for all the times that it is read."""
    log.warning(message)


class Progress(tqdm):
    """A progress bar on a terminal; elsewhere, in a log file say, a line every half a minute."""

    def __init__(self, *args, **options):
        self._bar = sys.stderr.isatty()
        if not self._bar:
            options |= {"mininterval": LOG_SECONDS, "maxinterval": LOG_SECONDS, "miniters": 1,
                        "delay": LOG_SECONDS}  # fmt: skip
        super().__init__(*args, **options, disable=log.level > logging.INFO)

    def close(self):
        if not self.disable and not self._bar:
            self.disable = True  # tqdm would end a line that is not there
            self._decr_instances(self)
        super().close()

    @staticmethod
    def status_printer(file):
        if file.isatty():
            return tqdm.status_printer(file)

        def print_line(status: str) -> None:
            if status.strip():
                file.write(f"{status}\n")
                file.flush()

        return print_line


def keras_verbosity() -> int:
    """Keras's `verbose`: a progress bar on a terminal, else a line an epoch; nothing if quiet."""
    if log.level > logging.INFO:
        return 0
    return 1 if sys.stderr.isatty() else 2
