"""Large files: what was cut off is resumed, and nothing but the whole file gets its name."""

import hashlib
import threading

import pytest
from helpers import scripted_server as scripted

from v2t_lib.errors import DataError
from v2t_lib.fetching import large_file
from v2t_lib.fetching.large_file import download_file

DATA = bytes(range(256)) * 2000


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr(large_file, "ATTEMPTS", 2)
    monkeypatch.setattr(large_file, "PAUSE", 0.0)


def ranges(server):
    return [headers.get("Range") for _, headers in server.asked]


def test_a_download_that_is_cut_off_resumes_where_it_stopped(server, tmp_path):
    cut = [scripted.ranged(DATA, cut=100_000)] * 3
    url = server.script("/a.tar", *cut, scripted.ranged(DATA))
    download_file(url, tmp_path / "new" / "a.tar")
    assert (tmp_path / "new" / "a.tar").read_bytes() == DATA
    assert ranges(server) == [None, "bytes=100000-", "bytes=200000-", "bytes=300000-"]
    download_file(url, tmp_path / "new" / "a.tar")
    assert len(server.asked) == 4 and len(list((tmp_path / "new").iterdir())) == 1


def test_more_attempts_than_the_policy_has_as_long_as_each_brings_more(server, tmp_path):
    cut = [scripted.ranged(DATA, cut=50_000)] * 8
    download_file(server.script("/a.tar", *cut, scripted.ranged(DATA)), tmp_path / "a.tar")
    assert (tmp_path / "a.tar").read_bytes() == DATA and len(server.asked) == 9


def test_the_next_run_resumes_and_a_new_version_starts_anew(server, tmp_path):
    url = server.script("/a.tar", scripted.ranged(DATA, cut=100_000), scripted.status(503))
    with pytest.raises(DataError, match=r"Received: HTTP 503; 100,000 bytes are there: run"):
        download_file(url, tmp_path / "a.tar")
    assert not (tmp_path / "a.tar").exists()
    other = [scripted.ranged(DATA[::-1], version='"v2"', cut=cut) for cut in (None, 9)]
    server.script("/a.tar", *other, scripted.status(503))
    with pytest.raises(DataError, match=r"; 9 bytes are there"):
        download_file(url, tmp_path / "a.tar")
    server.script("/a.tar", scripted.ranged(DATA[::-1], version='"v2"'))
    download_file(url, tmp_path / "a.tar")
    assert (tmp_path / "a.tar").read_bytes() == DATA[::-1]
    assert ranges(server)[-1] == "bytes=9-" and len(list(tmp_path.iterdir())) == 1


def test_a_server_without_versions_is_not_asked_for_ever(server, tmp_path):
    url = server.script("/a.tar", scripted.short(DATA))
    with pytest.raises(DataError, match=r"expected to download http.*a\.tar\. Received: .*; "):
        download_file(url, tmp_path / "a.tar")
    assert len(server.asked) == 2


def test_what_is_not_there_or_not_reachable_is_told(server, tmp_path):
    with pytest.raises(DataError, match=r"Received: HTTP 404; 0 bytes .* name a mirror"):
        download_file(server.url("/b.tar"), tmp_path / "b.tar")
    with pytest.raises(DataError, match=r"Received: .*refused"):
        download_file("http://127.0.0.1:9/b.tar", tmp_path / "b.tar")


def test_neither_a_page_nor_a_wrong_range_spoils_what_has_come(server, tmp_path):
    url = server.script("/a.tar", scripted.ranged(DATA, cut=100_000), scripted.status(503))
    url = url.replace("//", "//me:secret@")
    with pytest.raises(DataError) as error:
        download_file(url, tmp_path / "a.tar")
    page = scripted.body(b"<html>sign in</html>", Content_Type="text/html; charset=utf-8")
    server.script("/a.tar", page)
    with pytest.raises(DataError, match=r"a web page.*; 100,000 bytes are there") as other:
        download_file(url, tmp_path / "a.tar")
    assert "secret" not in f"{error.value} {other.value}"
    wrong = {"ETag": '"v1"', "Content_Range": f"bytes 0-{len(DATA) - 1}/{len(DATA)}"}
    server.script("/a.tar", scripted.body(DATA, 206, **wrong))
    download_file(url, tmp_path / "a.tar")
    assert (tmp_path / "a.tar").read_bytes() == DATA


def test_a_part_sent_for_the_whole_is_gone_on_with(server, tmp_path):
    part = {"ETag": '"v1"', "Content_Range": f"bytes 0-99999/{len(DATA)}"}
    url = server.script("/a.tar", scripted.body(DATA[:100_000], 206, **part), scripted.ranged(DATA))
    download_file(url, tmp_path / "a.tar")
    assert (tmp_path / "a.tar").read_bytes() == DATA


def test_a_file_with_a_known_hash_has_to_have_it(server, tmp_path):
    url = server.script("/a.tar", scripted.ranged(DATA))
    with pytest.raises(DataError, match=r"SHA-256 beef.*Received: .*has been deleted"):
        download_file(url, tmp_path / "a.tar", "beef")
    assert not list(tmp_path.iterdir())
    download_file(url, tmp_path / "a.tar", hashlib.sha256(DATA).hexdigest())
    assert (tmp_path / "a.tar").read_bytes() == DATA


def test_a_full_disk_is_told(server, tmp_path, disk_of):
    url = server.script("/a.tar", scripted.ranged(DATA))
    with disk_of(10_000), pytest.raises(DataError, match=r"expected to write .*make room"):
        download_file(url, tmp_path / "a.tar")


def test_ctrl_c_keeps_what_has_come(server, tmp_path, monkeypatch):
    stopped = threading.Event()

    def pause_in_the_middle(handler):
        scripted._send(handler, 200, {"Content-Length": str(len(DATA)), "ETag": '"v1"'})
        handler.wfile.write(DATA[:300_000])
        stopped.wait(10)

    def interrupt(progress, *arguments):
        raise KeyboardInterrupt

    url = server.script("/a.tar", pause_in_the_middle, scripted.ranged(DATA))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(large_file.Progress, "update", interrupt)
        download_file(url, tmp_path / "a.tar")
    (part,) = tmp_path.iterdir()
    assert 0 < part.stat().st_size <= 300_000
    stopped.set()
    download_file(url, tmp_path / "a.tar")
    assert ranges(server)[-1] != ranges(server)[0] is None
    assert (tmp_path / "a.tar").read_bytes() == DATA
