"""A decoder that kills its process; apart, so that the process loads no more than it needs."""

import os
import signal

from v2t_lib.shards.example import PackedClip


def fatal(path, spec):
    """Decodes nothing, and is killed by clip number 5 as by one that crashes a decoder."""
    if path.endswith("5.gif"):
        os.kill(os.getpid(), signal.SIGKILL)
    return PackedClip(b"", [0.0], path.encode())
