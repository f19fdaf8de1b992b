"""Connections to servers: urllib3's pools, the environment's proxies, and how patient we are."""

import dataclasses
import functools
import ssl
import threading
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import certifi
import urllib3
from urllib3.util import make_headers, parse_url

from v2t_lib import __version__
from v2t_lib.options import Options, option

_HEADERS = {"User-Agent": f"v2t/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}


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
#: Has the `download` that a thread is at, if any.
THREAD = threading.local()


def _watched(pool: type) -> type:
    """A pool class whose connections tell the thread's download their socket."""

    class Connection(pool.ConnectionCls):  # type: ignore[name-defined]
        def getresponse(self):
            if hasattr(THREAD, "download"):
                THREAD.download.sock = self.sock
            return super().getresponse()

    return type(pool.__name__, (pool,), {"ConnectionCls": Connection})


@functools.cache
def _trusted() -> ssl.SSLContext:
    """The system's certificates and, as some systems have none, certifi's."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


class Client:
    """urllib3's pools of connections, through the environment's proxies.

    Args:
        connections: Kept open for one host.
        connect_timeout: In seconds.
        read_timeout: Seconds in which a server sends nothing.
    """

    def __init__(
        self, connections: int = 8, connect_timeout: float = 10.0, read_timeout: float = 30.0
    ):
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
            pools.pool_classes_by_scheme = {scheme: _watched(pool) for scheme, pool in classes}

    def get(
        self, url: str, retries: urllib3.Retry, headers: Mapping[str, str] | None = None
    ) -> urllib3.BaseHTTPResponse:
        """Requests a URL; the body is still to be read, and the response to be closed.

        Raises:
            ValueError: Not an http or https URL.
            HTTPError: urllib3's, where `retries` allow no more.
        """
        parts = parse_url(url)
        login = make_headers(basic_auth=unquote(parts.auth)) if parts.auth else {}
        scheme = parts.scheme or ""
        direct = scheme not in self._pools or urllib.request.proxy_bypass(parts.host or "")
        return self._pools["" if direct else scheme].request(
            "GET",
            parts._replace(auth=None, fragment=None).url,
            headers={**_HEADERS, **login, **(headers or {})},
            retries=retries,
            preload_content=False,
        )

    def close(self) -> None:
        """Closes the connections that no request uses."""
        for pools in self._pools.values():
            pools.clear()
