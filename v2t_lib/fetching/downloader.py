"""Many requests: who is asked when. Bounded in all and a host, patient, and never for nothing."""

import collections
import dataclasses
import heapq
import itertools
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from v2t_lib.clips.decode import read_clip
from v2t_lib.errors import ClipError
from v2t_lib.fetching.http import Body, Client, Moved, RetryableError

#: Sources that are looked through for a host that is free.
AHEAD = 1024
HOPS = 10
#: Seconds beyond its time after which an attempt is given up on from outside: its server sends
#: headers so slowly that the client never gets to look at the clock.
GRACE = 60.0


@dataclasses.dataclass(frozen=True)
class RetryPolicy:
    """How servers are treated; times in seconds.

    Attributes:
        connections: At once, in all.
        per_host: At once, to one host.
        attempts: For one source, at most.
        attempt_timeout: For one attempt.
        total_timeout: For all attempts for a source and the pauses between them; also the longest
            that a host's `Retry-After` is followed.
        pause: Before the second attempt; each further one waits twice as long. The wait is random
            between half and all of that, so that many clients don't come back at once.
    """

    connections: int = 32
    per_host: int = 8
    attempts: int = 5
    attempt_timeout: float = 120.0
    total_timeout: float = 600.0
    pause: float = 1.0


DEFAULT_POLICY = RetryPolicy()
#: For one clip that somebody waits for.
INTERACTIVE_POLICY = RetryPolicy(attempts=2, attempt_timeout=60.0, pause=0.5)


@dataclasses.dataclass
class Download:
    """One source's way.

    Attributes:
        source: What was asked for, with whatever the caller hung on it.
        url: Where it is asked for now: redirects move it.
        body: What has come.
        attempts: Requests made, redirects not counted.
        error: Why nothing came; None where all did.
    """

    source: object
    url: str
    body: Body
    attempts: int = 0
    error: Exception | None = None
    hops: int = 0
    started: float | None = None


class Downloads:
    """Downloads under way in threads; `take` gives those that are done, as they are.

    Args:
        sources: `(source, url)` pairs, read a bounded number ahead.
        body: Makes the body for a source.
        policy: How servers are treated.
        client: Makes the requests.
    """

    def __init__(
        self,
        sources: Iterable[tuple[object, str]],
        body: Callable[[object], Body],
        policy: RetryPolicy = DEFAULT_POLICY,
        client: Client | None = None,
    ):
        self._sources, self._body, self._policy = iter(sources), body, policy
        self._client = client or Client(policy.per_host)
        self._lock = threading.Condition()
        self._arrived = threading.Condition(self._lock)
        self._waiting: dict[str, collections.deque[Download]] = {}
        self._later: list[tuple[float, int, Download]] = []
        self._number = itertools.count()
        self._active: collections.Counter = collections.Counter()
        self._paused: dict[str, float] = {}
        self._running: dict[int, tuple[float, str, Download]] = {}
        self._count, self._done, self._closed = 0, collections.deque(), False
        self._read_ahead()
        for _ in range(min(policy.connections, self._count)):
            self._start()

    def _start(self) -> None:
        threading.Thread(target=self._work, daemon=True).start()

    @property
    def finished(self) -> bool:
        """Whether every source has been taken."""
        with self._lock:
            return not self._count

    def take(self, timeout: float = 0.0) -> Download | None:
        """A download that is done, or None where none is within `timeout` seconds.

        Raises:
            DataError: The disk takes no more.
        """
        with self._lock:
            if not self._done and self._count:
                self._arrived.wait_for(lambda: self._done, timeout)
            if not self._done:
                self._give_up()
                return None
            download = self._done.popleft()
            self._count -= 1
            # Waking threads for nothing costs more than a small clip does.
            if new := self._read_ahead() + (len(self._done) == self._policy.connections - 1):
                self._lock.notify(new)
        if download.error is not None and not isinstance(download.error, ClipError):
            raise download.error
        return download

    def close(self) -> None:
        """Lets no more requests begin; those under way end with the process or by themselves."""
        with self._lock:
            self._closed = True
            self._lock.notify_all()
        self._client.close()

    def _read_ahead(self) -> int:
        """Looks at more sources, where there are; how many."""
        before = self._count
        for source, url in itertools.islice(self._sources, AHEAD - before):
            self._count += 1
            self._enqueue(Download(source, url, self._body(source)))
        return self._count - before

    def _enqueue(self, download: Download, *, first: bool = False) -> None:
        try:
            host = urlsplit(download.url).netloc.lower()
        except ValueError:
            host = ""  # The client says what is wrong with it.
        queue = self._waiting.setdefault(host, collections.deque())
        (queue.appendleft if first else queue.append)(download)

    def _next(self) -> tuple[str, Download] | None:
        """Waits for a source whose host may be asked; None where none is to come."""
        with self._lock:
            while not self._closed:
                now = time.monotonic()
                while self._later and self._later[0][0] <= now:
                    self._enqueue(heapq.heappop(self._later)[2], first=True)
                # What is done and not taken fills memory: the network waits, it is ahead.
                if len(self._done) < self._policy.connections:
                    for host, queue in self._waiting.items():
                        free = self._active[host] < self._policy.per_host
                        if queue and free and self._paused.get(host, 0) <= now:
                            self._active[host] += 1
                            # To the end of the line of hosts.
                            self._waiting[host] = self._waiting.pop(host)
                            return host, queue.popleft()
                self._lock.wait(self._until_next(now))
        return None

    def _until_next(self, now: float) -> float:
        """Seconds until a pause is over, and never many."""
        moments = [moment for host, moment in self._paused.items() if self._waiting.get(host)]
        moments += [self._later[0][0]] if self._later else []
        return min([1.0, *(moment - now for moment in moments if moment > now)])

    def _work(self) -> None:
        while (found := self._next()) is not None:
            host, download = found
            try:
                error = None
                self._client.get(download.url, download.body, self._begin(host, download))
            except Exception as raised:
                error = raised
            with self._lock:
                if self._running.pop(threading.get_ident(), None) is None:
                    return  # Given up on: another thread is in this one's place.
                self._release(host)
                # What this one frees, it takes itself.
                self._settle(host, download, error)

    def _begin(self, host: str, download: Download) -> float:
        """Notes that an attempt begins; when it has to end."""
        with self._lock:
            now, policy = time.monotonic(), self._policy
            download.attempts += 1
            download.started = download.started or now
            end = min(now + policy.attempt_timeout, download.started + policy.total_timeout)
            self._running[threading.get_ident()] = (end + GRACE, host, download)
            return end

    def _release(self, host: str) -> None:
        self._active[host] -= 1
        if not self._active[host] and not self._waiting[host]:
            del self._active[host], self._waiting[host]

    def _give_up(self) -> None:
        for thread, (moment, host, download) in list(self._running.items()):
            if time.monotonic() > moment:
                del self._running[thread]
                self._release(host)
                self._finish(download, _unreachable("an answer. Received: none that ends"))
                self._start()

    def _settle(self, host: str, download: Download, error: Exception | None) -> None:
        """Decides what follows an attempt."""
        if isinstance(error, Moved):
            download.url, download.hops = error.url, download.hops + 1
            download.attempts -= 1
            if download.hops <= HOPS:
                self._enqueue(download, first=True)
                return
            error = _unreachable(f"at most {HOPS} redirects. Received: more")
        elif isinstance(error, RetryableError):
            if self._put_off(host, download, error):
                return
            error = _unreachable(
                f"a clip within {self._policy.attempts} attempts and "
                f"{self._policy.total_timeout:g} s. "
                f"Received, at the end of {download.attempts}: {error.why}"
            )
        self._finish(download, error)

    def _finish(self, download: Download, error: Exception | None) -> None:
        download.error = error
        self._done.append(download)
        self._arrived.notify()

    def _put_off(self, host: str, download: Download, again: RetryableError) -> bool:
        """Has a download wait for its next attempt, if there is one."""
        policy, now = self._policy, time.monotonic()
        pause = policy.pause * 2 ** (download.attempts - 1) * random.uniform(0.5, 1)
        pause = max(0.0 if again.now else pause, again.after or 0.0)
        if again.after:
            until = now + min(again.after, policy.total_timeout)
            self._paused[host] = max(self._paused.get(host, 0), until)
        if download.attempts >= policy.attempts:
            return False
        if now + pause >= download.started + policy.total_timeout:
            return False
        heapq.heappush(self._later, (now + pause, next(self._number), download))
        self._lock.notify()
        return True


def _unreachable(what: str) -> ClipError:
    return ClipError("unreachable", f"expected {what}")


def each(downloads: Downloads) -> Iterator[Download]:
    """Yields every download, as it's done, and closes them at the end."""
    try:
        while not downloads.finished:
            if (download := downloads.take(1.0)) is not None:
                yield download
    finally:
        downloads.close()


def read_source(source: str | Path) -> bytes:
    """The bytes of a local file or of an http(s) URL.

    Raises:
        ClipError: Nothing there, not reachable, empty, or over `MAX_BYTES`.
    """
    if not str(source).lower().startswith(("http://", "https://")):
        return read_clip(source)
    try:
        return read_url(str(source))
    except ClipError as error:
        raise ClipError(error.kind, f"{error.message} (at {source})") from None


def read_url(url: str) -> bytes:
    """The bytes at one http(s) URL, for somebody who waits for them.

    Raises:
        ClipError: As its `Client`, or `unreachable` after all attempts.
    """
    with tempfile.TemporaryDirectory() as folder:
        one = Downloads([("clip", url)], lambda key: Body(Path(folder), key), INTERACTIVE_POLICY)
        for download in each(one):
            if download.error is not None:
                raise download.error
        return download.body.path.read_bytes()
