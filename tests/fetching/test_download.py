import contextlib
import gzip
import itertools
import socket
import ssl
import sys
import time
import zlib
from base64 import b64encode
from concurrent.futures import CancelledError, Future
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers import scripted_server as scripted

from v2t_lib.errors import ClipError, DataError
from v2t_lib.fetching.download import Download, Downloads, read_source
from v2t_lib.fetching.environment import trusted
from v2t_lib.fetching.http import Client, RetryPolicy

DATA = bytes(range(256)) * 8
QUICK = RetryPolicy(connections=8, per_host=8, pause=0.02, total_timeout=5.0)
ONCE = RetryPolicy(attempts=1, total_timeout=5.0)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """No file may have more than 50,000 bytes."""
    monkeypatch.setattr("v2t_lib.fetching.download.MAX_BYTES", 50_000)


def started(folder, urls, policy=QUICK) -> tuple[Downloads, list[Future]]:
    downloads = Downloads(policy, Client(connect_timeout=1, read_timeout=0.5))
    return downloads, [
        downloads.submit(url, downloads.get, url, folder / f"clip-{number}")
        for number, url in enumerate(urls)
    ]


def got(folder, urls, policy=QUICK) -> list[Download]:
    """Every source's download."""
    downloads, coming = started(folder, urls, policy)
    with contextlib.closing(downloads):
        return [download.result() for download in coming]


def one(folder, url, policy=QUICK) -> Download:
    (found,) = got(folder, [url], policy)
    return found


def test_every_source_comes_once(server, tmp_path):
    urls = [server.script(f"/{n}", scripted.body(DATA + bytes([n]))) for n in range(60)]
    found = got(tmp_path, urls)
    for number, download in enumerate(found):
        assert download.error is None and download.attempts == 1
        assert (tmp_path / f"clip-{number}").read_bytes() == DATA + bytes([number])
    assert all(server.times(f"/{n}") == 1 for n in range(60))


@pytest.mark.parametrize(
    "answer",
    [
        scripted.body(DATA),
        scripted.lengthless(DATA),
        scripted.chunked(DATA),
        scripted.body(gzip.compress(DATA), Content_Encoding="gzip"),
        scripted.body(zlib.compress(DATA), Content_Encoding="deflate"),
        scripted.body(gzip.compress(gzip.compress(DATA)), Content_Encoding="gzip, gzip"),
        scripted.body(DATA, 201),
        scripted.body(DATA, 203),
        scripted.body(DATA, 206),
        scripted.body(DATA, 206, Content_Range="bytes 0-2047/2048"),
    ],
)
def test_every_way_of_sending_arrives(server, tmp_path, answer):
    download = one(tmp_path, server.script("/a", answer))
    assert download.error is None and (tmp_path / "clip-0").read_bytes() == DATA
    headers = server.asked[0][1]
    assert headers["Accept-Encoding"] == "identity" and headers["User-Agent"].startswith("v2t/")


@pytest.mark.parametrize(
    "bad",
    [
        scripted.status(500),
        scripted.status(429, Retry_After="0"),
        scripted.status(429, Retry_After="soon"),
        scripted.status(429, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"),
        scripted.status(429, Retry_After="Fri, 31 Dec 9999999 23:59:59 GMT"),
        scripted.body(DATA, 206, Content_Range="bytes 0-2047/4096"),
        scripted.body(b""),
        scripted.body(b"", 204),
        scripted.short(DATA),
        scripted.reset(DATA),
        scripted.hang(0.7),
        scripted.ranged(DATA, cut=100),
        scripted.body(b"\x1f\x8bnonsense", Content_Encoding="gzip"),
        scripted.short(gzip.compress(DATA), Content_Encoding="gzip"),
    ],
)
def test_what_can_change_is_tried_again(server, tmp_path, bad):
    url = server.script("/a", bad, bad, scripted.body(DATA))
    download = one(tmp_path, url)
    assert download.error is None and download.attempts == 3
    assert (tmp_path / "clip-0").read_bytes() == DATA


@pytest.mark.parametrize(
    ("code", "kind"),
    [(404, "gone"), (410, "gone"), (403, "forbidden"), (451, "unreachable"), (400, "unreachable")],
)
def test_what_cannot_is_not(server, tmp_path, code, kind):
    download = one(tmp_path, server.script("/a", scripted.status(code)))
    assert download.error.kind == kind and f"HTTP {code}" in str(download.error)
    assert server.times("/a") == 1 and not (tmp_path / "clip-0").exists()


@pytest.mark.parametrize("answer", [scripted.drip(DATA, 0.05), scripted.drip_headers(5)])
def test_the_deadline_covers_slow_bodies_and_headers(server, tmp_path, answer):
    policy = RetryPolicy(pause=0.02, total_timeout=0.5)
    urls = [server.script("/a", answer), server.script("/b", scripted.body(DATA))]
    start = time.monotonic()
    found = got(tmp_path, urls, policy)
    assert found[0].error.kind == "unreachable" and 0.4 < time.monotonic() - start < 2
    assert found[1].error is None


def test_the_deadline_covers_pauses(server, tmp_path):
    policy = RetryPolicy(pause=0.02, total_timeout=0.5)
    start = time.monotonic()
    answer = scripted.status(429, Retry_After="3600")
    download = one(tmp_path, server.script("/b", answer), policy)
    assert "HTTP 429" in str(download.error) and time.monotonic() - start < 0.5


def test_a_body_without_length_that_the_deadline_cuts_off_is_not_whole(server, tmp_path):
    def endless(handler):
        scripted._send(handler, 200, {"Connection": "close"})
        with contextlib.suppress(OSError):
            while True:
                handler.wfile.write(b"x")
                time.sleep(0.02)

    policy = RetryPolicy(attempts=1, total_timeout=0.4)
    assert one(tmp_path, server.script("/a", endless), policy).error.kind == "unreachable"


def test_retry_after_and_growing_pauses_are_kept(server, tmp_path):
    moments = []

    def refuse(handler, **headers):
        moments.append(time.monotonic())
        scripted.status(429, **headers)(handler)

    answers = [lambda handler: refuse(handler, Retry_After="1"), refuse, refuse, refuse]
    url = server.script("/a", *answers)
    one(tmp_path, url, RetryPolicy(pause=0.1, attempts=4))
    first, second, third = [b - a for a, b in itertools.pairwise(moments)]
    assert first >= 1 and 0.1 <= second < 0.4 and 0.2 <= third < 0.6


def test_connections_are_bounded_in_all_and_a_host(tmp_path):
    def slow(handler):
        time.sleep(0.03)
        scripted.body(DATA)(handler)

    with scripted.serving() as one, scripted.serving() as other:
        urls = [server.script(f"/{n}", slow) for n in range(20) for server in (one, other)]
        got(tmp_path, urls, RetryPolicy(connections=5, per_host=3))
        assert one.most_at_once == 3 and 2 <= other.most_at_once <= 3
        for server in (one, other):
            server.most_at_once = 0
        got(tmp_path, urls, RetryPolicy(connections=2, per_host=3))
        assert one.most_at_once <= 2 and other.most_at_once <= 2


def test_a_slow_host_does_not_hold_up_another(tmp_path):
    with scripted.serving() as slow, scripted.serving() as quick:
        urls = [slow.script(f"/{n}", scripted.hang(1)) for n in range(4)]
        urls += [quick.script(f"/{n}", scripted.body(DATA)) for n in range(8)]
        downloads, coming = started(tmp_path, urls, RetryPolicy(connections=4, per_host=2))
        with contextlib.closing(downloads):
            assert all(download.result().error is None for download in coming[4:])
            assert not any(download.done() for download in coming[:4])


def test_redirects_lead_on_but_not_in_circles_nor_to_files(server, tmp_path):
    server.script("/there", scripted.body(DATA))
    nowhere = ("file:///etc/passwd", "ftp://127.0.0.1/a.gif")
    urls = [
        server.script("/a", scripted.status(301, Location="/b")),
        server.script("/loop", scripted.status(302, Location="/loop")),
    ]
    urls += [
        server.script(f"/{n}", scripted.status(302, Location=to)) for n, to in enumerate(nowhere)
    ]
    server.script("/b", scripted.status(307, Location=server.url("/there")))
    found = got(tmp_path, urls)
    assert found[0].error is None and found[0].url == server.url("/there")
    assert found[0].attempts == 1 and (tmp_path / "clip-0").read_bytes() == DATA
    assert found[1].error.kind == "unreachable" and server.times("/loop") == 11
    assert "expected at most 10 redirects" in str(found[1].error)
    for number in (2, 3):
        assert found[number].error.kind == "unreachable" and found[number].attempts == 1
        assert "expected an http or https URL" in str(found[number].error)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://localhost/a", "http://", "http://[::1/a"]
)
def test_only_http_is_asked(tmp_path, url):
    download = one(tmp_path, url)
    assert download.error.kind == "unreachable" and "http or https" in str(download.error)


@pytest.mark.parametrize(
    "answer",
    [
        scripted.body(bytes(50_001)),
        scripted.chunked(bytes(60_000)),
        scripted.lengthless(bytes(10**6)),
        scripted.bomb(110),
    ],
    ids=["promised", "chunked", "lengthless", "bomb"],
)
def test_too_much_is_refused_while_it_comes(server, tmp_path, answer):
    start = time.monotonic()
    download = one(tmp_path, server.script("/a", answer))
    assert download.error.kind == "too-big" and "50,000 bytes" in str(download.error)
    assert (tmp_path / "clip-0").stat().st_size <= 50_000 and time.monotonic() - start < 1


def test_redirects_keep_cookies_and_passwords_and_are_read_as_browsers_do(server, tmp_path):
    to = "/a b/\u00fc.gif".encode().decode("latin-1")  # raw UTF-8, as servers send it

    def gate(handler):
        seen = "seen=1" in handler.headers.get("Cookie", "")
        answer = scripted.status(302, Location=to if seen else "/gate", Set_Cookie="seen=1; Path=/")
        answer(handler)

    url = server.script("/gate", gate)
    server.script("/a%20b/%C3%BC.gif", scripted.body(DATA))
    download = one(tmp_path, url.replace("//", "//me:secret@"))
    assert download.error is None and download.url == server.url("/a%20b/%C3%BC.gif")
    assert all(asked["Authorization"].startswith("Basic ") for _, asked in server.asked)
    with scripted.serving() as other:
        other.script("/", scripted.body(DATA))
        server.script("/gate", scripted.status(302, Location=other.url("/"), Set_Cookie="a=b"))
        assert one(tmp_path, url.replace("//", "//me:secret@")).error is None
        ((_, asked),) = other.asked
        assert "Authorization" not in asked and server.asked[-1][1]["Authorization"]


@pytest.fixture
def https(server) -> str:
    """The URL of a file at a server whose certificate nobody vouches for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).parents[1] / "helpers" / "untrusted.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    trusted.cache_clear()
    yield server.script("/a", scripted.body(DATA)).replace("http:", "https:")
    trusted.cache_clear()


def test_a_server_nobody_vouches_for_is_not_trusted_nor_asked_twice(server, https, tmp_path):
    download = one(tmp_path, https)
    assert download.error.kind == "unreachable" and download.attempts == 1
    assert "CERTIFICATE_VERIFY_FAILED" in str(download.error) and not server.asked
    assert "SSL_CERT_FILE" in str(download.error)


@pytest.mark.parametrize(
    "name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT"]
)
def test_certificates_count_that_are_named_for_other_programs(https, tmp_path, monkeypatch, name):
    monkeypatch.setenv(name, str(Path(__file__).parents[1] / "helpers" / "untrusted.pem"))
    assert one(tmp_path, https, ONCE).error is None


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_certificates_that_cannot_be_read_are_said(https, tmp_path, monkeypatch, caplog, text):
    path = tmp_path / "company.pem"
    if text:
        path.write_text(text)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    monkeypatch.setattr("v2t_lib.progress.log.propagate", True)
    assert one(tmp_path, https, ONCE).error.kind == "unreachable"
    assert f"certificates (PEM) at {path}, as REQUESTS_CA_BUNDLE says" in caplog.text


def test_proxies_of_the_environment_are_used(server, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url("").replace("http://", "me:p%40ss@"))
    monkeypatch.setenv("no_proxy", "elsewhere.example")
    server.script("http://clips.example/a", scripted.body(DATA))
    urls = ["http://you:secret@clips.example/a", "http://elsewhere.example:1/a"]
    found = got(tmp_path, urls, ONCE)
    assert (tmp_path / "clip-0").read_bytes() == DATA and found[1].error.kind == "unreachable"
    ((path, headers),) = server.asked
    headers = {name.lower(): value for name, value in headers.items()}
    assert path == "http://clips.example/a"
    assert headers["proxy-authorization"] == "Basic " + b64encode(b"me:p@ss").decode()
    assert headers["authorization"] == "Basic " + b64encode(b"you:secret").decode()


@pytest.mark.parametrize("no_proxy", ["127.0.0.0/8", "::1, 127.0.0.1", "127.0.0.1:{}", "*"])
def test_all_proxy_counts_and_no_proxy_names_hosts_ports_and_networks(
    server, tmp_path, monkeypatch, no_proxy
):
    monkeypatch.setenv("all_proxy", server.url(""))
    monkeypatch.setenv("no_proxy", no_proxy.format(server.server_port))
    server.script("http://127.0.0.1:1/a", scripted.body(DATA))
    assert one(tmp_path, server.script("/a", scripted.body(DATA)), ONCE).error is None
    monkeypatch.setenv("no_proxy", "10.0.0.0/8, example.com")
    assert one(tmp_path, "http://127.0.0.1:1/a", ONCE).error is None


@pytest.mark.parametrize(
    ("proxy", "why"),
    [
        ("socks5://me:secret@127.0.0.1:9", "pip install pysocks"),
        ("ftp://me:secret@127.0.0.1:9", "unsupported scheme ftp"),
        ("me:sec/ret@127.0.0.1:9", "http://HOST:PORT"),
        ("http://me:secret@", "http://HOST:PORT"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_one_sentence(tmp_path, monkeypatch, proxy, why):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("all_proxy", proxy)
    (error,) = {d.error for d in got(tmp_path, ["https://clips.example/a"])}
    assert error.kind == "unreachable" and "used in all_proxy. Received: " in error.message
    assert why in error.message and "ret@" not in error.message and "me:" not in error.message


@pytest.mark.parametrize(
    ("scheme", "remote"), [("socks", True), ("socks5h", True), ("socks5", False)]
)
def test_socks_goes_through_pysocks(server, tmp_path, monkeypatch, scheme, remote):
    """PySocks is stood in for: its call is what urllib3 makes of the proxy."""
    calls = []

    def connect(address, **options):
        calls.append((address, options))
        return socket.create_connection(server.server_address)

    fake = SimpleNamespace(
        create_connection=connect, ProxyError=OSError, PROXY_TYPE_SOCKS5=2, PROXY_TYPE_SOCKS4=1
    )
    fake.__spec__ = SimpleNamespace()
    monkeypatch.setitem(sys.modules, "socks", fake)
    monkeypatch.delitem(sys.modules, "urllib3.contrib.socks", raising=False)
    monkeypatch.setenv("all_proxy", f"{scheme}://me:p%40ss@proxy.example:1080")
    server.script("/a", scripted.body(DATA))
    assert one(tmp_path, "http://clips.example/a", ONCE).error is None
    monkeypatch.delitem(sys.modules, "urllib3.contrib.socks")
    ((address, options),) = calls
    assert address == ("clips.example", 80) and options["proxy_rdns"] is remote
    assert (options["proxy_addr"], options["proxy_port"]) == ("proxy.example", 1080)
    assert (options["proxy_username"], options["proxy_password"]) == ("me", "p@ss")


def test_a_proxy_that_refuses_is_named(server, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url(""))
    monkeypatch.delenv("no_proxy", raising=False)
    server.script("http://clips.example/a", scripted.status(407))
    error = one(tmp_path, "http://clips.example/a").error
    assert error.kind == "unreachable" and "HTTP 407; give the proxy's URL its" in error.message


def test_connections_and_nothing_else_are_kept(server, tmp_path):
    answers = [scripted.status(404), scripted.body(DATA, Set_Cookie="a=b"), scripted.body(DATA)]
    url, ports = server.script("/a", *answers), set()
    server.process_request = lambda request, address: (
        ports.add(address),
        type(server).process_request(server, request, address),
    )
    got(tmp_path, [url] * 3, RetryPolicy(connections=1))
    assert server.times("/a") == 3 and len(ports) == 1
    assert "Cookie" not in server.asked[2][1]


def test_closing_ends_what_is_under_way_and_what_waits(server, tmp_path):
    """Also what is only about to ask, after a pause."""
    urls = [server.script("/a", scripted.drip(DATA, 0.01))]
    urls += [server.script("/b", scripted.status(429, Retry_After="60"))] * 20
    downloads, coming = started(tmp_path, urls, RetryPolicy(connections=2, per_host=2))
    while len(server.asked) < 2:
        time.sleep(0.01)
    start = time.monotonic()
    downloads.close()
    assert time.monotonic() - start < 1 and len(server.asked) == 2
    assert all(isinstance(download.exception(), CancelledError) for download in coming[:2])
    assert all(download.cancelled() for download in coming[2:])


def test_hosts_by_the_hundred_share_threads(server, tmp_path, monkeypatch):
    monkeypatch.setattr("v2t_lib.fetching.download.MOST_LANES", 3)
    monkeypatch.setenv("http_proxy", server.url(""))
    urls = [f"http://{number}.example/a" for number in range(20)]
    for url in urls:
        server.script(url, scripted.body(DATA))
    assert not any(download.error for download in got(tmp_path, urls))
    assert len({path for path, _ in server.asked}) == 20


def test_a_full_disk_ends_it_all(server, tmp_path, disk_of):
    urls = [server.script(f"/{n}", scripted.body(DATA)) for n in range(20)]
    with disk_of(1000), pytest.raises(DataError, match=r"File too large; .* same command again"):
        got(tmp_path, urls)


def test_one_url_is_read_the_same_way(server):
    url = server.script("/a", scripted.status(302, Location="/b"))
    server.script("/b", scripted.body(DATA))
    assert read_source(url) == DATA
    with pytest.raises(ClipError, match="HTTP 404") as error:
        read_source(server.url("/none"))
    assert error.value.kind == "gone"


@pytest.mark.parametrize("login", ["me:secret@", "me:sec/ret@", "me:se#c?ret@", "m@e:sec@ret@"])
def test_no_password_is_printed(server, login):
    url = server.script("/a", scripted.status(403)).replace("//", f"//{login}")
    with pytest.raises(ClipError, match="at http://127") as error:
        read_source(url)
    assert not any(part in str(error.value) for part in ("sec", "ret", "me:", "e@"))


@pytest.mark.parametrize("source", ["http://[", "http://127.0.0.1:1/clip.gif", "."])
def test_a_source_that_cannot_be_reached_is_named(source):
    with pytest.raises(ClipError) as error:
        read_source(source)
    assert error.value.kind == "unreachable" and f"at {source}" in error.value.message
