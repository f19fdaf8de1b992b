"""A local HTTP server that does as each test tells it, and remembers what it was asked."""

import contextlib
import functools
import gzip
import http.server
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


class Server(http.server.ThreadingHTTPServer):
    """Answers each path by its script; the last answer of a script is given ever after.

    Attributes:
        scripts: Paths to answers.
        asked: `(path, headers)` of every request, in order of arrival.
        most_at_once: The most requests that were answered at the same time.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.scripts: dict[str, list[Answer]] = {}
        self.asked: list[tuple[str, dict]] = []
        self.most_at_once = self._at_once = 0
        self.lock = threading.Lock()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    def script(self, path: str, *answers: Answer) -> str:
        """Sets what a path answers; its URL."""
        self.scripts[path] = list(answers)
        return self.url(path)

    def times(self, path: str) -> int:
        return sum(asked == path for asked, _ in self.asked)

    def handle_error(self, request, client_address):
        """Clients that hang up early are part of the tests."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        server = self.server
        with server.lock:
            server.asked.append((self.path, dict(self.headers)))
            server._at_once += 1
            server.most_at_once = max(server.most_at_once, server._at_once)
            script = server.scripts.get(self.path, [status(404)])
            answer = script.pop(0) if len(script) > 1 else script[0]
        try:
            answer(self)
        finally:
            with server.lock:
                server._at_once -= 1

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """A server for the length of a `with` block."""
    server = Server()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def _answer(write: Callable) -> Callable[..., Answer]:
    """From a function that answers, given the handler first, to one that makes such answers."""

    @functools.wraps(write)
    def made(*arguments, **options) -> Answer:
        return lambda handler: write(handler, *arguments, **options)

    return made


def _send(handler, code: int, headers: dict, data: bytes = b"") -> None:
    handler.send_response(code)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(data)


@_answer
def status(handler, code: int, **headers: str) -> None:
    """A status with a short text; `Retry_After="1"` makes a header of a keyword."""
    _send(handler, code, headers | {"Content-Length": "5"}, b"sorry")


@_answer
def body(handler, data: bytes, code: int = 200, **headers: str) -> None:
    """The bytes, whatever range was asked for."""
    _send(handler, code, {"Content-Length": str(len(data))} | headers, data)


@_answer
def ranged(handler, data: bytes, version: str = '"v1"', cut: int | None = None) -> None:
    """The bytes asked for; with `cut` the connection breaks off after so many of them."""
    start = 0
    if "Range" in handler.headers:
        start = int(handler.headers["Range"].removeprefix("bytes=").split("-")[0])
    if start >= len(data):
        return _send(handler, 416, {"Content-Length": "0"})
    part = data[start:]
    headers = {"Content-Length": str(len(part)), "ETag": version}
    if start:
        headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
    _send(handler, 206 if start else 200, headers, part[:cut])
    handler.close_connection = handler.close_connection or cut is not None
    return None


@_answer
def short(handler, data: bytes, **headers: str) -> None:
    """Promises more bytes than come."""
    _send(handler, 200, {"Content-Length": str(len(data) + 1000)} | headers, data)
    handler.close_connection = True


@_answer
def reset(handler, data: bytes) -> None:
    """Breaks off in the middle, with a TCP reset."""
    _send(handler, 200, {"Content-Length": str(len(data))}, data[: len(data) // 2])
    handler.wfile.flush()
    linger = struct.pack("ii", 1, 0)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.connection.close()
    handler.close_connection = True


@_answer
def lengthless(handler, data: bytes) -> None:
    """No Content-Length: the end of the connection is the end of the body."""
    _send(handler, 200, {"Connection": "close"}, data)
    handler.close_connection = True


@_answer
def chunked(handler, data: bytes, size: int = 1000) -> None:
    """In pieces, each with its length."""
    _send(handler, 200, {"Transfer-Encoding": "chunked"})
    for start in range(0, len(data), size):
        piece = data[start : start + size]
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
    handler.wfile.write(b"0\r\n\r\n")


@_answer
def drip(handler, data: bytes, pause: float) -> None:
    """A byte at a time."""
    _send(handler, 200, {"Content-Length": str(len(data))})
    for number in range(len(data)):
        handler.wfile.write(data[number : number + 1])
        time.sleep(pause)


@_answer
def drip_headers(handler, seconds: float) -> None:
    """Headers that don't end for a while."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    for _ in range(int(seconds / 0.02)):
        handler.wfile.write(b"x")
        time.sleep(0.02)
    handler.close_connection = True


@_answer
def hang(handler, seconds: float) -> None:
    """Nothing at all for a while."""
    time.sleep(seconds)
    handler.close_connection = True


@functools.cache
def bomb(megabytes: int) -> Answer:
    """A small answer that unpacks to a large one."""
    return body(gzip.compress(bytes(megabytes * 2**20), 1), Content_Encoding="gzip")
