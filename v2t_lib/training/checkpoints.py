"""Checkpoints of a run, `.npz` files whose members have checksums, and the request to stop."""

import contextlib
import json
import shutil
import signal
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from v2t_lib.errors import ModelError, TrainingError
from v2t_lib.files import replacing
from v2t_lib.models.hosts import current
from v2t_lib.models.process import REQUESTS, handled
from v2t_lib.progress import log
from v2t_lib.training.run_folder import checkpoints_in, checkpoints_of

#: Changes when older checkpoints can't be resumed from.
FORMAT = 2
#: Seconds within which a second signal is the same request: job schedulers ask every process.
SAME_REQUEST_SECONDS = 1


class Checkpoints:
    """The last `keep` checkpoints of a run, beside the model's file, numbered by the steps done.

    `run` is what has to be the same to go on, all that decides the order of the data say.
    """

    def __init__(self, model: Path, keep: int, run: dict):
        self.folder, self.keep, self.run = checkpoints_of(model), keep, run

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def save(self, variables: Sequence, step: int, about: dict) -> None:
        """Writes a checkpoint and deletes the oldest beyond `keep`."""
        arrays: dict[str, Any] = {f"{n:05d}": np.asarray(v) for n, v in enumerate(variables)}
        note = json.dumps(
            {"format": FORMAT, "run": self.run, "state": about, "backend": keras.backend.backend()}
        )
        path = self.folder / f"{step:09d}.npz"
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, about=np.array(note), **arrays)
        for old in checkpoints_in(self.folder)[: -self.keep]:
            old.unlink()

    def restore(self, variables: Sequence) -> dict | None:
        """Sets the variables from the newest whole checkpoint; its `about`, or None without one."""
        shapes = [tuple(variable.shape) for variable in variables]
        about, arrays = current().from_first(lambda: self._newest(shapes))
        if about is not None:
            for variable, array in zip(variables, arrays, strict=True):
                variable.assign(array)
        return about

    def _newest(self, shapes: list[tuple[int, ...]]) -> tuple[dict | None, list[np.ndarray]]:
        paths = checkpoints_in(self.folder)
        read = next(filter(None, map(self._read, reversed(paths))), None)
        if read is None and paths:
            raise ModelError(
                f"{self.folder}: expected a whole checkpoint. Received: {len(paths)} damaged; "
                "start over without --resume"
            )
        if read is None:
            return None, []
        note, arrays = read
        now = keras.backend.backend()
        if (began := note.pop("backend", now)) != now:
            log.warning(
                f"  the run was trained with KERAS_BACKEND={began} until here, and goes on with "
                f"{now}: it ends with other figures than on either alone"
            )
        state, sizes = note.pop("state", None), [array.shape for array in arrays]
        expected = {"format": FORMAT, "run": self.run}
        if note != expected or sizes != shapes:
            raise ModelError(
                f"{self.folder}: expected a run with {expected} and {len(shapes)} variables. "
                f"Received: one with {note} and {len(sizes)}, or of other shapes; --resume "
                "needs the options and the version that the run began with; else begin anew in "
                "another folder, with --start-from (start_from=) and this run's model"
            )
        return state, arrays

    @staticmethod
    def _read(path: Path) -> tuple[dict, list[np.ndarray]] | None:
        damage = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)
        with contextlib.suppress(*damage), open(path, "rb") as file, np.load(file) as parts:
            names = sorted(set(parts.files) - {"about"})
            return json.loads(str(parts["about"])), [parts[name] for name in names]
        log.warning("  %s is damaged: trying the one before", path)
        return None


def stopped(at: str, number: int) -> TrainingError:
    """The error that ends a run whose user wants it to stop, by the signal `number`."""
    return TrainingError(
        f"stopped at {at}; everything is saved: the same command with --resume goes on from there",
        number,
    )


class StopSignal:
    """Signals only set `received` to their number; a second one interrupts at once."""

    def __init__(self):
        self.received, self._since = 0, 0.0

    def handle(self, number, frame):
        if self.received and time.monotonic() - self._since > SAME_REQUEST_SECONDS:
            raise KeyboardInterrupt
        if self.received:
            return
        self.received, self._since = number, time.monotonic()
        log.warning("\n  stopping after this step; once more to stop at once")


@contextlib.contextmanager
def stop_asked() -> Iterator[StopSignal]:
    """Within it Ctrl-C and requests to end are taken down, for the run to stop after a step."""
    stop = StopSignal()
    with handled((signal.SIGINT, *REQUESTS), stop.handle):
        yield stop
