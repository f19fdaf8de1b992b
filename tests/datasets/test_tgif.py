import json
import re

import pytest
from helpers import scripted_server as scripted
from helpers.clips import write_gif

from v2t_lib.captions_file import read_captions, select
from v2t_lib.cli.main import main
from v2t_lib.datasets import tgif
from v2t_lib.datasets.tgif import TGIF
from v2t_lib.errors import DataError
from v2t_lib.fetching import large_file
from v2t_lib.shards.format import DatasetInfo


@pytest.fixture
def release(tmp_path, monkeypatch):
    """A server with a release of twelve clips, and its URL."""
    with scripted.serving() as server:
        urls = []
        for number in range(12):
            write_gif(tmp_path / "x.gif", number, count=2)
            answer = scripted.body((tmp_path / "x.gif").read_bytes())
            urls.append(server.script(f"/clips/{number}.gif", answer))
        rows = [f"{url}\tsentence {n}\n" for n, url in enumerate(urls)] + [f"{urls[0]}\tmore\n"]
        files = {"data/tgif-v1.0.tsv": "".join(rows)}
        for name, share in (("train", urls[:6]), ("val", urls[6:9]), ("test", urls[9:])):
            files[f"data/splits/{name}.txt"] = "".join(f"{url}\n" for url in share)
        for name, text in files.items():
            server.script(f"/r/{name}", scripted.status(503), scripted.body(text.encode()))
        monkeypatch.setattr(tgif, "ROWS", {n: text.count("\n") for n, text in files.items()})
        monkeypatch.setattr(large_file, "ATTEMPTS", 2)
        monkeypatch.setattr(large_file, "PAUSE", 0.0)
        yield server, server.url("/r/")


def test_the_figures_are_those_of_the_publication():
    assert list(tgif.ROWS.values()) == [125_782, 80_000, 10_708, 11_360]
    assert sum(list(tgif.ROWS.values())[1:]) == 102_068
    assert re.search("^https://.*/[0-9a-f]{40}/$", tgif.RELEASE)


def test_files_are_got_once(release, tmp_path):
    server, base = release
    captions = TGIF(mirror=base).captions(tmp_path / "out")
    records, splits = read_captions(captions), TGIF().split_lists(captions)
    sizes = {name: len(select(records, path)) for name, path in splits.items()}
    assert len(records) == 12 and sizes == {"train": 6, "val": 3, "test": 3}
    asked = len(server.asked)
    assert TGIF(mirror=base).captions(tmp_path / "out") == captions and len(server.asked) == asked
    assert len(list((tmp_path / "out" / "tgif").iterdir())) == 4


def test_a_changed_release_is_not_taken_nor_one_that_is_not_there(release, tmp_path, monkeypatch):
    server, base = release
    monkeypatch.setitem(tgif.ROWS, "data/splits/val.txt", 10_708)
    mirror = base.replace("//", "//me:secret@")
    with pytest.raises(DataError, match=r"10,708 rows in http://1.*val.txt. Received: 3; the rel"):
        TGIF(mirror=mirror).captions(tmp_path / "out")
    assert "secret" not in repr(TGIF(mirror=mirror))
    assert not (tmp_path / "out" / "tgif" / "val.txt").exists()
    with pytest.raises(DataError, match=r"HTTP 404.*mirror"):
        TGIF(mirror=server.url("/elsewhere/")).captions(tmp_path / "other")


def test_the_word_tgif_stands_for_it_all(release, tmp_path, capsys):
    server, base = release
    out = tmp_path / "out"
    arguments = ["--mirror", base, "--shards", "--frames", "2", "--size", "8", "--workers", "1"]
    command = ["fetch", "tgif", "--out", str(out), *arguments]
    assert main([*command, "--split", "test", "--json"]) == 0
    printed = capsys.readouterr()
    assert "non-commercial research" in printed.err
    assert json.loads(printed.out)["splits"] == {"test": {"of": 3, "verdicts": {"ok": 3}}}
    assert main(command) == 0
    assert capsys.readouterr().out.startswith(f"{out}: you have 12 of 12\n")
    assert [DatasetInfo.load(out / name).clips for name in ("train", "val", "test")] == [6, 3, 3]
    assert DatasetInfo.load(out / "train").captions == 7
    assert all(server.times(f"/clips/{n}.gif") == 1 for n in range(12))
