"""Connections to servers: urllib3's pools, the environment's proxies, and how patient we are."""

import contextlib
import dataclasses
import functools
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError
from typing import Any
from urllib.parse import unquote

import certifi
import urllib3
from urllib3.exceptions import HTTPError, InvalidHeader, MaxRetryError, ResponseError
from urllib3.util import make_headers, parse_url

from v2t_lib import __version__
from v2t_lib.options import Options, option

_HEADERS = {"User-Agent": f"v2t/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}
MAX_REDIRECTS = 10
#: urllib3 follows redirects. Attempts are counted by its callers, whose body may fail too.
_REDIRECTS = urllib3.Retry(None, connect=False, read=False, other=0, redirect=MAX_REDIRECTS)
#: Statuses that another request may not meet.
_PASSING = (408, 425, 429, *range(500, 600))


@dataclasses.dataclass(frozen=True)
class RetryPolicy(Options):
    """How many connections servers get, how often a source is tried, and for how long."""

    connections: int = option(32, "downloads at a time", "downloads", at_least=1)
    per_host: int = option(8, "of them from one host", "downloads", at_least=1)
    attempts: int = option(5, "requests for one source, redirects not counted", "times", at_least=1)
    total_timeout: float = option(
        600.0,
        "longest time for all attempts at a source and the pauses between",
        "seconds",
        above=0,
    )
    pause: float = option(
        1.0, "pause before the second attempt, doubled for each further one", "seconds", at_least=0
    )


DEFAULT_POLICY = RetryPolicy()


class Passing(HTTPError):
    """A status that another request, `after` so many seconds, may not meet."""

    def __init__(self, response: urllib3.BaseHTTPResponse):
        super().__init__(f"HTTP {response.status}")
        self.after = 0.0
        with contextlib.suppress(InvalidHeader):
            self.after = _REDIRECTS.get_retry_after(response) or 0.0


def drop(response: urllib3.BaseHTTPResponse) -> None:
    """Closes a response; reads a short body first, so that the connection can be used again."""
    if (response.length_remaining or 2**20) < 2**20:
        response.drain_conn()
    response.close()


@functools.cache
def _trusted() -> ssl.SSLContext:
    """The system's certificates and, as some systems have none, certifi's."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


@dataclasses.dataclass
class _Live:
    """What a thread is downloading: until when, and from where."""

    end: float
    sock: socket.socket | None = None


class Client:
    """urllib3's pools of connections, through the environment's proxies, cut off at deadlines.

    Args:
        connections: Kept open for one host.
        connect_timeout: In seconds.
        read_timeout: Seconds in which a server sends nothing.

    Attributes:
        closed: Set once `close` has been called.
    """

    def __init__(
        self, connections: int = 8, connect_timeout: float = 10.0, read_timeout: float = 30.0
    ):
        self._live: dict[int, _Live] = {}  # by thread
        timeout = urllib3.Timeout(connect=connect_timeout, read=read_timeout)
        options: dict[str, Any] = {"maxsize": connections, "timeout": timeout}
        options["ssl_context"] = _trusted()
        self._pools: dict[str, urllib3.PoolManager] = {"": urllib3.PoolManager(64, **options)}
        for scheme, proxy in urllib.request.getproxies().items():
            if scheme in ("http", "https"):
                url = parse_url(proxy if "://" in proxy else f"http://{proxy}")
                login = make_headers(proxy_basic_auth=unquote(url.auth)) if url.auth else None
                manager = urllib3.ProxyManager(url.url, 64, proxy_headers=login, **options)
                self._pools[scheme] = manager
        for pools in self._pools.values():
            classes = pools.pool_classes_by_scheme.items()
            pools.pool_classes_by_scheme = {scheme: self._watched(pool) for scheme, pool in classes}
        self.closed = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watched(self, pool: type) -> type:
        """A pool class whose connections tell which socket a thread is at."""
        live = self._live

        class Connection(pool.ConnectionCls):  # type: ignore[name-defined]
            def getresponse(self):
                if threading.get_ident() in live:
                    live[threading.get_ident()].sock = self.sock
                return super().getresponse()

        return type(pool.__name__, (pool,), {"ConnectionCls": Connection})

    def _watch(self) -> None:
        """Cuts off what lasts too long, and everything once this is closed; in a thread."""
        while self._live or not self.closed.is_set():
            for live in list(self._live.values()):
                if live.sock and (self.closed.is_set() or time.monotonic() > live.end):
                    with contextlib.suppress(OSError):
                        live.sock.shutdown(socket.SHUT_RDWR)
            time.sleep(0.05)

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> urllib3.BaseHTTPResponse:
        """Requests a URL, and follows redirects; the response is to be read, and closed.

        Raises:
            ValueError: Another request would end the same way: the URL's form, or its redirects.
            HTTPError: Another request may succeed; a `Passing` says when.
            CancelledError: The client is closed.
        """
        if self.closed.is_set():
            raise CancelledError
        try:
            parts = parse_url(url)
            login = make_headers(basic_auth=unquote(parts.auth)) if parts.auth else {}
            scheme = parts.scheme or ""
            direct = scheme not in self._pools or urllib.request.proxy_bypass(parts.host or "")
            response = self._pools["" if direct else scheme].request(
                "GET",
                parts._replace(auth=None, fragment=None).url,
                headers={**_HEADERS, **login, **(headers or {})},
                retries=_REDIRECTS,
                preload_content=False,
            )
        except MaxRetryError as error:
            if isinstance(error.reason, ResponseError):
                why = f"expected at most {MAX_REDIRECTS} redirects. Received: more"
                raise ValueError(why) from None
            raise (error.reason or error) from None
        except ValueError as error:
            raise ValueError(f"expected an http or https URL. Received: {error}") from None
        if response.status in _PASSING:
            drop(response)
            raise Passing(response)
        return response

    @contextlib.contextmanager
    def until(self, end: float) -> Iterator[None]:
        """Within it, a request of this thread that lasts beyond `end`, of `monotonic`, fails."""
        self._live[threading.get_ident()] = _Live(end)
        try:
            yield
        finally:
            del self._live[threading.get_ident()]

    def close(self) -> None:
        """Ends the requests under way, and closes all other connections."""
        self.closed.set()
        for pools in self._pools.values():
            pools.clear()
