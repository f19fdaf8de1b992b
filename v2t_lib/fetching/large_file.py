"""One large file, such as a data set's archive: downloaded with a progress bar, and resumed."""

import contextlib
import glob
import hashlib
import os
from pathlib import Path

from v2t_lib.errors import ClipError, DataError, writing
from v2t_lib.fetching.download import Download, Downloads
from v2t_lib.fetching.http import Client
from v2t_lib.fetching.layout import PartialFile
from v2t_lib.fetching.policy import RetryPolicy
from v2t_lib.progress import Progress

#: A slow line may need hours; a server that sends nothing is given up much sooner (`Client`).
POLICY = RetryPolicy(connections=1, per_host=1, attempt_timeout=6 * 3600, total_timeout=6 * 3600)
MAX_BYTES = 2**40


def download_file(url: str, path: str | Path, sha256: str = "") -> None:
    """Downloads a file to `path`, which exists only once it is whole; if it does, does nothing.

    What has come lies beside it in a partial file, which a later call resumes (HTTP Range), if the
    server still has the same version. As long as attempts bring more of the file, it tries again.

    Args:
        url: Where it is.
        path: Where it goes.
        sha256: Its SHA-256, where that is known.

    Raises:
        DataError: The file can't be downloaded, has another SHA-256, or the disk is full.
    """
    path = Path(path)
    if path.exists():
        return
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    file = _partial_file(path)
    with Progress(unit="B", unit_scale=True, unit_divisor=1024, desc=path.name) as progress:
        while True:
            before = file.size
            error = _attempt(url, file, progress)
            if error is None or not file.tag or file.size <= before:
                break
    if error:
        received = error.message.partition("Received")[2]  # of a message about a clip
        raise DataError(
            f"expected to download {url}. Received{received}; "
            f"{file.size:,} bytes are there: run the same command again to continue, or name a "
            "mirror of the files"
        )
    if sha256 and (found := _sha256(file.path)) != sha256:
        file.clear()
        raise DataError(
            f"expected {url} to have the SHA-256 {sha256}. Received: {found}; the file was changed "
            "or damaged on its way, and has been deleted: run the same command again"
        )
    with writing(path):
        os.replace(file.path, path)


def _partial_file(path: Path) -> PartialFile:
    """What an earlier run left of the file; a new partial file if nothing can be resumed."""
    begun = [PartialFile.found(path.parent, path.name, found.name)
             for found in path.parent.glob(f"{glob.escape(path.name)}.*part")]  # fmt: skip
    begun.sort(key=lambda file: file.size if file.tag else -1)
    best = begun.pop() if begun else PartialFile(path.parent, path.name)
    for other in begun:
        other.clear()
    return best


def _attempt(url: str, file: PartialFile, progress: Progress) -> ClipError | None:
    """Downloads until the file is whole or the policy allows no more; why it isn't whole."""
    download, client = Download(file, url, file), Client(max_bytes=MAX_BYTES)
    with contextlib.closing(Downloads([download], POLICY, client)) as downloads:
        for _ in downloads:
            with contextlib.suppress(FileNotFoundError):  # The download has just begun anew.
                progress.total, progress.n = file.total or None, file.size
                progress.refresh()
    return download.error


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while data := file.read(2**20):
            digest.update(data)
    return digest.hexdigest()
