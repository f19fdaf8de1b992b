import contextlib
import itertools
import socket
import time
from collections.abc import Iterator

import pytest
from helpers import scripted_server as scripted

from v2t_lib.errors import ClipError, DataError
from v2t_lib.fetching.download import Download, Downloads, read_source
from v2t_lib.fetching.http import Client
from v2t_lib.fetching.layout import PartialFile
from v2t_lib.fetching.policy import RetryPolicy

DATA = bytes(range(256)) * 8
QUICK = RetryPolicy(connections=8, per_host=8, pause=0.02, attempt_timeout=0.6, total_timeout=5.0)


@pytest.fixture
def server():
    with scripted.serving() as server:
        yield server


def downloads_of(folder, urls):
    for number, url in enumerate(urls):
        yield Download(number, url, PartialFile(folder, f"clip-{number}"))


def done(downloads: Downloads) -> Iterator[Download]:
    """Each download, as it is done."""
    with contextlib.closing(downloads):
        yield from (download for download in downloads if download)


def got(folder, urls, policy=QUICK) -> dict:
    """Every source's download, by its number."""
    client = Client(connect_timeout=1, read_timeout=0.5)
    downloads = Downloads(downloads_of(folder, urls), policy, client)
    return {download.source: download for download in done(downloads)}


def one(folder, url, policy=QUICK):
    return got(folder, [url], policy)[0]


def test_every_source_comes_once(server, tmp_path):
    urls = [server.script(f"/{n}", scripted.body(DATA + bytes([n]))) for n in range(60)]
    found = got(tmp_path, urls)
    assert sorted(found) == list(range(60))
    for number, download in found.items():
        assert download.error is None and download.attempts == 1
        assert download.file.path.read_bytes() == DATA + bytes([number])
    assert all(server.times(f"/{n}") == 1 for n in range(60))


@pytest.mark.parametrize(
    "bad",
    [
        scripted.status(500),
        scripted.status(429, Retry_After="0"),
        scripted.short(DATA),
        scripted.reset(DATA),
        scripted.hang(0.7),
        scripted.drip(DATA, 0.02),
        scripted.drip_headers(1.0),
        scripted.ranged(DATA, cut=100),
    ],
    ids=["500", "429", "short", "reset", "hang", "drip", "headers", "cut"],
)
def test_what_can_change_is_tried_again(server, tmp_path, bad, monkeypatch):
    monkeypatch.setattr("v2t_lib.fetching.http.HEADER_SECONDS", 0.5)
    url = server.script("/a", bad, bad, scripted.ranged(DATA))
    download = one(tmp_path, url)
    assert download.error is None and download.attempts == 3
    assert download.file.path.read_bytes() == DATA


@pytest.mark.parametrize("code", [404, 410, 403])
def test_what_cannot_is_not(server, tmp_path, code):
    download = one(tmp_path, server.script("/a", scripted.status(code)))
    assert download.error.kind in ("gone", "forbidden") and server.times("/a") == 1


def test_patience_ends(server, tmp_path):
    download = one(tmp_path, server.script("/a", scripted.status(503)))
    assert download.error.kind == "unreachable" and "HTTP 503" in str(download.error)
    assert download.attempts == server.times("/a") == QUICK.attempts


def test_time_for_all_attempts_is_bounded(server, tmp_path):
    policy = RetryPolicy(pause=0.02, attempt_timeout=0.2, total_timeout=0.5)
    start = time.monotonic()
    download = one(tmp_path, server.script("/a", scripted.drip(DATA, 0.05)), policy)
    assert download.error.kind == "unreachable" and time.monotonic() - start < 2
    assert download.attempts in (2, 3)
    start = time.monotonic()
    answer = scripted.status(429, Retry_After="3600")
    download = one(tmp_path, server.script("/b", answer), policy)
    assert "HTTP 429" in str(download.error) and time.monotonic() - start < 0.5


def test_pauses_grow_and_are_never_the_same(server, tmp_path):
    urls = [server.script(f"/{n}", scripted.status(500)) for n in range(4)]
    moments = {url: [] for url in urls}
    for n, url in enumerate(urls):
        server.scripts[f"/{n}"] = [
            lambda handler, url=url: (
                moments[url].append(time.monotonic()),
                scripted.status(500)(handler),
            )
        ]
    got(tmp_path, urls, RetryPolicy(pause=0.1, attempts=4))
    firsts = set()
    for times in moments.values():
        pauses = [b - a for a, b in itertools.pairwise(times)]
        for number, pause in enumerate(pauses):
            assert 0.05 * 2**number <= pause < 0.1 * 2**number + 0.1
        firsts.add(round(pauses[0], 4))
    assert len(firsts) > 1


def test_retry_after_holds_for_the_whole_host(server, tmp_path):
    answered = []

    def note(handler):
        answered.append(time.monotonic())
        scripted.body(DATA)(handler)

    def slow(handler):
        time.sleep(0.1)
        scripted.body(DATA)(handler)

    # The limit is known by the time that the slow one, under way with it, makes room for others.
    urls = [server.script("/limited", scripted.status(429, Retry_After="1"), note)]
    urls += [server.script("/slow", slow), *(server.script(f"/{n}", note) for n in range(5))]
    start = time.monotonic()
    found = got(tmp_path, urls, RetryPolicy(connections=2, per_host=2, pause=0.02))
    assert all(download.error is None for download in found.values())
    assert len(answered) == 6 and min(answered) - start >= 1.0 and found[0].attempts == 2


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
        ended = []
        policy = RetryPolicy(connections=4, per_host=2, attempts=1)
        for download in done(Downloads(downloads_of(tmp_path, urls), policy)):
            ended.append(download.source)
        assert sorted(ended[:8]) == list(range(4, 12))


def test_redirects_lead_on_but_not_in_circles_nor_to_files(server, tmp_path):
    server.script("/there", scripted.body(DATA))
    urls = [
        server.script("/a", scripted.status(301, Location="/b")),
        server.script("/loop", scripted.status(302, Location="/loop")),
        server.script("/file", scripted.status(302, Location="file:///etc/passwd")),
        server.script("/ftp", scripted.status(302, Location="ftp://127.0.0.1/a.gif")),
    ]
    server.script("/b", scripted.status(307, Location=server.url("/there")))
    found = got(tmp_path, urls)
    assert found[0].error is None and found[0].url == server.url("/there")
    assert found[0].attempts == 1 and found[0].file.path.read_bytes() == DATA
    assert found[1].error.kind == "unreachable" and server.times("/loop") == 11
    for number in (2, 3):
        assert found[number].error.kind == "unreachable"
        assert "expected an http or https URL" in str(found[number].error)


def test_headers_that_never_end_hold_nothing_up(server, tmp_path, monkeypatch):
    monkeypatch.setattr("v2t_lib.fetching.http.HEADER_SECONDS", 0.2)
    urls = [server.script(f"/{n}", scripted.drip_headers(3)) for n in range(2)]
    urls += [server.script(f"/good/{n}", scripted.body(DATA)) for n in range(4)]
    start = time.monotonic()
    found = got(tmp_path, urls, RetryPolicy(connections=2, per_host=2, attempts=2, pause=0.02))
    assert time.monotonic() - start < 2.5
    kinds = [getattr(found[n].error, "kind", None) for n in range(6)]
    assert kinds == ["unreachable"] * 2 + [None] * 4


def test_a_port_where_nobody_listens_is_unreachable(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/a.gif"
    download = one(tmp_path, url)
    assert download.error.kind == "unreachable" and "refused" in str(download.error)


def test_what_nobody_takes_stops_the_network(server, tmp_path):
    urls = [server.script(f"/{n}", scripted.body(DATA)) for n in range(60)]
    downloads = Downloads(downloads_of(tmp_path, urls), RetryPolicy(connections=3, per_host=3))
    time.sleep(0.3)
    assert 3 <= len(server.asked) <= 6
    assert len(list(done(downloads))) == 60


def test_sources_are_read_a_bounded_number_ahead(server, tmp_path):
    read = []

    def urls():
        for number in range(100_000):
            read.append(number)
            yield server.script(f"/{number}", scripted.body(DATA))

    downloads = done(Downloads(downloads_of(tmp_path, urls())))
    assert [next(downloads).error for _ in range(20)] == [None] * 20
    downloads.close()
    assert len(read) < 500


def test_closing_ends_what_is_under_way(server, tmp_path):
    url = server.script("/a", scripted.drip(DATA, 0.01))
    downloads = Downloads(downloads_of(tmp_path, [url]))
    while not server.asked:
        time.sleep(0.01)
    start = time.monotonic()
    downloads.close()
    downloads._threads.shutdown(wait=True)
    assert time.monotonic() - start < 1


def test_a_full_disk_ends_it_all(server, tmp_path, disk_of):
    urls = [server.script(f"/{n}", scripted.body(DATA)) for n in range(20)]
    with disk_of(1000), pytest.raises(DataError, match="same command again"):
        got(tmp_path, urls)


def test_one_url_is_read_the_same_way(server):
    url = server.script("/a", scripted.status(302, Location="/b"))
    server.script("/b", scripted.body(DATA))
    assert read_source(url) == DATA
    with pytest.raises(ClipError, match="HTTP 404") as error:
        read_source(server.url("/none"))
    assert error.value.kind == "gone"
    with pytest.raises(ClipError, match="http or https"):
        read_source(server.script("/c", scripted.status(302, Location="file:///etc/passwd")))


def test_no_password_is_printed(server):
    url = server.script("/a", scripted.status(403)).replace("//", "//me:secret@")
    with pytest.raises(ClipError, match="at http://127") as error:
        read_source(url)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("source", ["http://[", "http://127.0.0.1:1/clip.gif", "."])
def test_a_source_that_cannot_be_reached_is_named(source):
    with pytest.raises(ClipError) as error:
        read_source(source)
    assert error.value.kind == "unreachable" and f"at {source}" in error.value.message
