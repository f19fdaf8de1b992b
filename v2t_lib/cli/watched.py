"""Training on several hosts happens in a process of its own, which a small one watches: JAX ends
it from C++ when another host is lost, and the watching process says so in a sentence."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading

from v2t_lib.models.process import REQUESTS

#: Tells the watched process the numbers of three open files: the real stdout and stderr, and a pipe
#: that closes when the watching process ends.
WATCHED = "V2T_WATCHED"
#: How much is shown of what C++ said before the process was ended for another reason.
SHOWN = 4000


def watch(argv: list[str]) -> int:
    """Runs `v2t` with `argv` in a watched process; returns its exit code, 1 if it was ended."""
    alive, ours = os.pipe()
    files = (os.dup(1), os.dup(2), alive)
    with tempfile.TemporaryFile() as notes:
        child = subprocess.Popen(
            [sys.executable, "-m", "v2t_lib.cli.main", *argv],
            stdout=notes,
            stderr=None if "--verbose" in argv else notes,
            pass_fds=files,
            env=os.environ | {WATCHED: " ".join(map(str, files))},
        )
        for number in files:
            os.close(number)
        for number in (signal.SIGINT, *REQUESTS):
            signal.signal(number, lambda number, _: child.send_signal(number))
        code = child.wait()
        os.close(ours)
        if code >= 0:
            return code
        notes.seek(0)
        why = _why(-code, notes.read().decode(errors="replace"))
        print(f"v2t {argv[0]}: {why}", file=sys.stderr)
    return 1


def take_over() -> bool:
    """Whether this process is a watched one. Then it ends when the one that watches does, and what
    Python says goes to the real files, while what C++ says goes to that process."""
    if WATCHED not in os.environ:
        return False
    stdout, stderr, alive = map(int, os.environ.pop(WATCHED).split())
    sys.stdout = open(stdout, "w")  # noqa: SIM115
    sys.stderr = open(stderr, "w", buffering=1)  # noqa: SIM115

    def end():
        os.read(alive, 1)  # returns when the pipe is closed
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()
    return True


def _why(number: int, notes: str) -> str:
    """What ended the process: one sentence, from the signal and from what C++ said before."""
    from v2t_lib.models.hosts import lost, not_joined

    if "RegisterTask" in notes or "tasks_to_register" in notes:
        return str(not_joined("too few"))
    if "oordination" in notes:
        hosts = sorted(set(map(int, re.findall(r"/task:(\d+)", notes))))
        who = f"host {', '.join(map(str, hosts))}" if hosts else "the first host (0)"
        return str(lost(f"{who} ended or can't be reached"))
    if number == signal.SIGKILL:
        return str(lost("this host's own process killed, for want of memory perhaps"))
    return f"{lost(f'this process ended by {signal.strsignal(number)}')}\n{notes[-SHOWN:]}"
