"""Connections to servers: urllib3's pools, the environment's proxies, and how patient we are."""

import contextlib
import dataclasses
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError
from http.cookiejar import CookieJar
from urllib.parse import urljoin

import urllib3
from urllib3.exceptions import HTTPError, InvalidHeader
from urllib3.util import Url, parse_url

from v2t_lib import __version__
from v2t_lib.captions_file import is_url, without_password
from v2t_lib.fetching.environment import basic, bypasses, pools_through, trusted
from v2t_lib.options import Options, option

_HEADERS = {"User-Agent": f"v2t/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}
MAX_REDIRECTS = 10
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
        with contextlib.suppress(InvalidHeader, ValueError, OverflowError):
            self.after = urllib3.Retry().get_retry_after(response) or 0.0


def drop(response: urllib3.BaseHTTPResponse) -> None:
    """Closes a response; reads a short body first, so that the connection can be used again."""
    if (response.length_remaining or 2**20) < 2**20:
        response.drain_conn()
    response.close()


def _parsed(url: str) -> Url:
    with contextlib.suppress(ValueError):
        if (parts := parse_url(url)).host and is_url(url):
            return parts
    shown = without_password(url)
    hint = "; in its password, write / as %2F, ? as %3F, # as %23" * (shown != url)
    raise ValueError(f"expected an http or https URL with a host. Received: {shown}{hint}")


def _next(url: str, location: str) -> str:
    """Where a redirect leads; the user and password stay with their host."""
    with contextlib.suppress(UnicodeDecodeError):
        location = location.encode("latin-1").decode()  # UTF-8, as browsers read it
    before, after = _parsed(url), _parsed(urljoin(url, location))
    same = ((before.scheme, before.port), ("https", None))
    if before.auth and before.host == after.host and (after.scheme, after.port) in same:
        after = after._replace(auth=after.auth or before.auth)
    return after.url


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
        self._options = {"maxsize": connections, "timeout": timeout, "ssl_context": trusted()}
        proxies = urllib.request.getproxies().items()
        self._proxies = {name: p if "://" in p else f"http://{p}" for name, p in proxies}
        self._pools: dict[str, urllib3.PoolManager] = {}  # by proxy
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

    def _pools_to(self, parts: Url) -> urllib3.PoolManager:
        """The pools of connections to a URL: direct ones, or those through its proxy."""
        scheme = parts.scheme or ""
        names = [name for name in (scheme, "all") if self._proxies.get(name)]
        proxy = self._proxies[names[0]] if names and not bypasses(parts) else ""
        if proxy not in self._pools:
            try:
                pools = pools_through(proxy, self._options)
            except ValueError as error:
                raise ValueError(
                    f"expected a proxy that can be used in {names[0]}_proxy. Received: "
                    f"{without_password(proxy)}; {error}"
                ) from None
            classes = pools.pool_classes_by_scheme.items()
            pools.pool_classes_by_scheme = {name: self._watched(pool) for name, pool in classes}
            self._pools.setdefault(proxy, pools)
        return self._pools[proxy]

    def _watch(self) -> None:
        """Cuts off what lasts too long, and everything once this is closed; in a thread."""
        while self._live or not self.closed.is_set():
            for live in list(self._live.values()):
                if live.sock and (self.closed.is_set() or time.monotonic() > live.end):
                    with contextlib.suppress(OSError):
                        live.sock.shutdown(socket.SHUT_RDWR)
            time.sleep(0.05)

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> urllib3.BaseHTTPResponse:
        """Requests a URL; follows redirects, with cookies. The response is to be read and closed.

        Its `url` is where redirects led.

        Raises:
            ValueError: Another request would end the same way: the URL's form, its redirects, a
                certificate or proxy.
            HTTPError: Another request may succeed; a `Passing` says when.
            CancelledError: The client is closed.
        """
        cookies = CookieJar()
        for _ in range(MAX_REDIRECTS + 1):
            if self.closed.is_set():
                raise CancelledError
            parts = _parsed(url)
            asked = urllib.request.Request(parts._replace(auth=None, fragment=None).url)
            cookies.add_cookie_header(asked)
            login = {"Authorization": basic(parts.auth)} if parts.auth else {}
            sent = {**_HEADERS, **login, **dict(asked.header_items()), **(headers or {})}
            response = self._request(parts, asked.full_url, sent)
            response.url = url
            location = response.get_redirect_location()
            if not location:
                return response
            cookies.extract_cookies(response, asked)  # type: ignore[arg-type]
            drop(response)
            url = _next(url, location)
        raise ValueError(f"expected at most {MAX_REDIRECTS} redirects. Received: more")

    def _request(self, parts: Url, url: str, headers: dict) -> urllib3.BaseHTTPResponse:
        """Requests a URL once."""
        try:
            response = self._pools_to(parts).request(
                "GET", url, headers=headers, retries=False, redirect=False, preload_content=False
            )
        except HTTPError as error:
            if "CERTIFICATE_VERIFY_FAILED" not in str(error):
                raise
            raise ValueError(
                f"expected a certificate that is trusted. Received: {error}; where a company's "
                "proxy signs, name its certificates' PEM file in SSL_CERT_FILE"
            ) from None
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
        for pools in list(self._pools.values()):
            pools.clear()
