"""Ctrl-C and termination requests, deferred to the end of the training step."""

import signal
import threading
import time

from v2t_lib.progress import log

#: Seconds within which a second signal is the same request: a job scheduler asks every process, and
#: the one that watches this one passes its own signal on.
SAME_REQUEST_SECONDS = 1


class StopSignal:
    """Within it, SIGINT and SIGTERM only set `received`; a second one interrupts at once."""

    def __init__(self):
        self.received, self._since = False, 0.0

    def _handle(self, number, frame):
        if self.received and time.monotonic() - self._since > SAME_REQUEST_SECONDS:
            raise KeyboardInterrupt
        if self.received:
            return
        self.received, self._since = True, time.monotonic()
        log.warning("\n  stopping after this step; once more to stop at once")

    def __enter__(self):
        # Only Python's main thread may install signal handlers.
        in_main_thread = threading.current_thread() is threading.main_thread()
        signals = (signal.SIGINT, signal.SIGTERM) if in_main_thread else ()
        self._before = {number: signal.signal(number, self._handle) for number in signals}
        return self

    def __exit__(self, *error):
        for number, handler in self._before.items():
            signal.signal(number, handler)
