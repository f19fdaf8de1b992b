"""Many downloads at once, in threads: bounded in all and per host, each tried several times."""

import contextlib
import dataclasses
import itertools
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from random import uniform
from time import monotonic

from v2t_lib.captions_file import without_password
from v2t_lib.clips.decode import Clip, decode_clip
from v2t_lib.clips.files import read_clip
from v2t_lib.errors import ClipError
from v2t_lib.fetching.http import Client, RetryableError
from v2t_lib.fetching.layout import PartialFile
from v2t_lib.fetching.policy import DEFAULT_POLICY, RetryPolicy
from v2t_lib.specs import ClipSpec

AHEAD = 256  # downloads, among which to find some whose host has a connection free


@dataclasses.dataclass
class Download:
    """One source's way from a URL to a file."""

    source: object  # what the caller knows it by
    url: str  # in the end, where redirects led
    file: PartialFile
    attempts: int = 0  # redirects don't count
    error: ClipError | None = None  # why there is no whole file


class Downloads:
    """Runs downloads in threads and, as an iterator, yields each once it is done.

    While none is, it yields None five times a second; on a full disk it raises `DataError`. What
    isn't yielded yet counts as under way, so it holds up the rest rather than fills the disk.
    """

    def __init__(self, downloads: Iterable[Download], policy=DEFAULT_POLICY, client=None):
        self._coming, self._ahead, self._policy = iter(downloads), [], policy
        self._client = client or Client(policy.per_host)
        self._threads = ThreadPoolExecutor(policy.connections)
        self._under_way: dict[Future, tuple[Download, str]] = {}
        self._resume_at: dict[str, float] = {}  # for hosts that sent a Retry-After
        self._submit()

    def __iter__(self) -> Iterator[Download | None]:
        while self._under_way:
            done, _ = wait(self._under_way, timeout=0.2, return_when=FIRST_COMPLETED)
            if not done:
                yield None
            for future in done:
                download, _ = self._under_way.pop(future)
                self._submit()
                download.error = future.exception()
                if download.error and not isinstance(download.error, ClipError):
                    raise download.error
                yield download

    def close(self) -> None:
        """Starts no more downloads, and ends those under way."""
        self._client.closed.set()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _submit(self) -> None:
        """Hands the threads those downloads whose host has a connection free."""
        for download in itertools.islice(self._coming, AHEAD - len(self._ahead)):
            host = re.sub(r"^\w*://([^/?#]*@)?([^/?#]*).*", r"\2", download.url.lower())
            self._ahead.append((download, host))
        busy, ahead = Counter(host for _, host in self._under_way.values()), []
        for download, host in self._ahead:
            if busy[host] >= self._policy.per_host or busy.total() >= 2 * self._policy.connections:
                ahead.append((download, host))
                continue
            busy[host] += 1
            future = self._threads.submit(self._attempt, download, host)
            self._under_way[future] = download, host
        self._ahead = ahead

    def _attempt(self, download: Download, host: str) -> None:
        """Makes attempts until one succeeds or the policy allows no more; runs in a thread."""
        policy, closed, pause, end = self._policy, self._client.closed, 0.0, None
        while not closed.wait(max(pause, self._resume_at.get(host, 0.0) - monotonic())):
            end = end or monotonic() + policy.total_timeout
            deadline = min(end, monotonic() + policy.attempt_timeout)
            download.attempts += 1
            try:
                download.url = self._client.get(download.url, download.file, deadline)
                return
            except RetryableError as error:
                after = min(error.after, policy.total_timeout)
                self._resume_at[host] = max(self._resume_at.get(host, 0.0), monotonic() + after)
                pause = max(after, policy.pause * 2 ** (download.attempts - 1) * uniform(0.5, 1))
                if download.attempts >= policy.attempts or monotonic() + pause >= end:
                    why = f"Received, in the last of {download.attempts} attempts: {error}"
                    raise ClipError("unreachable", f"expected a clip. {why}") from None


def read_source(source: str | Path) -> bytes:
    """The bytes of a local file or of an http(s) URL.

    Raises:
        ClipError: Nothing there, not reachable, empty, or over `MAX_BYTES`.
    """
    if not str(source).lower().startswith(("http://", "https://")):
        return read_clip(source)
    with tempfile.TemporaryDirectory() as folder:
        one = Download(source, str(source), PartialFile(Path(folder), "clip"))
        with contextlib.closing(Downloads([one], RetryPolicy(attempts=2))) as downloads:
            list(downloads)
        if one.error:
            url = without_password(one.url)
            raise ClipError(one.error.kind, f"{one.error.message} (at {url})")
        return one.file.path.read_bytes()


def decode_source(source: str | Path, spec: ClipSpec) -> Clip | tuple[str, str]:
    """For worker processes: a path's or URL's decoded clip, or `(kind, why)` where it gives none.

    The error travels as plain values.
    """
    try:
        return decode_clip(read_source(source), spec)
    except ClipError as error:
        return error.kind, error.message
