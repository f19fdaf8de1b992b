"""A decoder with every fault; apart, so that its process loads little."""

import os
import signal
import time


def odd(path):
    if path == "hangs":
        time.sleep(600)
    if path == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if path == "bug":
        raise KeyError("a codec's own mistake")
    if path == "memory":
        raise MemoryError
    return path.upper()
