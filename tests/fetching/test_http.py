import gzip
import ssl
import time
import zlib
from base64 import b64encode
from pathlib import Path

import pytest
from helpers import scripted_server as scripted

from v2t_lib.errors import ClipError, DataError
from v2t_lib.fetching.http import Client, RetryableError
from v2t_lib.fetching.layout import PartialFile

DATA = bytes(range(256)) * 40


@pytest.fixture
def server():
    with scripted.serving() as server:
        yield server


@pytest.fixture(scope="module")
def client():
    return Client(max_bytes=50_000, connect_timeout=2, read_timeout=1)


@pytest.fixture
def file(tmp_path):
    return PartialFile(tmp_path, "clip-0")


def content(file: PartialFile) -> bytes:
    return file.path.read_bytes()


@pytest.mark.parametrize(
    "answer",
    [
        scripted.body(DATA),
        scripted.lengthless(DATA),
        scripted.chunked(DATA),
        scripted.ranged(DATA),
        scripted.body(gzip.compress(DATA), Content_Encoding="gzip"),
        scripted.body(zlib.compress(DATA), Content_Encoding="deflate"),
        scripted.body(gzip.compress(gzip.compress(DATA)), Content_Encoding="gzip, gzip"),
    ],
    ids=["plain", "lengthless", "chunked", "tagged", "gzip", "deflate", "twice"],
)
def test_every_way_of_sending_arrives(server, client, file, answer):
    client.get(server.script("/a", answer), file)
    assert content(file) == DATA and file.size == len(DATA)
    headers = server.asked[0][1]
    assert headers["Accept-Encoding"] == "identity" and headers["User-Agent"].startswith("v2t/")


@pytest.mark.parametrize(
    ("code", "kind"),
    [(404, "gone"), (410, "gone"), (403, "forbidden"), (451, "forbidden"), (400, "unreachable")],
)
def test_some_answers_are_final(server, client, file, code, kind):
    with pytest.raises(ClipError, match=f"HTTP {code}") as error:
        client.get(server.script("/a", scripted.status(code)), file)
    assert error.value.kind == kind and not file.path.exists()


def test_an_empty_body_is_no_clip(server, client, file):
    with pytest.raises(ClipError, match="no bytes at all") as error:
        client.get(server.script("/a", scripted.body(b"")), file)
    assert error.value.kind == "not-a-clip"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (scripted.status(500), "HTTP 500"),
        (scripted.status(503), "HTTP 503"),
        (scripted.short(DATA), "Incomplete|10,240 of"),
        (scripted.reset(DATA), "reset|Incomplete"),
        (scripted.hang(1.5), "timed out"),
        (scripted.body(b"\x1f\x8bnonsense", Content_Encoding="gzip"), "failed to decode"),
        (scripted.short(gzip.compress(DATA), Content_Encoding="gzip"), "Incomplete"),
    ],
)
def test_others_are_worth_another_attempt(server, client, file, answer, message):
    with pytest.raises(RetryableError, match=message) as error:
        client.get(server.script("/a", answer), file)
    assert error.value.after == 0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7), ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("soon", 0), ("\xb2", 0)],
)
def test_retry_after_is_seconds_or_a_date(server, client, file, value, seconds):
    with pytest.raises(RetryableError) as error:
        client.get(server.script("/a", scripted.status(429, Retry_After=value)), file)
    assert error.value.after == seconds


def test_a_slow_drip_meets_the_deadline(server, client, file):
    url = server.script("/a", scripted.drip(DATA, 0.02))
    start = time.monotonic()
    with pytest.raises(RetryableError, match="no end within"):
        client.get(url, file, start + 0.4)
    assert 0.3 < time.monotonic() - start < 2 and 0 < file.size < 100


def test_redirects_are_followed_but_not_for_ever(server, client, file):
    server.script("/b", scripted.status(307, Location="/caf\u00c3\u00a9"))
    server.script("/caf%C3%A9", scripted.body(DATA))
    url = client.get(server.script("/a", scripted.status(302, Location="/b")), file)
    assert url == server.url("/caf\u00e9") and content(file) == DATA
    with pytest.raises(ClipError, match="expected at most 10 redirects"):
        client.get(server.script("/loop", scripted.status(302, Location="/loop")), file)
    assert server.times("/loop") == 11


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/a", "data:,a"])
def test_redirects_lead_nowhere_but_to_http(server, client, file, location):
    with pytest.raises(ClipError, match="expected an http or https URL") as error:
        client.get(server.script("/a", scripted.status(302, Location=location)), file)
    assert error.value.kind == "unreachable" and not file.path.exists()


def test_a_redirect_to_nonsense_is_final(server, client, file):
    answer = scripted.status(302, Location="http://[::1/a.gif")
    with pytest.raises(ClipError, match="expected an http or https URL") as error:
        client.get(server.script("/a", answer), file)
    assert error.value.kind == "unreachable"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://localhost/a", "http://"])
def test_only_http_is_asked(client, file, url):
    with pytest.raises(ClipError, match="http or https") as error:
        client.get(url, file)
    assert error.value.kind == "unreachable"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a", "http://[::1/a", "http://a b/c"])
def test_no_server_is_unreachable_or_worth_another_attempt(client, file, url):
    with pytest.raises((RetryableError, ClipError)) as error:
        client.get(url, file)
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
def test_too_much_is_refused_while_it_comes(server, client, file, answer):
    with pytest.raises(ClipError, match="50,000 bytes") as error:
        client.get(server.script("/a", answer), file)
    assert error.value.kind == "too-big" and file.size <= 50_000


def test_a_bomb_is_refused_before_it_unpacks(server, client, file):
    url = server.script("/a", scripted.bomb(110))
    start = time.monotonic()
    with pytest.raises(ClipError, match="50,000 bytes"):
        client.get(url, file)
    assert time.monotonic() - start < 1


@pytest.mark.parametrize("coding", ["compress", "gzip, rot13"])
def test_an_unknown_coding_is_refused(server, client, file, coding):
    with pytest.raises(ClipError, match=coding.split()[-1]):
        client.get(server.script("/a", scripted.body(DATA, Content_Encoding=coding)), file)


def test_headers_have_to_end(server, client, file, monkeypatch):
    monkeypatch.setattr("v2t_lib.fetching.http.HEADER_SECONDS", 0.2)
    start = time.monotonic()
    with pytest.raises(RetryableError):
        client.get(server.script("/a", scripted.drip_headers(1.0)), file)
    assert 0.2 <= time.monotonic() - start < 0.8


def test_a_server_nobody_vouches_for_is_not_trusted(server, client, file):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).parents[1] / "helpers" / "untrusted.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.script("/a", scripted.body(DATA))
    with pytest.raises(RetryableError, match="CERTIFICATE_VERIFY_FAILED"):
        client.get(server.url("/a").replace("http:", "https:"), file)
    assert not server.asked


def test_proxies_of_the_environment_are_used(server, file, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url(""))
    monkeypatch.setenv("no_proxy", "elsewhere.example")
    server.script("http://clips.example/a", scripted.body(DATA))
    client = Client(connect_timeout=1)
    client.get("http://clips.example/a", file)
    assert content(file) == DATA
    with pytest.raises(RetryableError):
        client.get("http://elsewhere.example:1/a", file)
    assert server.times("http://clips.example/a") == len(server.asked) == 1


def test_users_and_passwords_are_sent_to_proxies_and_servers(server, file, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url("").replace("http://", "me:p%40ss@"))
    monkeypatch.delenv("no_proxy", raising=False)
    server.script("http://clips.example/a", scripted.body(DATA))
    Client().get("http://you:secret@clips.example/a", file)
    headers = {name.lower(): value for name, value in server.asked[0][1].items()}
    assert headers["proxy-authorization"] == "Basic " + b64encode(b"me:p@ss").decode()
    assert headers["authorization"] == "Basic " + b64encode(b"you:secret").decode()


def test_a_proxy_that_refuses_is_named(server, file, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url(""))
    monkeypatch.delenv("no_proxy", raising=False)
    server.script("http://clips.example/a", scripted.status(407))
    with pytest.raises(ClipError, match=r"expected the proxy to accept.*HTTP 407") as error:
        Client().get("http://clips.example/a", file)
    assert error.value.kind == "unreachable"


def test_connections_and_nothing_else_are_kept(server, client, tmp_path):
    answers = [scripted.status(404), scripted.body(DATA, Set_Cookie="a=b"), scripted.body(DATA)]
    url, ports = server.script("/a", *answers), set()
    server.process_request = lambda request, address: (
        ports.add(address),
        type(server).process_request(server, request, address),
    )
    for _ in answers:
        file = PartialFile(tmp_path, "clip")
        try:
            client.get(url, file)
        except ClipError as error:
            assert error.kind == "gone"
    assert server.times("/a") == 3 and len(ports) == 1
    assert "Cookie" not in server.asked[2][1]


def test_a_part_goes_on_where_it_broke_off(server, client, tmp_path):
    url = server.script("/a", scripted.ranged(DATA, cut=4000), scripted.ranged(DATA))
    with pytest.raises(RetryableError):
        client.get(url, PartialFile(tmp_path, "clip-0"))
    (part,) = tmp_path.iterdir()
    second = PartialFile.found(tmp_path, "clip-0", part.name)
    assert (second.size, second.total) == (4000, len(DATA))
    client.get(url, second)
    assert content(second) == DATA and server.asked[1][1]["Range"] == "bytes=4000-"
    assert [path.name for path in tmp_path.iterdir()] == [part.name]


@pytest.mark.parametrize("again", [scripted.body(DATA), scripted.ranged(DATA, '"v2"')])
def test_a_part_of_another_version_or_without_ranges_starts_anew(
    server, client, file, again, tmp_path
):
    old = scripted.ranged(bytes(len(DATA)), '"v1"', cut=4000)
    url = server.script("/a", old, again)
    with pytest.raises(RetryableError):
        client.get(url, file)
    client.get(url, file)
    assert content(file) == DATA and len(list(tmp_path.iterdir())) == 1


def test_a_range_that_is_not_there_starts_anew(server, client, file):
    url = server.script("/a", scripted.ranged(DATA[:100]))
    file.tag = "0123456789ab-5000"
    file.path.write_bytes(DATA[:4000])
    client.get(url, file)
    assert content(file) == DATA[:100]
    assert [headers.get("Range") for _, headers in server.asked] == ["bytes=4000-", None]


def test_without_a_version_nothing_is_resumed(server, client, file, tmp_path):
    for _ in range(2):
        with pytest.raises(RetryableError):
            client.get(server.script("/a", scripted.short(DATA)), file)
    client.get(server.script("/a", scripted.body(DATA)), file)
    assert content(file) == DATA and all("Range" not in headers for _, headers in server.asked)
    (tmp_path / "clip-0.part").write_bytes(b"of a run that was killed")
    again = PartialFile.found(tmp_path, "clip-0", "clip-0.part")
    client.get(server.url("/a"), again)
    assert content(again) == DATA


def test_a_full_disk_is_no_verdict(server, client, file, disk_of):
    with disk_of(5000), pytest.raises(DataError, match=r"File too large; .* same command again"):
        client.get(server.script("/a", scripted.body(DATA)), file)
