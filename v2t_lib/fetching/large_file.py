"""One large file, such as a data set's archive: downloaded with a progress bar, and resumed."""

import contextlib
import glob
import hashlib
import os
import re
import time
from pathlib import Path

import urllib3
from urllib3.exceptions import HTTPError

from v2t_lib.captions_file import without_password
from v2t_lib.errors import DataError, writing
from v2t_lib.fetching.http import Client
from v2t_lib.progress import Progress

#: Requests that may fail, one after the other, without bringing any more of the file.
ATTEMPTS = 5
#: Seconds before the second of them, doubled for each further one.
PAUSE = 1.0


def download_file(url: str, path: str | Path, sha256: str = "") -> None:
    """Downloads a file to `path`, which exists only once it is whole; if it does, does nothing.

    What has come lies beside it as `NAME.VERSION.part`, which a later call resumes (HTTP Range) if
    the server still has the same version (ETag or Last-Modified). As long as requests bring more of
    the file, it tries again.

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
    part = _download(url, path)
    if sha256 and (found := _sha256(part)) != sha256:
        part.unlink()
        raise DataError(
            f"expected {without_password(url)} to have the SHA-256 {sha256}. Received: {found}; "
            "the file was changed or damaged on its way, and has been deleted: run the same "
            "command again"
        )
    with writing(path):
        os.replace(part, path)


def _download(url: str, path: Path) -> Path:
    """The whole file, still under the name of a partial one."""
    failed = 0
    with (
        contextlib.closing(Client(connections=1)) as client,
        Progress(unit="B", unit_scale=True, unit_divisor=1024, desc=path.name) as progress,
    ):
        while True:
            before = _size(_begun(path))
            try:
                if (part := _request(client, url, path, progress)) is not None:
                    return part
            except (HTTPError, ValueError) as error:
                failed = 0 if _size(_begun(path)) > before else failed + 1
                if failed == ATTEMPTS or isinstance(error, ValueError):
                    raise DataError(
                        f"expected to download {without_password(url)}. Received: {error!s:.300}; "
                        f"{_size(_begun(path)):,} bytes are there: run the same command again to "
                        "continue, or name a mirror of the files"
                    ) from None
                time.sleep(PAUSE * 2**failed / 2 if failed else 0)


def _request(client: Client, url: str, path: Path, progress: Progress) -> Path | None:
    """Requests what is missing of a file, and appends it to the partial file.

    Returns:
        The whole file; None if the partial one was of another version, and has been deleted.

    Raises:
        HTTPError: Another request may bring more.
        ValueError: None will.
        DataError: The disk is full.
    """
    begun = _begun(path)
    headers = {"Range": f"bytes={_size(begun)}-"} if begun else {}
    with contextlib.closing(client.get(url, headers)) as response:
        status, part = response.status, _part(path, response)
        whole = re.match(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        start, total = map(int, whole.groups()) if whole and status == 206 else (0, 0)
        goes_on = begun is not None and status == 206 and part == begun and start == _size(begun)
        if "text/html" in response.headers.get("Content-Type", "") and status < 300:
            raise ValueError("a web page, such as one that asks to sign in")
        if begun is not None and not goes_on and status in (200, 206, 416):
            begun.unlink()
            if status != 200:
                return None
        if not 200 <= status < 300:
            raise ValueError(f"HTTP {status}")
        with writing(part), open(part, "ab" if goes_on else "wb") as file:
            progress.n = file.tell()
            progress.total = progress.n + (response.length_remaining or 0) or None
            while data := response.read1(2**20):
                file.write(data)
                progress.update(len(data))
    if response.length_remaining or not _size(part) or 0 < total != _size(part):
        raise HTTPError(f"a body that ends after {_size(part):,} bytes")
    return part


def _part(path: Path, response: urllib3.BaseHTTPResponse) -> Path:
    """The partial file for the version that a server has; without a tag it isn't resumed."""
    version = response.headers.get("ETag", "W/")
    if version.startswith("W/"):
        version = response.headers.get("Last-Modified", "")
    tag = f".{hashlib.sha256(version.encode()).hexdigest()[:12]}" if version else ""
    return path.with_name(f"{path.name}{tag}.part")


def _begun(path: Path) -> Path | None:
    """The largest partial file that can be resumed."""
    found = path.parent.glob(f"{glob.escape(path.name)}.{'[0-9a-f]' * 12}.part")
    return max(found, key=_size, default=None)


def _size(path: Path | None) -> int:
    return path.stat().st_size if path is not None and path.exists() else 0


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while data := file.read(2**20):
            digest.update(data)
    return digest.hexdigest()
