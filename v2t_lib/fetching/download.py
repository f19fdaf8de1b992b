"""Downloads of clips, in threads: each within a number of attempts and a deadline."""

import contextlib
import mmap
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from pathlib import Path
from random import uniform
from time import monotonic
from typing import NamedTuple

import urllib3
from urllib3.exceptions import HTTPError, ProtocolError

from v2t_lib.captions_file import is_url, without_password
from v2t_lib.clips.decode import Clip, decode_clip
from v2t_lib.clips.files import read_clip
from v2t_lib.clips.problems import MAX_BYTES
from v2t_lib.errors import ClipError, writing
from v2t_lib.fetching.http import DEFAULT_POLICY, Client, Passing, RetryPolicy, drop
from v2t_lib.specs import ClipSpec

_KINDS = {404: "gone", 410: "gone", 401: "forbidden", 403: "forbidden"}
#: Hosts that have threads of their own; further ones share them.
MOST_LANES = 64


class Download(NamedTuple):
    """What came of a download.

    Attributes:
        url: Where redirects led, without user and password.
        attempts: Requests made, without redirects.
        error: Why there is no whole file, if there is none.
    """

    url: str
    attempts: int
    error: ClipError | None = None


def download(url: str, path: Path, client: Client, policy: RetryPolicy) -> Download:
    """Downloads a URL to a file, in as many attempts as the policy allows.

    Raises:
        DataError: The disk is full.
        CancelledError: The client has been closed.
    """
    attempts, end, found = 0, monotonic() + policy.total_timeout, without_password(url)
    with client.until(end):
        while True:
            attempts += 1
            try:
                with contextlib.closing(client.get(url)) as response:
                    found = without_password(response.url or url)
                    _save(response, path, end)
                return Download(found, attempts)
            except ClipError as error:
                return Download(found, attempts, error)
            except ValueError as error:
                return Download(found, attempts, ClipError("unreachable", str(error)))
            except (HTTPError, OSError) as error:
                why = "" if isinstance(error, Passing) else f"{type(error).__name__}: "
                why += str(error)[:300]
                after = error.after if isinstance(error, Passing) else 0.0
            pause = max(after, policy.pause * 2 ** (attempts - 1) * uniform(0.5, 1))
            last = attempts == policy.attempts or monotonic() + pause >= end
            if client.closed.wait(0 if last else pause):
                raise CancelledError
            if last:
                why = f"expected a clip. Received, in the last of {attempts} attempts: {why}"
                return Download(found, attempts, ClipError("unreachable", why))


def _save(response: urllib3.BaseHTTPResponse, path: Path, end: float) -> None:
    """Writes a response's body to a file."""
    if not 200 <= response.status < 300:
        drop(response)
        hint = "; give the proxy's URL its user and password" * (response.status == 407)
        kind = _KINDS.get(response.status, "unreachable")
        raise ClipError(kind, f"expected a clip. Received: HTTP {response.status}{hint}")
    size = 0
    packed = "Content-Encoding" in response.headers  # it may unpack to a thousand times that
    with writing(path), open(path, "wb") as file:
        while data := response.read1(2**14 if packed else 2**20, decode_content=packed):
            size += len(data)
            if size + (response.length_remaining or 0) > MAX_BYTES:
                raise ClipError("too-big", f"expected at most {MAX_BYTES:,} bytes. Received: more")
            file.write(data)
    part = response.headers.get("Content-Range") if response.status == 206 else None
    if part and part != f"bytes 0-{response.tell() - 1}/{response.tell()}":
        raise ProtocolError(f"only {part} of the clip")
    if not size or response.length_remaining or monotonic() > end:
        raise ProtocolError(f"a body that ends after {size:,} bytes")


class Downloads:
    """Threads that download: bounded in all and a host, so that a slow one holds up no other.

    Args:
        policy: Connections, attempts and times.
        client: Makes the requests.
        more: Threads a host beyond those that download, for what else their work is.
    """

    def __init__(
        self, policy: RetryPolicy = DEFAULT_POLICY, client: Client | None = None, more: int = 0
    ):
        self._policy, self._more = policy, more
        self._client = client or Client(policy.per_host)
        self._connections = threading.Semaphore(policy.connections)
        self._lanes: dict[str, tuple[ThreadPoolExecutor, threading.Semaphore]] = {}

    def _lane(self, source: str) -> tuple[ThreadPoolExecutor, threading.Semaphore]:
        """The threads for a source's host, and that host's connections; for local files, too."""
        host = "".join(source.lower().split("/")[2:3]) if is_url(source) else ""
        if host not in self._lanes and len(self._lanes) >= MOST_LANES:
            host = list(self._lanes)[hash(host) % MOST_LANES]
        per_host = self._policy.per_host
        new = ThreadPoolExecutor(per_host + self._more), threading.Semaphore(per_host)
        return self._lanes.setdefault(host, new)

    def submit(self, source: str, function: Callable, *args) -> Future:
        """Calls a function in one of the threads for a source, in the order of these calls."""
        return self._lane(source)[0].submit(function, *args)

    def get(self, url: str, path: Path) -> Download:
        """`download`, as soon as a connection is free; for `submit`."""
        with self._lane(url)[1], self._connections:
            return download(url, path, self._client, self._policy)

    def stop(self) -> None:
        """Drops what waits, and cuts off what is under way."""
        for threads, _ in list(self._lanes.values()):
            threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def close(self) -> None:
        """`stop`, and waits for the threads."""
        self.stop()
        for threads, _ in list(self._lanes.values()):
            threads.shutdown()


def read_source(source: str | Path) -> bytes | mmap.mmap:
    """The bytes of a local file or of an http(s) URL.

    Raises:
        ClipError: Nothing there, not reachable, empty, or over `MAX_BYTES`.
    """
    if not is_url(str(source)):
        return read_clip(source)
    with (
        tempfile.TemporaryDirectory(prefix="v2t-") as folder,
        contextlib.closing(Client(connections=1)) as client,
    ):
        path = Path(folder) / "clip"
        url, _, error = download(str(source), path, client, RetryPolicy(attempts=2))
        if error is not None:
            raise ClipError(error.kind, f"{error.message} (at {url})")
        return path.read_bytes()


def decode_source(source: str | Path, spec: ClipSpec) -> Clip | ClipError:
    """For worker processes: a path's or URL's decoded clip, or why it gives none."""
    try:
        return decode_clip(read_source(source), spec)
    except ClipError as error:
        return error
