"""One HTTP request into a file: resumable, and within limits of size and time.

Connections, proxies, timeouts and decompression are urllib3's. A request that fails raises
`ClipError` where another can't help, `RetryableError` where it may, `DataError` on a full disk.
"""

import contextlib
import dataclasses
import functools
import hashlib
import re
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterator
from urllib.parse import unquote, urljoin

import certifi
import urllib3
from urllib3.util import make_headers, parse_url

from v2t_lib import __version__
from v2t_lib.clips.problems import MAX_BYTES
from v2t_lib.errors import ClipError, writing
from v2t_lib.fetching.layout import PartialFile

MAX_REDIRECTS = 10
HEADER_SECONDS = 60.0
_KINDS = {404: "gone", 410: "gone", 401: "forbidden", 403: "forbidden", 451: "forbidden"}
_HEADERS = {"User-Agent": f"v2t/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}


class RetryableError(Exception):
    """A failure that another request may not meet; `after`: seconds the server asks to wait."""

    after = 0.0


def _limited(pool: type) -> type:
    """A pool class whose connections bound the time for all headers, not only for each byte."""

    class Connection(pool.ConnectionCls):
        def getresponse(self):
            limit = threading.Timer(HEADER_SECONDS, self.sock.shutdown, [socket.SHUT_RDWR])
            limit.start()
            try:
                return super().getresponse()
            finally:
                limit.cancel()

    return type(pool.__name__, (pool,), {"ConnectionCls": Connection})


@functools.cache
def _trusted() -> ssl.SSLContext:
    """The system's certificates and, as some systems have none, certifi's."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


@dataclasses.dataclass
class Client:
    """Makes requests over connections that are kept open; times in seconds."""

    connections: int = 8  # kept for one host
    max_bytes: int = MAX_BYTES  # of a clip
    connect_timeout: float = 10.0
    read_timeout: float = 30.0  # while a server sends nothing

    def __post_init__(self):
        self.closed = threading.Event()
        timeout = urllib3.Timeout(connect=self.connect_timeout, read=self.read_timeout)
        options = {"maxsize": self.connections, "timeout": timeout, "ssl_context": _trusted()}
        self._pools = {"": urllib3.PoolManager(64, **options)}
        for scheme, proxy in urllib.request.getproxies().items():
            if scheme in ("http", "https"):
                url = parse_url(proxy if "://" in proxy else f"http://{proxy}")
                login = make_headers(proxy_basic_auth=unquote(url.auth)) if url.auth else None
                manager = urllib3.ProxyManager(url.url, 64, proxy_headers=login, **options)
                self._pools[scheme] = manager
        for pools in self._pools.values():
            classes = pools.pool_classes_by_scheme.items()
            pools.pool_classes_by_scheme = {scheme: _limited(pool) for scheme, pool in classes}

    def get(self, url: str, file: PartialFile, deadline: float = float("inf")) -> str:
        """Downloads a URL into a file until `deadline` (`time.monotonic`); returns the last URL.

        Raises:
            ClipError: `gone`, `forbidden`, `too-big`, `not-a-clip` (empty), or `unreachable`.
            RetryableError: Another request may do better.
            DataError: The disk is full.
        """
        try:
            for _ in range(MAX_REDIRECTS + 1):
                with contextlib.closing(self._request(url, file)) as response:
                    if (following := self._next_url(response, url, file, deadline)) is None:
                        self._read(response, file, deadline)
                        return url
                    url = following
            why = f"at most {MAX_REDIRECTS} redirects. Received: more"
        except ValueError as error:
            why = f"an http or https URL. Received: {error}"
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise RetryableError(f"{type(error).__name__}: {error}"[:300]) from None
        raise ClipError("unreachable", f"expected {why}")

    def _request(self, url: str, file: PartialFile) -> urllib3.BaseHTTPResponse:
        parts, headers = parse_url(url), dict(_HEADERS)
        if file.tag and file.size:
            headers["Range"] = f"bytes={file.size}-"
        headers |= make_headers(basic_auth=unquote(parts.auth)) if parts.auth else {}
        direct = parts.scheme not in self._pools or urllib.request.proxy_bypass(parts.host or "")
        pools = self._pools["" if direct else parts.scheme]
        url = parts._replace(auth=None, fragment=None).url
        options = {"redirect": False, "retries": False, "preload_content": False}
        return pools.request("GET", url, headers=headers, **options)

    def _next_url(self, response, url: str, file: PartialFile, deadline: float) -> str | None:
        """Where to ask next; None where the clip's bytes follow."""
        status, headers, length = response.status, response.headers, response.length_remaining
        if status not in (200, 206) and length is not None and length < 2**20:
            sum(map(len, self._chunks(response, deadline)))  # The connection can be used again.
        if location := response.get_redirect_location():
            # Headers are read as Latin-1, but URLs are UTF-8.
            return urljoin(url, location.encode("latin-1", "replace").decode("utf-8", "replace"))
        if status == 407:
            why = "the proxy to accept the user and password of its URL. Received: HTTP 407"
            raise ClipError("unreachable", f"expected {why}")
        if status in (408, 425, 429) or status >= 500:
            again = RetryableError(f"HTTP {status}")
            with contextlib.suppress(urllib3.exceptions.InvalidHeader):
                again.after = urllib3.Retry().get_retry_after(response) or 0.0
            raise again
        if status in (206, 416) and file.tag:
            span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", headers.get("Content-Range", ""))
            if span and int(span[1]) == file.size and _tag(headers, span[2]) == file.tag:
                return None
            file.clear()  # It is of another version.
            return url
        if status != 200:
            kind = _KINDS.get(status, "unreachable")
            raise ClipError(kind, f"expected a clip. Received: HTTP {status}")
        file.clear(_tag(headers, length))
        return None

    def _read(self, response, file: PartialFile, deadline: float) -> None:
        coding = response.headers.get("Content-Encoding", "").lower()
        if set(re.split(r",\s*", coding)) - {"", "identity", *response.CONTENT_DECODERS}:
            raise ClipError("unreachable", f"expected plain bytes. Received: {coding} ones")
        size, limit = file.size, self.max_bytes
        with writing(file.path), open(file.path, "ab") as part:
            for data in self._chunks(response, deadline):
                size += len(data)
                if size + (response.length_remaining or 0) > limit:
                    raise ClipError("too-big", f"expected at most {limit:,} bytes. Received: more")
                part.write(data)
        if not size and "Content-Length" in response.headers:
            raise ClipError("not-a-clip", "expected a clip. Received: no bytes at all")
        if not size or size != (file.total or size):
            raise RetryableError(f"a body that ends after {size:,} bytes")

    def _chunks(self, response, deadline: float) -> Iterator[bytes]:
        # read1 returns what has come, so a body that drips ends at the deadline too.
        packed = "Content-Encoding" in response.headers  # It may unpack to a thousand times that.
        while data := response.read1(2**14 if packed else 2**20, decode_content=packed):
            yield data
            if self.closed.is_set() or time.monotonic() > deadline:
                raise RetryableError("no end within the time of an attempt")


def _tag(headers, total: int | str | None) -> str:
    etag = headers.get("ETag", "W/")
    version = headers.get("Last-Modified") if etag.startswith("W/") else etag
    if not version or not total or "Content-Encoding" in headers:
        return ""
    return f"{hashlib.sha256(version.encode()).hexdigest()[:12]}-{total}"
