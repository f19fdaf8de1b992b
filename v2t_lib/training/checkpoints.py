"""Checkpoints of a run, written atomically, and copies of its files on a second drive.

A checkpoint is one `.npz` file, whose members have checksums: every variable, random states and
running means included, and `about`, JSON with the rest of the run's state. A background thread
copies files to the second directory, so that no training step waits for it.
"""

import contextlib
import json
import shutil
import threading
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from v2t_lib.errors import ModelError
from v2t_lib.files import replacing
from v2t_lib.models.hosts import current
from v2t_lib.progress import log
from v2t_lib.training.run_folder import LOCK_FILE

#: Seconds until a copy that failed is tried again.
RETRY_SECONDS = 60


class Mirror:
    """Copies files of one directory to another, atomically, in the background.

    Args:
        source: The directory whose files are copied.
        target: Where to; None to copy nothing.
    """

    def __init__(self, source: Path, target: Path | None = None):
        self.source, self.target = source, target
        self._waiting: dict[Path, None] = {}
        self._wake = threading.Condition()
        self._closing = False
        self._served: Path | None = None
        self._thread: threading.Thread | None = None

    def fetch(self) -> None:
        """Copies back what `source` lacks: the run may continue on a new machine."""
        if self.target is None:
            return
        for copy in sorted(self.target.rglob("*")):
            path = self.source / copy.relative_to(self.target)
            ours = copy.name != LOCK_FILE and not copy.name.endswith(".tmp")
            if ours and copy.is_file() and not path.exists():
                _copy(copy, path)

    def put(self, *paths: Path) -> None:
        """Requests copies, the first path's first. A file that no longer exists by then is removed
        from the target, once a later one of its folder is there."""
        if self.target is None:
            return
        with self._wake:
            for path in reversed(paths):  # so that the newest of a folder is the last one
                self._waiting.pop(path, None)
                self._waiting[path] = None
            self._wake.notify()
            if self._thread is None:
                self._closing = False
                self._thread = threading.Thread(target=self._work, daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                path = self._next()
                self._waiting.pop(path)
            done = self._copied(path)
            with self._wake:
                if done:
                    self._remove_outdated(path.parent)
                elif not self._closing:
                    # Training goes on without the copy, which is tried again, once more at the end.
                    self._waiting.setdefault(path)
                    self._wake.wait_for(lambda: self._closing, RETRY_SECONDS)

    def _next(self) -> Path:
        """The newest file of a folder, of the folders in turn: none waits for a slow copy of what
        is outdated by then, nor for another folder that always has a newer one."""
        folders = list(dict.fromkeys(path.parent for path in self._waiting))
        folder = next((folder for folder in folders if folder != self._served), folders[0])
        self._served = folder
        paths = [path for path in self._waiting if path.parent == folder]
        return next((path for path in reversed(paths) if path.exists()), paths[0])

    def _copied(self, path: Path) -> bool:
        """Copies a file, or removes the copy of one that is gone; False if the drive fails."""
        assert self.target is not None  # files wait only where there is somewhere to copy them
        copy = self.target / path.relative_to(self.source)
        try:
            _copy(path, copy) if path.exists() else copy.unlink(missing_ok=True)
        except OSError as error:
            if not path.exists():  # deleted meanwhile, as newer ones are there
                return True
            log.warning("  could not copy %s to %s: %s", path.name, copy.parent, error)
            return False
        return True

    def _remove_outdated(self, folder: Path) -> None:
        """Removes the copies of a folder's files that are gone, now that a newer one is copied."""
        for path in [p for p in self._waiting if p.parent == folder and not p.exists()]:
            if self._copied(path):
                del self._waiting[path]

    def close(self) -> None:
        """Waits for the requested copies."""
        if self._thread is not None:
            with self._wake:
                self._closing = True
                self._wake.notify()
            self._thread.join()
            self._thread = None


def _copy(source: Path, target: Path) -> None:
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)


class Checkpoints:
    """The last few checkpoints of a run, numbered by the steps done.

    Args:
        folder: Where they are written.
        keep: How many are kept.
        mirror: Copies them.
    """

    def __init__(self, folder: Path, keep: int, mirror: Mirror):
        self.folder, self.keep, self.mirror = folder, keep, mirror

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("[0-9]*.npz"))

    def clear(self) -> None:
        """Deletes them all."""
        old = self._paths()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.mirror.put(*old)

    def save(self, variables: Sequence, step: int, about: dict) -> None:
        """Writes a checkpoint and deletes the oldest beyond `keep`."""
        path = self.folder / f"{step:09d}.npz"
        arrays = {f"{n:05d}": np.asarray(v) for n, v in enumerate(variables)}
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, about=np.array(json.dumps(about)), **arrays)
        old = self._paths()[: -self.keep]
        for one in old:
            one.unlink()
        self.mirror.put(path, *old)

    def restore(self, variables: Sequence) -> dict | None:
        """Sets the variables from the newest checkpoint that isn't damaged.

        Of several hosts the first one reads it, and the others get it from there.

        Returns:
            The checkpoint's `about`; None without a checkpoint.

        Raises:
            ModelError: All are damaged, or they are of another model.
        """
        shapes = [tuple(variable.shape) for variable in variables]
        about, arrays = current().from_first(lambda: self._newest(shapes))
        if about is not None:
            for variable, array in zip(variables, arrays, strict=True):
                variable.assign(array)
        return about

    def _newest(self, expected: list[tuple[int, ...]]) -> tuple[dict | None, list[np.ndarray]]:
        """The newest checkpoint that isn't damaged, for variables of these shapes."""
        paths = self._paths()
        for path in reversed(paths):
            read = self._read(path)
            if read is None:
                continue
            shapes = [tuple(array.shape) for array in read[1]]
            if shapes != expected:
                raise ModelError(
                    f"{path}: expected {len(expected)} variables, as the options make them. "
                    f"Received: {len(shapes)} of other shapes; --resume goes on with the options "
                    "the run began with"
                )
            return read
        if paths:
            raise ModelError(
                f"{self.folder}: expected a whole checkpoint. Received: {len(paths)} damaged; "
                "start over without --resume"
            )
        return None, []

    @staticmethod
    def _read(path: Path) -> tuple[dict, list[np.ndarray]] | None:
        damage = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)
        with contextlib.suppress(*damage), open(path, "rb") as file, np.load(file) as parts:
            names = sorted(set(parts.files) - {"about"})
            return json.loads(str(parts["about"])), [parts[name] for name in names]
        log.warning("  %s is damaged: trying the one before", path)
        return None
