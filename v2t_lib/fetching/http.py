"""One request: a clip's bytes from an http(s) URL, within limits of size and time.

What fails is one of three: `ClipError` where trying again can't help, `Again` where it can, and
`Moved` where the server names another place. Redirects are never followed unseen.
"""

import contextlib
import email.utils
import hashlib
import re
import ssl
import threading
import time
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from v2t_lib import __version__
from v2t_lib.clips.limits import MAX_BYTES
from v2t_lib.errors import ClipError, writing

CHUNK = 2**20
#: The server decides, and may decide otherwise later.
_RETRIED = (408, 425, 429)
_FINAL = {404: "gone", 410: "gone", 401: "forbidden", 403: "forbidden", 451: "forbidden"}
_HEADERS = {"User-Agent": f"v2t/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}


class RetryableError(Exception):
    """What another attempt may mend.

    Args:
        why: What came.
        after: Seconds that the server asks to wait; None where it doesn't.
        now: Whether to ask again at once, without what made the trouble.
    """

    def __init__(self, why: object, after: float | None = None, now: bool = False):
        super().__init__(why)
        self.why, self.after, self.now = str(why), after, now


class Moved(Exception):
    """The server names another URL."""

    def __init__(self, url: str):
        super().__init__(url)
        self.url = url


class Body:
    """The bytes of one clip that have come so far, in a file `KEY.TAG.part`.

    The tag names the version that they belong to and its size, so that a later request, of this
    run or another, can go on with it; there is none where the server tells nothing to know a
    version by.

    Args:
        folder: Where.
        key: The clip's name, fit for files.
        found: The name of such a file that is there already, or "".

    Attributes:
        size: How many bytes there are.
        tag: Which version's.
    """

    def __init__(self, folder: Path, key: str, found: str = ""):
        self._folder, self._key, self._file = folder, key, None
        self.size, self.tag = 0, ""
        if match := re.fullmatch(re.escape(key) + r"\.([0-9a-f]{12}-\d+)\.part", found):
            self.tag = match[1]
            self.size = (folder / found).stat().st_size
        elif found:
            (folder / found).unlink(missing_ok=True)

    @property
    def path(self) -> Path:
        """The file."""
        return self._folder / ".".join(filter(None, (self._key, self.tag, "part")))

    @property
    def total(self) -> int:
        """How many bytes the version has; 0 where there is no tag."""
        return int(self.tag.rpartition("-")[2] or 0)

    def restart(self, tag: str = "") -> None:
        """Forgets all bytes; those to come belong to `tag`."""
        if self.size:
            self.discard()
        self.size, self.tag = 0, tag

    def write(self, data: bytes) -> None:
        """Adds bytes.

        Raises:
            DataError: The disk takes no more.
        """
        with writing(self.path):
            if self._file is None:
                mode = "ab" if self.size else "wb"
                self._file = open(self.path, mode, buffering=0)  # noqa: SIM115
            while data:
                written = self._file.write(data)
                self.size += written
                data = data[written:]

    def close(self) -> None:
        """Closes the file and leaves it there."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def discard(self) -> None:
        """Closes the file and removes it."""
        self.close()
        self.path.unlink(missing_ok=True)


def _seconds(text: str | None) -> float | None:
    """`Retry-After` in seconds, of a number or a date; None where it says nothing."""
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def _tag(headers, total: int | None) -> str:
    version = headers.get("ETag", "")
    version = headers.get("Last-Modified", "") if version[:2] in ("", "W/") else version
    if not version or not total:
        return ""
    return f"{hashlib.sha256(version.encode()).hexdigest()[:12]}-{total}"


def _plain(data: bytes, decoder, room: int) -> bytes:
    """Undoes the server's compression, up to one byte more than there is room for."""
    if decoder is None:
        return data
    try:
        return decoder.decompress(data, room + 1)
    except zlib.error as error:
        raise RetryableError(f"a compressed answer that is broken ({error})") from None


def _trusted() -> ssl.SSLContext:
    """Trusts whom the system trusts, and, for systems that say nothing, whom browsers do."""
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _too_big(limit: int) -> ClipError:
    return ClipError("too-big", f"expected at most {limit:,} bytes. Received: more")


class Client:
    """Asks for clips, over connections that are kept.

    Args:
        connections: Kept a host.
        max_bytes: The largest clip.
        connect_timeout: Seconds to get through to a server.
        read_timeout: Seconds that a server may be silent.
    """

    def __init__(
        self,
        connections: int = 8,
        max_bytes: int = MAX_BYTES,
        connect_timeout: float = 10.0,
        read_timeout: float = 30.0,
    ):
        import urllib3

        self._max_bytes = max_bytes
        timeout = urllib3.Timeout(connect=connect_timeout, read=read_timeout)
        self._options = {
            "maxsize": connections,
            "num_pools": 64,
            "retries": False,
            "timeout": timeout,
        }
        self._proxies = urllib.request.getproxies()
        self._pools, self._lock = {}, threading.Lock()

    def _pool(self, url: str):
        """What keeps the connections of a URL's scheme, through a proxy where one is set."""
        import urllib3

        parts = urlsplit(url)
        proxy = self._proxies.get(parts.scheme, "")
        if proxy and urllib.request.proxy_bypass(parts.hostname):
            proxy = ""
        with self._lock:
            if (parts.scheme, proxy) not in self._pools:
                options = self._options
                if parts.scheme == "https":
                    options = options | {"ssl_context": _trusted()}
                self._pools[parts.scheme, proxy] = (
                    urllib3.ProxyManager(proxy, **options)
                    if proxy
                    else urllib3.PoolManager(**options)
                )
            return self._pools[parts.scheme, proxy]

    def get(self, url: str, body: Body, deadline: float = float("inf")) -> None:
        """Makes one request and reads its answer into `body`, after what that holds already.

        Args:
            url: Where.
            body: Where to.
            deadline: When to give up, as `time.monotonic` counts.

        Raises:
            ClipError: `gone`, `forbidden`, `too-big`, or `unreachable` for what isn't HTTP.
            Again: Another attempt may do better.
            Moved: The server names another URL.
            DataError: The disk takes no more.
        """
        import urllib3

        if not re.match(r"https?://[^/]", url, re.IGNORECASE):
            raise ClipError(
                "unreachable", f"expected an http or https URL. Received: {url[:200]!r}"
            )
        rest = {"Range": f"bytes={body.size}-"} if body.size and body.tag else {}
        try:
            with contextlib.closing(
                self._pool(url).request(
                    "GET", url, headers=_HEADERS | rest, redirect=False, preload_content=False
                )
            ) as response:
                self._check(response, url, body, deadline)
                self._read(response, body, deadline)
            if not body.size:
                raise ClipError("not-a-clip", "expected a clip. Received: no bytes at all")
        except ValueError as error:
            raise ClipError("unreachable", f"expected a URL. Received: {error}") from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise RetryableError(f"{type(error).__name__}: {error}"[:300]) from None
        finally:
            body.close()

    def _check(self, response, url: str, body: Body, deadline: float) -> None:
        """Raises unless a body follows, and makes `body` ready for it."""
        status, headers = response.status, response.headers
        if status in (301, 302, 303, 307, 308) and "Location" in headers:
            self._drain(response, deadline)
            raise Moved(urljoin(url, headers["Location"]))
        if status in _FINAL:
            self._drain(response, deadline)
            raise ClipError(_FINAL[status], f"expected a clip. Received: HTTP {status}")
        if status in _RETRIED or status >= 500:
            self._drain(response, deadline)
            raise RetryableError(f"HTTP {status}", _seconds(headers.get("Retry-After")))
        length = headers.get("Content-Length", "")
        length = int(length) if length.isdecimal() else None
        if status == 206 and body.size and "Content-Encoding" not in headers:
            span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", headers.get("Content-Range", ""))
            if span and int(span[1]) == body.size and _tag(headers, int(span[2])) == body.tag:
                return
        if status in (206, 416):
            body.restart()
            raise RetryableError(f"HTTP {status} for another version of the clip", now=True)
        if status != 200:
            raise ClipError("unreachable", f"expected a clip. Received: HTTP {status}")
        if (length or 0) > self._max_bytes:
            raise _too_big(self._max_bytes)
        body.restart(_tag(headers, length if "Content-Encoding" not in headers else None))

    def _read(self, response, body: Body, deadline: float) -> None:
        coding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if coding not in ("identity", "", "gzip", "x-gzip", "deflate"):
            raise ClipError("unreachable", f"expected plain bytes. Received: {coding} ones")
        # 47 is zlib's word for gzip or zlib, whichever the header says.
        decoder = zlib.decompressobj(47) if coding not in ("identity", "") else None
        for data in self._chunks(response, deadline):
            while data:
                room = self._max_bytes - body.size
                plain = _plain(data, decoder, room)
                if len(plain) > room:
                    raise _too_big(self._max_bytes)
                body.write(plain)
                data = decoder.unconsumed_tail if decoder else b""
        if decoder and not decoder.eof:
            raise RetryableError("a compressed answer that ends early")
        if body.total and body.size != body.total:
            raise RetryableError(f"{body.size:,} of {body.total:,} bytes")

    @staticmethod
    def _chunks(response, deadline: float) -> Iterator[bytes]:
        # read1 returns with what has come, so that a slow drip meets the deadline too.
        while data := response.read1(CHUNK, decode_content=False):
            yield data
            if time.monotonic() > deadline:
                raise RetryableError("no end within the time of an attempt")

    def _drain(self, response, deadline: float) -> None:
        """Reads a short answer to its end, so that its connection can be used again."""
        length = response.headers.get("Content-Length", "")
        if length.isdecimal() and int(length) <= CHUNK:
            for _ in self._chunks(response, deadline):
                pass

    def close(self) -> None:
        """Closes the connections that wait for their next request."""
        for pool in self._pools.values():
            pool.clear()
