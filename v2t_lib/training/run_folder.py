"""A run's folder belongs to one training at a time, and is never overwritten by mistake."""

import contextlib
import errno
import json
import os
import shutil
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from v2t_lib.errors import TrainingError
from v2t_lib.files import replacing
from v2t_lib.shards.reader import ShardDataset

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOCK_FILE = ".in-use"
SHARDS_FILE, SCST_SHARDS_FILE = "data.json", "scst-data.json"
RUN_FILES = ("captioner.keras", "history.csv", ".captioner-checkpoints",
             "blind.keras", "blind.csv", ".blind-checkpoints")  # fmt: skip
SCST_FILES = ("scst.keras", "scst.csv", ".scst-checkpoints")


@contextlib.contextmanager
def owned(
    folders: Sequence[Path], files: Sequence[str], resume: bool, overwrite: bool
) -> Iterator[None]:
    """Within it no other training writes into a run's folder or its copy.

    Args:
        folders: The run's folder, and its copy if it has one; made where they aren't there.
        files: What the training writes.
        resume: Whether it continues what is there.
        overwrite: Whether it replaces what is there, which is deleted.

    Raises:
        TrainingError: Another process trains into a folder, or a folder has `files` that are
            neither to be continued nor overwritten.
        ValueError: `resume` and `overwrite`, or one folder twice.
    """
    if resume and overwrite:
        raise ValueError("expected resume or overwrite, not both. Received: both")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise ValueError(
            f"expected a folder for the copy (--copy-to) beside the run's. Received: {folders[0]}, "
            "the run's own"
        )
    with contextlib.ExitStack() as locks:
        for folder in folders:
            locks.enter_context(_locked(folder))
        there = [folder / name for folder in folders for name in files]
        there = [path for path in there if path.exists()]
        if there and not (resume or overwrite):
            raise TrainingError(
                f"{there[0].parent}: expected a folder without a run. Received: one with "
                f"{', '.join(path.name for path in there if path.parent == there[0].parent)}; "
                "continue it with --resume (resume=True), replace it with --overwrite "
                "(overwrite=True), or name another folder"
            )
        for path in there if overwrite else ():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        yield


def fingerprints(shards: ShardDataset, val: ShardDataset | None) -> dict[str, str | None]:
    """What a training reads, by name."""
    return {
        "training shards": shards.info.digest,
        "validation shards": val and val.info.digest,
    }


def keep_data(note: Path, shards: ShardDataset, val: ShardDataset | None, resume: bool) -> None:
    """Writes what a training reads into `note`; one that resumes has to read the same.

    Raises:
        TrainingError: It resumes with other shards than it began with.
    """
    now, before = fingerprints(shards, val), _noted(note) if resume else {}
    for name, part in zip(now, (shards, val), strict=True):
        if before.get(name, now[name]) != now[name]:
            raise TrainingError(
                f"{note.parent}: expected the {name} that its run began with, to go on with "
                f"--resume (resume=True). Received: {part.folder if part else 'none'}, with other "
                "clips or captions; to train the model further on them, name another folder and "
                f"--start-from {note.parent / RUN_FILES[0]} (start_from=)"
            )
    with replacing(note) as temporary:
        temporary.write_text(json.dumps(now, indent=2) + "\n", encoding="utf-8")


def _noted(note: Path) -> dict:
    """What a note says; runs of older versions have none."""
    with contextlib.suppress(OSError, ValueError):
        return dict(json.loads(note.read_text(encoding="utf-8")))
    return {}


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds the folder's lock, which ends with the process however that ends."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK_FILE
    while True:
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115
        if not _taken(file):
            file.close()
            raise _in_use(path)
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            break
        file.close()  # its owner has just finished and deleted it
    try:
        file.truncate(0)
        file.write(f"{os.getpid()} {socket.gethostname()}\n")
        file.flush()
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        file.close()


def _taken(file) -> bool:
    """Takes the lock; False if another process that lives has it."""
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return False
    # Some drives have no locks: there the process that left its number counts, if it lives.
    pid, host = _owner(Path(file.name))
    return host != socket.gethostname() or pid == os.getpid() or not _lives(pid)


def _lives(pid: int) -> bool:
    if os.name == "nt":  # where a signal of 0 would end it
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _owner(path: Path) -> tuple[int, str]:
    with contextlib.suppress(OSError, ValueError):
        pid, host = path.read_text(encoding="utf-8").split()
        return int(pid), host
    return 0, "unknown"


def _in_use(path: Path) -> TrainingError:
    pid, host = _owner(path)
    return TrainingError(
        f"{path.parent}: expected a folder that no other training writes to. Received: one in use "
        f"by process {pid or 'unknown'} on {host}; wait for it, or name another folder"
    )
