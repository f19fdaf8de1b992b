"""Training on several hosts happens in a process of its own, which a small one watches.

When another host is lost, JAX ends the process from C++, with a stack trace and no way to say why.
The watching process says it in a sentence, and exits with 1.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading

from v2t_lib.models.hosts import JOIN_SECONDS, lost, not_joined

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
            [sys.executable, "-m", "v2t_lib.cli", *argv],
            stdout=notes,
            stderr=None if "--verbose" in argv else notes,
            pass_fds=files,
            env=os.environ | {WATCHED: " ".join(map(str, files))},
        )
        for number in files:
            os.close(number)
        before = {
            number: signal.signal(number, lambda number, _: child.send_signal(number))
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            code = child.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(ours)
        if code >= 0:
            return code
        notes.seek(0)
        print(
            f"v2t {argv[0]}: {_why(-code, notes.read().decode(errors='replace'))}", file=sys.stderr
        )
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
    if "RegisterTask" in notes or "tasks_to_register" in notes:
        return str(not_joined(None, JOIN_SECONDS))
    if "oordination" in notes:
        hosts = sorted(set(map(int, re.findall(r"/task:(\d+)", notes))))
        who = f"host {', '.join(map(str, hosts))}" if hosts else "the first host (0)"
        return str(lost(f"{who} ended or can't be reached"))
    if number == signal.SIGKILL:
        return str(lost("this host's own process killed, for want of memory perhaps"))
    with contextlib.suppress(ValueError):
        number = signal.Signals(number).name
    return f"{lost(f'the own process ended by {number}')}\n{notes[-SHOWN:]}"
