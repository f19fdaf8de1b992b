"""A decoder that hangs, fails or runs out of something; apart, so that its process loads little."""

import time


def odd(path):
    if path == "hangs":
        time.sleep(600)
    if path == "bug":
        raise KeyError("a codec's own mistake")
    if path == "memory":
        raise MemoryError
    return path.upper()
