"""Downloads of clips, in threads: bounded in all and per host, each within a number of attempts and
a deadline. Connections, redirects, retries, proxies and decompression are urllib3's.
"""

import collections
import contextlib
import dataclasses
import functools
import mmap
import socket
import tempfile
import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from random import uniform
from time import monotonic
from typing import Any
from urllib.parse import urljoin

import urllib3
from urllib3.exceptions import HTTPError, InvalidHeader, MaxRetryError, ProtocolError

from v2t_lib.captions_file import is_url, without_password
from v2t_lib.clips.decode import Clip, decode_clip
from v2t_lib.clips.files import read_clip
from v2t_lib.clips.problems import MAX_BYTES
from v2t_lib.errors import ClipError, writing
from v2t_lib.fetching.http import DEFAULT_POLICY, THREAD, Client, RetryPolicy
from v2t_lib.specs import ClipSpec

MAX_REDIRECTS = 10
#: Statuses that another request may not meet.
PASSING_STATUSES = (408, 425, 429, *range(500, 600))
_KINDS = {404: "gone", 410: "gone", 401: "forbidden", 403: "forbidden", 451: "forbidden"}
#: Downloads that wait, among which to find some whose host has a connection free.
_AHEAD = 256


@dataclasses.dataclass(eq=False)
class Download:
    """One URL on its way to a file.

    Attributes:
        key: What the caller knows it by.
        url: In the end, where redirects led.
        path: The file, whole if there is no `error`.
        attempts: Requests made, without redirects.
        error: Why there is no whole file.
    """

    key: Any
    url: str
    path: Path
    attempts: int = 0
    error: ClipError | None = None
    end: float = float("inf")  # of `monotonic`; the deadline
    sock: socket.socket | None = None

    def cut(self) -> None:
        """Ends the request under way, whose thread then meets an error."""
        if self.sock is not None:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)


class _Retry(urllib3.Retry):
    """urllib3's retries, each after the pause that `pause` makes or refuses."""

    pause: Any

    def new(self, **options):
        again = super().new(**options)
        again.pause = self.pause
        return again

    def sleep(self, response=None):
        after, last = 0.0, self.history[-1]
        if response is not None:
            with contextlib.suppress(InvalidHeader):
                after = self.get_retry_after(response) or 0.0
        self.pause(f"HTTP {last.status}" if last.status else last.error, after)


class Downloads:
    """Runs downloads in threads.

    Args:
        policy: Connections, attempts and times.
        client: Makes the requests.
        max_bytes: Of a file.
    """

    def __init__(
        self,
        policy: RetryPolicy = DEFAULT_POLICY,
        client: Client | None = None,
        max_bytes: int = MAX_BYTES,
    ):
        self._policy, self._max_bytes = policy, max_bytes
        self._client = client or Client(policy.per_host)
        self._threads = ThreadPoolExecutor(policy.connections)
        self._waiting: dict[str, collections.deque[Download]] = {}  # by host
        self._running: dict[Future, tuple[Download, str]] = {}
        self._busy: collections.Counter[str] = collections.Counter()
        self._closed = threading.Event()

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values())) + len(self._running)

    @property
    def full(self) -> bool:
        """Whether so many wait that `ready` should be asked before another is added."""
        return len(self) - len(self._running) >= _AHEAD

    def add(self, key: Any, url: str, path: Path) -> None:
        """Downloads a URL to a file; what `ready` returned frees the connections for others."""
        host = "".join(url.lower().split("/")[2:3])
        self._waiting.setdefault(host, collections.deque()).append(Download(key, url, path))
        self._start()

    def ready(self, seconds: float = 0.2) -> list[Download]:
        """The downloads that have ended since; waits up to `seconds` where there are none.

        Raises:
            DataError: The disk is full.
        """
        done, running = wait(self._running, timeout=seconds, return_when=FIRST_COMPLETED)
        for future in running:
            download, _ = self._running[future]
            if monotonic() > download.end:
                download.cut()
        found = []
        for future in done:
            download, host = self._running.pop(future)
            self._busy[host] -= 1
            error = future.exception()
            if error is not None and not isinstance(error, ClipError):
                raise error
            download.error = error
            found.append(download)
        self._start()
        return found

    def close(self) -> None:
        """Starts no more downloads, and ends those under way."""
        self._closed.set()
        self._threads.shutdown(wait=False, cancel_futures=True)
        for download, _ in self._running.values():
            download.cut()
        self._client.close()

    def _start(self) -> None:
        """Hands the threads those downloads whose host has a connection free."""
        for host, waiting in self._waiting.items():
            while (
                waiting
                and self._busy[host] < self._policy.per_host
                and len(self._running) < 2 * self._policy.connections
            ):
                download = waiting.popleft()
                self._busy[host] += 1
                self._running[self._threads.submit(self._run, download)] = download, host
        self._waiting = {host: waiting for host, waiting in self._waiting.items() if waiting}

    def _run(self, download: Download) -> None:
        """Makes attempts until one succeeds or no more are allowed; in a thread."""
        THREAD.download = download
        download.end, download.attempts = monotonic() + self._policy.total_timeout, 1
        retries = _Retry(
            None,
            redirect=MAX_REDIRECTS,
            status_forcelist=PASSING_STATUSES,
            raise_on_status=False,
        )
        retries.pause = functools.partial(self._pause, download)
        while True:
            try:
                with contextlib.closing(self._client.get(download.url, retries)) as response:
                    for entry in response.retries.history if response.retries else ():
                        download.url = urljoin(download.url, entry.redirect_location or "")
                    return self._save(response, download)
            except MaxRetryError:
                why = f"expected at most {MAX_REDIRECTS} redirects. Received: more"
                raise ClipError("unreachable", why) from None
            except ValueError as error:
                why = f"expected an http or https URL. Received: {error}"
                raise ClipError("unreachable", why) from None
            except (HTTPError, OSError) as error:
                self._pause(download, error)

    def _pause(self, download: Download, why: Any, after: float = 0.0) -> None:
        """Waits before the next attempt, unless it is one too many or too late."""
        attempts, policy = download.attempts, self._policy
        pause = max(after, policy.pause * 2 ** (attempts - 1) * uniform(0.5, 1))
        late = monotonic() + pause >= download.end
        if attempts >= policy.attempts or late or self._closed.wait(pause):
            what = f"{type(why).__name__}: {why}"[:300] if isinstance(why, Exception) else why
            raise ClipError(
                "unreachable",
                f"expected a clip. Received, in the last of {attempts} attempts: {what}",
            )
        download.attempts += 1

    def _save(self, response: urllib3.BaseHTTPResponse, download: Download) -> None:
        """Writes a response's body to the download's file."""
        if response.status != 200:
            if (response.length_remaining or 2**20) < 2**20:
                response.drain_conn()  # the connection can be used again
            hint = "; give the proxy's URL its user and password" * (response.status == 407)
            kind = _KINDS.get(response.status, "unreachable")
            raise ClipError(kind, f"expected a clip. Received: HTTP {response.status}{hint}")
        size, limit = 0, self._max_bytes
        packed = "Content-Encoding" in response.headers  # it may unpack to a thousand times that
        with writing(download.path), open(download.path, "wb") as file:
            while data := response.read1(2**14 if packed else 2**20, decode_content=packed):
                size += len(data)
                if size + (response.length_remaining or 0) > limit:
                    raise ClipError("too-big", f"expected at most {limit:,} bytes. Received: more")
                file.write(data)
        if not size and "Content-Length" in response.headers:
            raise ClipError("not-a-clip", "expected a clip. Received: no bytes at all")
        if not size or response.length_remaining or monotonic() > download.end:
            raise ProtocolError(f"a body that ends after {size:,} bytes")


def read_source(source: str | Path) -> bytes | mmap.mmap:
    """The bytes of a local file or of an http(s) URL.

    Raises:
        ClipError: Nothing there, not reachable, empty, or over `MAX_BYTES`.
    """
    if not is_url(str(source)):
        return read_clip(source)
    policy = RetryPolicy(attempts=2)
    with (
        tempfile.TemporaryDirectory(prefix="v2t-") as folder,
        contextlib.closing(Downloads(policy)) as downloads,
    ):
        downloads.add(source, str(source), Path(folder) / "clip")
        while not (done := downloads.ready()):
            pass
        if done[0].error:
            kind, why = done[0].error.kind, done[0].error.message
            raise ClipError(kind, f"{why} (at {without_password(done[0].url)})")
        return done[0].path.read_bytes()


def decode_source(source: str | Path, spec: ClipSpec) -> Clip | tuple[str, str]:
    """For worker processes: a path's or URL's decoded clip, or `(kind, why)` where it gives none.

    The error travels as plain values.
    """
    try:
        return decode_clip(read_source(source), spec)
    except ClipError as error:
        return error.kind, error.message
