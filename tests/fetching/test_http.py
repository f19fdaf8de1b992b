import gzip
import ssl
import time
import zlib
from pathlib import Path

import pytest
from helpers import scripted_server as scripted

from v2t_lib.errors import ClipError, DataError
from v2t_lib.fetching.http import Body, Client, Moved, RetryableError

DATA = bytes(range(256)) * 40


@pytest.fixture
def server():
    with scripted.serving() as server:
        yield server


@pytest.fixture
def client():
    client = Client(max_bytes=50_000, connect_timeout=2, read_timeout=0.5)
    yield client
    client.close()


@pytest.fixture
def body(tmp_path):
    return Body(tmp_path, "clip-0")


def content(body: Body) -> bytes:
    return body.path.read_bytes()


@pytest.mark.parametrize(
    "answer",
    [
        scripted.body(DATA),
        scripted.lengthless(DATA),
        scripted.chunked(DATA),
        scripted.ranged(DATA),
        scripted.body(gzip.compress(DATA), Content_Encoding="gzip"),
        scripted.body(zlib.compress(DATA), Content_Encoding="deflate"),
    ],
    ids=["plain", "lengthless", "chunked", "tagged", "gzip", "deflate"],
)
def test_every_way_of_sending_arrives(server, client, body, answer):
    client.get(server.script("/a", answer), body)
    assert content(body) == DATA and body.size == len(DATA)
    headers = server.asked[0][1]
    assert headers["Accept-Encoding"] == "identity" and headers["User-Agent"].startswith("v2t/")


@pytest.mark.parametrize(
    ("code", "kind"),
    [(404, "gone"), (410, "gone"), (403, "forbidden"), (451, "forbidden"), (400, "unreachable")],
)
def test_some_answers_are_final(server, client, body, code, kind):
    with pytest.raises(ClipError, match=f"HTTP {code}") as error:
        client.get(server.script("/a", scripted.status(code)), body)
    assert error.value.kind == kind and not body.path.exists()


def test_an_empty_body_is_no_clip(server, client, body):
    with pytest.raises(ClipError, match="no bytes at all") as error:
        client.get(server.script("/a", scripted.body(b"")), body)
    assert error.value.kind == "not-a-clip"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (scripted.status(500), "HTTP 500"),
        (scripted.status(503), "HTTP 503"),
        (scripted.short(DATA), "Incomplete|10,240 of"),
        (scripted.reset(DATA), "reset|Incomplete"),
        (scripted.hang(1.5), "timed out"),
        (scripted.body(b"\x1f\x8bnonsense", Content_Encoding="gzip"), "broken"),
        (scripted.body(gzip.compress(DATA)[:99], Content_Encoding="gzip"), "early"),
    ],
)
def test_others_are_worth_another_attempt(server, client, body, answer, message):
    with pytest.raises(RetryableError, match=message) as error:
        client.get(server.script("/a", answer), body)
    assert error.value.after is None and not error.value.now


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7), ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("soon", None), ("\xb2", None)],
)
def test_retry_after_is_seconds_or_a_date(server, client, body, value, seconds):
    with pytest.raises(RetryableError) as error:
        client.get(server.script("/a", scripted.status(429, Retry_After=value)), body)
    assert error.value.after == seconds


def test_a_slow_drip_meets_the_deadline(server, client, body):
    url = server.script("/a", scripted.drip(DATA, 0.02))
    start = time.monotonic()
    with pytest.raises(RetryableError, match="no end within"):
        client.get(url, body, start + 0.4)
    assert 0.3 < time.monotonic() - start < 2 and 0 < body.size < 100


def test_redirects_are_named_and_not_followed(server, client, body):
    for location, target in (("/b", server.url("/b")), ("file:///etc/passwd",) * 2):
        answer = scripted.status(302, Location=location)
        with pytest.raises(Moved) as moved:
            client.get(server.script("/a", answer), body)
        assert moved.value.url == target
    assert server.times("/b") == 0


def test_a_redirect_to_nonsense_is_final(server, client, body):
    answer = scripted.status(302, Location="http://[::1/a.gif")
    with pytest.raises(ClipError, match="expected a URL") as error:
        client.get(server.script("/a", answer), body)
    assert error.value.kind == "unreachable"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://localhost/a", "http://", "a.gif"])
def test_only_http_is_asked(client, body, url):
    with pytest.raises(ClipError, match="http or https") as error:
        client.get(url, body)
    assert error.value.kind == "unreachable"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a", "http://[::1/a", "http://a b/c"])
def test_no_server_is_unreachable_or_worth_another_attempt(client, body, url):
    with pytest.raises((RetryableError, ClipError)) as error:
        client.get(url, body)
    assert getattr(error.value, "kind", "unreachable") == "unreachable"


@pytest.mark.parametrize(
    "answer",
    [
        scripted.body(bytes(50_001)),
        scripted.chunked(bytes(60_000)),
        scripted.lengthless(bytes(10**6)),
    ],
    ids=["promised", "chunked", "lengthless"],
)
def test_too_much_is_refused_while_it_comes(server, client, body, answer):
    with pytest.raises(ClipError, match="50,000 bytes") as error:
        client.get(server.script("/a", answer), body)
    assert error.value.kind == "too-big" and body.size <= 50_000


def test_a_bomb_is_refused_before_it_unpacks(server, client, body):
    url = server.script("/a", scripted.bomb(500))
    start = time.monotonic()
    with pytest.raises(ClipError, match="50,000 bytes"):
        client.get(url, body)
    assert time.monotonic() - start < 1


def test_a_coding_nobody_asked_for_is_refused(server, client, body):
    url = server.script("/a", scripted.body(DATA, Content_Encoding="gzip, gzip"))
    with pytest.raises(ClipError, match="gzip, gzip"):
        client.get(url, body)


def test_a_server_nobody_vouches_for_is_not_trusted(server, client, body):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).parents[1] / "helpers" / "untrusted.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.script("/a", scripted.body(DATA))
    with pytest.raises(RetryableError, match="CERTIFICATE_VERIFY_FAILED"):
        client.get(server.url("/a").replace("http:", "https:"), body)
    assert not server.asked


def test_proxies_of_the_environment_are_used(server, body, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url(""))
    monkeypatch.setenv("no_proxy", "elsewhere.example")
    server.script("http://clips.example/a", scripted.body(DATA))
    client = Client(connect_timeout=1)
    client.get("http://clips.example/a", body)
    assert content(body) == DATA
    with pytest.raises(RetryableError):
        client.get("http://elsewhere.example:1/a", body)
    assert server.times("http://clips.example/a") == len(server.asked) == 1
    client.close()


def test_connections_and_nothing_else_are_kept(server, client, tmp_path):
    answers = [scripted.status(404), scripted.body(DATA, Set_Cookie="a=b"), scripted.body(DATA)]
    url, ports = server.script("/a", *answers), set()
    server.process_request = lambda request, address: (
        ports.add(address),
        type(server).process_request(server, request, address),
    )
    for _ in answers:
        body = Body(tmp_path, "clip")
        try:
            client.get(url, body)
        except ClipError as error:
            assert error.kind == "gone"
    assert server.times("/a") == 3 and len(ports) == 1
    assert "Cookie" not in server.asked[2][1]


def test_a_part_goes_on_where_it_broke_off(server, client, tmp_path):
    url = server.script("/a", scripted.ranged(DATA, cut=4000), scripted.ranged(DATA))
    first = Body(tmp_path, "clip-0")
    with pytest.raises(RetryableError):
        client.get(url, first)
    first.close()
    (part,) = tmp_path.iterdir()
    second = Body(tmp_path, "clip-0", part.name)
    assert (second.size, second.total) == (4000, len(DATA))
    client.get(url, second)
    assert content(second) == DATA and server.asked[1][1]["Range"] == "bytes=4000-"
    assert [path.name for path in tmp_path.iterdir()] == [part.name]


@pytest.mark.parametrize("again", [scripted.body(DATA), scripted.ranged(DATA, '"v2"')])
def test_a_part_of_another_version_or_without_ranges_starts_anew(server, client, tmp_path, again):
    old = scripted.ranged(bytes(len(DATA)), '"v1"', cut=4000)
    url, body = server.script("/a", old, again), Body(tmp_path, "clip-0")
    with pytest.raises(RetryableError):
        client.get(url, body)
    try:
        client.get(url, body)
    except RetryableError as error:
        assert error.now and "another version" in error.why
        client.get(url, body)
    assert content(body) == DATA and len(list(tmp_path.iterdir())) == 1


def test_a_range_that_is_not_there_starts_anew(server, client, tmp_path):
    url = server.script("/a", scripted.ranged(DATA[:100]))
    body = Body(tmp_path, "clip-0")
    body.restart("0123456789ab-5000")
    body.write(DATA[:4000])
    with pytest.raises(RetryableError, match="416") as error:
        client.get(url, body)
    assert error.value.now
    client.get(url, body)
    assert content(body) == DATA[:100]


def test_without_a_version_nothing_is_gone_on_with(server, client, tmp_path):
    url, body = server.script("/a", scripted.short(DATA), scripted.body(DATA)), Body(tmp_path, "c")
    for _ in range(2):
        with pytest.raises(RetryableError):
            client.get(server.script("/a", scripted.short(DATA)), body)
    client.get(server.script("/a", scripted.body(DATA)), body)
    assert content(body) == DATA and all("Range" not in headers for _, headers in server.asked)
    left = tmp_path / "c.part"
    left.write_bytes(b"of a run that was killed")
    again = Body(tmp_path, "c", "c.part")
    client.get(url, again)
    assert content(again) == DATA


def test_a_full_disk_is_no_verdict(server, client, body, disk_of):
    with disk_of(5000), pytest.raises(DataError, match=r"File too large; .* same command again"):
        client.get(server.script("/a", scripted.body(DATA)), body)
