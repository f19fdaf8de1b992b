"""Atomic writes, which replace a file as a whole or not at all, and the lock of a folder."""

import contextlib
import csv
import json
import os
import stat
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from v2t_lib.errors import DataError, disk_error, writing
from v2t_lib.progress import log, warn_once

#: Age from which a temporary file is one that a killed writer left.
STALE_SECONDS = 3600


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`, and renames it to `path` after the block.

    Creates the folder if needed. If the block fails or the process is killed, `path` is unchanged;
    of several that write it at once the last one to end stays.

    Raises:
        DataError: As `check_output`; or the folder can't be made.
    """
    path = Path(path)
    check_output(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _claimed(path)
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def check_output(path: Path) -> None:
    """Raises `DataError` unless a regular file is at `path`, or could be made there."""
    above = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not above.is_dir():
        raise disk_error(path, f"Not a directory: {above}")
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise disk_error(path, error.strerror) from None
    if not stat.S_ISREG(mode):
        raise disk_error(path, "Is a directory" if stat.S_ISDIR(mode) else "a device or a pipe")


def _claimed(path: Path) -> Path:
    """A temporary path of this writer alone; what a killed one left is taken over after a while."""
    temporary = path.with_name(path.name + ".tmp")
    with contextlib.suppress(FileNotFoundError):
        if time.time() - temporary.stat().st_mtime > STALE_SECONDS:
            temporary.unlink()
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileExistsError:
        return path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    return temporary


def relative(path: str | Path, folder: str | Path) -> str:
    """`path` as seen from `folder`; as a whole where no way leads, between drives of Windows."""
    try:
        return os.path.relpath(path, folder)
    except ValueError:
        return os.path.abspath(path)


def write_json(path: str | Path, value: dict) -> None:
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_table(path: str | Path, columns: Mapping[str, Sequence]) -> None:
    """Writes a CSV for spreadsheets: UTF-8 with the mark that Excel needs, numbers with four
    decimals, and an apostrophe before a text that would run as a formula."""

    def safe(value):
        if isinstance(value, str):
            return f"'{value}" if value.startswith(tuple("=+-@\t\r\n＝＋－＠")) else value
        return round(float(value), 4) if isinstance(value, float) else value

    with (
        replacing(path) as temporary,
        open(temporary, "w", encoding="utf-8-sig", errors="backslashreplace", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(map(safe, row) for row in zip(*columns.values(), strict=True))


#: What `locked` leaves in a folder.
LOCK_FILE = ".v2t-lock"


@contextlib.contextmanager
def locked(folder: str | Path, wait: bool = True) -> Iterator[None]:
    """Holds a folder, made if needed, so that two processes never write it at once.

    Waits for another process that holds it, or refuses if not to `wait`. Where the file system has
    no locks, a warning says so and the block runs.

    Raises:
        DataError: Another process holds the folder and `wait` is false, or it can't be written.
    """
    from filelock import FileLock, Timeout  # takes longer than all else that `v2t --help` loads

    path = Path(folder) / LOCK_FILE
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if not wait:
                raise DataError(
                    f"expected {folder} for this process alone. Received: another one that writes "
                    "it; wait until it has ended, or name another folder"
                ) from None
            log.info("waiting for another process that writes %s", folder)
            lock.acquire()
    except PermissionError as error:
        raise disk_error(path, error.strerror) from None
    except (OSError, NotImplementedError) as error:
        warn_once(
            f"{folder}: no locks on this file system ({error}); run nothing else that writes it"
        )
    try:
        yield
    finally:
        lock.release()
