import collections
import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from helpers import scripted_server as scripted
from helpers.clips import removed, write_gif
from helpers.project import ROOT
from helpers.video_corpus import video
from PIL import Image

from v2t_lib.captions_file import read_captions, select
from v2t_lib.cli.main import main
from v2t_lib.errors import DataError
from v2t_lib.fetching.fetch import fetch, part_of
from v2t_lib.fetching.manifest import Row, read_rows
from v2t_lib.fetching.policy import RetryPolicy
from v2t_lib.fetching.verdict import judge
from v2t_lib.shards.reader import ShardDataset
from v2t_lib.shards.workers import Workers
from v2t_lib.specs import ClipSpec

SPEC = ClipSpec(frames=2, height=8, width=8)
QUICK = RetryPolicy(pause=0.02, attempts=3, attempt_timeout=2.0, total_timeout=5.0)


@pytest.fixture
def server():
    with scripted.serving() as server:
        yield server


@pytest.fixture(scope="module")
def gifs(tmp_path_factory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("gifs")
    for number in range(24):
        write_gif(folder / f"{number}.gif", number, count=3)
    return [(folder / f"{number}.gif").read_bytes() for number in range(24)]


@pytest.fixture(scope="module")
def worker():
    """A worker process that outlives the runs it works for, as starting one takes a second."""

    class LastingWorkers(Workers):
        def close(self):
            pass

    worker = LastingWorkers(1, judge)
    yield worker
    Workers.close(worker)


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch, worker):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("v2t_lib.fetching.fetch.Workers", lambda count, decode: worker)


def captions(folder: Path, sources) -> Path:
    path = folder / "captions.tsv"
    path.write_text("".join(f"{source}\tcaption {n}\n" for n, source in enumerate(sources)))
    return path


def fetched(path: Path, out: Path, **options) -> dict[str, Row]:
    """Fetches; the rows by source, each source once."""
    options = {"spec": SPEC, "workers": 1, "policy": QUICK} | options
    fetch(read_captions(path), path, out, **options)
    rows = list(read_rows(out / "manifest.tsv"))
    assert len({row.source for row in rows}) == len(rows)
    return {row.source: row for row in rows}


def sources_in(shards: Path) -> list[str]:
    return sorted(example.source for example in ShardDataset.open(shards).examples())


def files_in(out: Path) -> set[str]:
    """The originals, and whatever else there is but a captions file."""
    names = {f"clips/{path.name}" for path in (out / "clips").iterdir()}
    assert "clips/all.tsv" in names
    return names - {"clips/all.tsv"}


def picture(tmp_path, kind: str, frames: int) -> bytes:
    path = tmp_path / f"x.{kind}"
    pictures = [Image.effect_noise((32, 32), 20 + 30 * n).convert("RGB") for n in range(frames)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:])
    return path.read_bytes()


def test_every_source_gets_its_verdict(server, gifs, tmp_path):
    gif = gifs[0]
    webp, still = picture(tmp_path, "webp", 3), picture(tmp_path, "gif", 1)
    removed_clip = io.BytesIO()
    removed((250, 141)).save(removed_clip, "GIF")
    (tmp_path / "here.gif").write_bytes(gifs[1])
    expected = {
        server.script("/ok.gif", scripted.ranged(gif)): ("ok", 1),
        server.script("/webp.gif", scripted.body(webp)): ("ok", 1),
        server.script("/mp4.gif", scripted.body(video("mp4-h264"))): ("ok", 1),
        server.script("/late.gif", scripted.status(500), scripted.body(gif)): ("ok", 2),
        server.script("/moved.gif", scripted.status(301, Location="/ok.gif")): ("ok", 1),
        server.script("/chunked.gif", scripted.chunked(gif)): ("ok", 1),
        server.script("/lengthless.gif", scripted.lengthless(gif)): ("ok", 1),
        "here.gif": ("ok", 0),
        "none.gif": ("gone", 0),
        server.script("/404.gif", scripted.status(404)): ("gone", 1),
        server.script("/410.gif", scripted.status(410)): ("gone", 1),
        server.script("/403.gif", scripted.status(403)): ("forbidden", 1),
        server.script("/still.gif", scripted.body(still)): ("still", 1),
        server.script("/removed.gif", scripted.body(removed_clip.getvalue())): ("placeholder", 1),
        server.script("/page.gif", scripted.body(b"<html>removed</html>")): ("not-a-clip", 1),
        server.script("/json.gif", scripted.body(b'{"error": 1}')): ("not-a-clip", 1),
        server.script("/empty.gif", scripted.body(b"")): ("not-a-clip", 1),
        server.script("/cut.gif", scripted.body(gif[:900])): ("corrupt", 1),
        server.script("/bomb.gif", scripted.bomb(110)): ("too-big", 1),
        server.script("/short.gif", scripted.short(gif)): ("unreachable", 3),
        server.script("/file.gif", scripted.status(302, Location="file:///x")): ("unreachable", 1),
        "http://127.0.0.1:1/a.gif": ("unreachable", 3),
        "http://[::1/a.gif": ("unreachable", 1),
    }
    path, out = captions(tmp_path, expected), tmp_path / "out"
    rows = fetched(path, out)
    assert {s: (row.verdict, row.attempts) for s, row in rows.items()} == expected
    row = rows[server.url("/moved.gif")]
    assert (row.bytes, row.sha256) == (len(gif), hashlib.sha256(gif).hexdigest())
    assert (row.frames, row.seconds, row.width, row.height) == (3, 0.3, 32, 32)
    assert row.final_url == server.url("/ok.gif") and row.why == ""
    assert row.shard == "all/00000.tfrecord" and row.file == ""
    assert all(row.why for row in rows.values() if row.verdict != "ok")
    good = sorted(source for source, (verdict, _) in expected.items() if verdict == "ok")
    assert sources_in(out / "all") == good
    left_out = {e.source: e.kind for e in ShardDataset.open(out / "all").info.left_out}
    assert left_out == {s: v for s, (v, _) in expected.items() if v != "ok"}
    assert (tmp_path / "here.gif").exists()
    assert not list(tmp_path.glob("v2t-fetch-*")) and not (out / "clips").exists()


def test_only_what_can_change_is_asked_for_again(server, gifs, tmp_path):
    good = server.script("/a.gif", scripted.body(gifs[0]))
    gone = server.script("/b.gif", scripted.status(404), scripted.body(gifs[1]))
    down = server.script("/c.gif", *[scripted.status(503)] * 3, scripted.body(gifs[2]))
    path, out = captions(tmp_path, [good, gone, down, good]), tmp_path / "out"
    rows = fetched(path, out)
    assert [rows[s].verdict for s in (good, gone, down)] == ["ok", "gone", "unreachable"]
    rows = fetched(path, out)
    assert [rows[s].verdict for s in (good, gone, down)] == ["ok", "gone", "ok"]
    assert [server.times(f"/{n}.gif") for n in "abc"] == [1, 1, 4]
    assert sources_in(out / "all") == sorted([good, down])
    before = (out / "manifest.tsv").read_bytes()
    fetched(path, out)
    assert (out / "manifest.tsv").read_bytes() == before and len(server.asked) == 6


def test_originals_are_kept_under_names_of_our_own(server, gifs, tmp_path):
    webp = picture(tmp_path, "webp", 2)
    urls = [
        server.script("/etc/x.gif", scripted.body(gifs[0])).replace("/etc", "/../../../etc"),
        server.script("/a%2F..%2Fb.gif?name=/etc/passwd", scripted.body(gifs[1])),
        server.script("/c.gif", scripted.body(webp)),
        server.script("/d.gif", scripted.body(b"<html>")),
    ]
    (tmp_path / "here.gif").write_bytes(gifs[1])
    path, out = captions(tmp_path, [*urls, "here.gif"]), tmp_path / "out"
    rows = fetched(path, out, spec=None)
    assert (out / rows[urls[2]].file).read_bytes() == webp and rows[urls[2]].file.endswith(".webp")
    assert (out / rows[urls[0]].file).read_bytes() == gifs[0]
    assert rows["here.gif"].file == "../here.gif" and rows[urls[3]].file == ""
    assert files_in(out) == {rows[url].file for url in urls[:3]}
    # What was kept packs as any other folder of clips does.
    assert (
        main(["pack", str(out / "clips" / "all.tsv"), "--out", str(tmp_path / "s"), "--size", "8"])
        == 0
    )
    assert len(sources_in(tmp_path / "s")) == 4


def test_parts_of_originals_go_on_in_the_next_run(server, gifs, tmp_path):
    gif = gifs[0]
    cut = scripted.ranged(gif, cut=400)
    url = server.script("/a.gif", *[cut] * 2, scripted.status(503), scripted.ranged(gif))
    path, out = captions(tmp_path, [url]), tmp_path / "out"
    assert fetched(path, out, spec=None)[url].verdict == "unreachable"
    (part,) = (out / "clips").iterdir()
    assert part.suffix == ".part" and part.read_bytes() == gif[:800]
    row = fetched(path, out, spec=None)[url]
    assert row.verdict == "ok" and (out / row.file).read_bytes() == gif
    assert [h.get("Range") for _, h in server.asked] == [
        None,
        "bytes=400-",
        "bytes=800-",
        "bytes=800-",
    ]
    assert files_in(out) == {row.file}


def test_what_was_whole_before_a_kill_is_not_asked_for_again(server, gifs, tmp_path):
    urls = [server.script(f"/{n}.gif", scripted.ranged(gifs[n])) for n in range(3)]
    path, out = captions(tmp_path, urls), tmp_path / "out"
    rows = fetched(path, out, spec=None)
    (out / "manifest.tsv").unlink()
    whole = out / rows[urls[0]].file
    tag = hashlib.sha256(b'"v1"').hexdigest()[:12] + f"-{len(gifs[0])}"
    whole.rename(whole.with_suffix(f".{tag}.part"))
    # A machine that went down can leave nothing of a file but its name.
    os.truncate(out / rows[urls[1]].file, 0)
    again = fetched(path, out, spec=None)
    assert [again[url].verdict for url in urls] == ["ok"] * 3
    assert [server.times(f"/{n}.gif") for n in range(3)] == [1, 2, 1]
    os.truncate(out / again[urls[2]].file, 100)
    assert fetched(path, out, spec=None)[urls[2]] == again[urls[2]].__class__(
        **{**vars(again[urls[2]]), "attempts": 1, "final_url": urls[2]}
    )
    assert (out / again[urls[2]].file).read_bytes() == gifs[2]


def test_splits_lie_apart_and_a_source_in_two_is_refused(server, gifs, tmp_path):
    urls = [server.script(f"/{n}.gif", scripted.body(gifs[n])) for n in range(6)]
    path, out = captions(tmp_path, urls), tmp_path / "out"
    (tmp_path / "train.txt").write_text("".join(f"{url}\n" for url in urls[:4]))
    (tmp_path / "test.txt").write_text("".join(f"{url}\n" for url in urls[4:]))
    sizes = ["--shards", "--frames", "2", "--size", "8", "--workers", "1"]
    base = ["fetch", str(path), "--out", str(out), *sizes]
    assert main([*base, "--split", str(tmp_path / "test.txt"), "--limit", "1"]) == 0
    both = ["--split", str(tmp_path / "train.txt"), "--split", str(tmp_path / "test.txt")]
    assert main([*base, *both]) == 0
    assert sources_in(out / "train") == urls[:4] and sources_in(out / "test") == urls[4:]
    assert len(server.asked) == 6
    assert {row.split for row in read_rows(out / "manifest.tsv")} == {"train", "test"}
    records = read_captions(path)
    twice = select(records, tmp_path / "test.txt") + records
    with pytest.raises(DataError, match="every source in one split only"):
        fetch(twice, path, tmp_path / "other")


def test_a_folder_stays_what_it_was_begun_as(server, gifs, tmp_path):
    url = server.script("/a.gif", scripted.body(gifs[0]))
    path, out = captions(tmp_path, [url]), tmp_path / "out"
    fetched(path, out)
    for options in ({"spec": ClipSpec(3, 8, 8)}, {"spec": None}, {"keep": True}):
        with pytest.raises(DataError, match=r"it was begun with.*name another directory"):
            fetched(path, out, **options)
    captions(tmp_path, [url, "another.gif"])
    with pytest.raises(DataError, match="captions sha256 it was begun with"):
        fetched(path, out)
    with pytest.raises(DataError, match="another name than 'tgif'"):
        (tmp_path / "tgif.txt").write_text(url)
        fetch(select(read_captions(path), tmp_path / "tgif.txt"), path, tmp_path / "o")
    (tmp_path / f"{tmp_path.name}.txt").write_text(url)
    with pytest.raises(DataError, match=f"another name than '{tmp_path.name}'"):
        records = select(read_captions(path), tmp_path / f"{tmp_path.name}.txt")
        fetch(records, path, tmp_path.parent)


def test_shares_are_stable_and_make_up_the_whole(server, gifs, tmp_path):
    urls = [server.script(f"/{n}.gif", scripted.body(gifs[n])) for n in range(12)]
    path, out = captions(tmp_path, urls), tmp_path / "out"
    records = read_captions(path)
    shares = [part_of(records, part, 3) for part in (1, 2, 3)]
    assert sorted(r.source for share in shares for r in share) == sorted(urls)
    assert [set(part_of(records[::-1], part, 3)) for part in (1, 2, 3)] == list(map(set, shares))
    many = [r.__class__(str(n), f"http://a/{n}", ("x",)) for n in range(3000) for r in records[:1]]
    assert all(900 < len(part_of(many, part, 3)) < 1100 for part in (1, 2, 3))
    with pytest.raises(ValueError, match="from 1 to 3"):
        part_of(records, 4, 3)
    sizes = ["--shards", "--frames", "2", "--size", "8", "--workers", "1"]
    for part in (1, 2):
        arguments = ["--out", str(out), "--part", f"{part}/2", *sizes]
        assert main(["fetch", str(path), *arguments]) == 0
    assert all(server.times(f"/{n}.gif") == 1 for n in range(12))
    folders = [str(out / f"part-{part}-of-2" / "all") for part in (1, 2)]
    assert main(["pack", "--merge", *folders, "--out", str(tmp_path / "whole")]) == 0
    assert sources_in(tmp_path / "whole") == sorted(urls)
    with pytest.raises(SystemExit) as stop:
        main(["fetch", str(path), "--out", str(out), "--part", "3/2"])
    assert stop.value.code == 2


def test_a_full_disk_stops_it_and_room_lets_it_go_on(server, gifs, tmp_path, disk_of):
    urls = [server.script(f"/{n}.gif", scripted.body(gifs[n])) for n in range(20)]
    path, out = captions(tmp_path, urls), tmp_path / "out"
    with disk_of(5000), pytest.raises(DataError, match="make room and run the same command again"):
        fetched(path, out)
    done = {row.source for row in read_rows(out / "manifest.tsv")}
    asked = collections.Counter(path for path, _ in server.asked)
    rows = fetched(path, out)
    assert {row.verdict for row in rows.values()} == {"ok"} and len(rows) == 20
    assert sources_in(out / "all") == sorted(urls)
    for url in done:
        name = url.removeprefix(server.url(""))
        assert server.times(name) == asked[name]


FORKER = """
import json, os, sys
import matplotlib.figure, tensorflow
from v2t_lib.cli.main import main
from v2t_lib.fetching import fetch, report
fetch.ShardWriter.clips_per_shard = 5
for line in sys.stdin:
    process = os.fork()
    if not process:
        os.dup2(2, 1)
        os._exit(main(json.loads(line)))
    print(process, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""


class Forker:
    """Runs `v2t` in processes forked from one that has imported what takes long."""

    def __init__(self, errors: Path):
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with open(errors, "w") as file:
            command = [sys.executable, "-c", FORKER]
            self.process = subprocess.Popen(command, env=environment, stderr=file, **pipes)
        self.thread = ThreadPoolExecutor(1)

    def start(self, arguments: list[str]) -> tuple[int, Future]:
        """The process's id, and in time its return code."""
        print(json.dumps(arguments), file=self.process.stdin, flush=True)
        number = int(self.process.stdout.readline())
        return number, self.thread.submit(lambda: int(self.process.stdout.readline()))


@pytest.fixture(scope="module")
def forker(tmp_path_factory):
    errors = tmp_path_factory.mktemp("forker") / "errors.txt"
    forker = Forker(errors)
    yield forker
    with forker.process, forker.thread:
        forker.process.stdin.close()


@pytest.mark.parametrize(("mode", "times"), [("--shards", 2), ("--keep", 3)])
def test_kills_at_any_moment_leave_what_an_undisturbed_run_does(
    server, gifs, tmp_path, forker, mode, times
):
    # Six answers a run and no more, so that none is done before it is killed.
    gates = [threading.Semaphore(0)]

    def gated(data):
        return lambda handler: (gates[-1].acquire(timeout=60), scripted.ranged(data)(handler))

    urls = [server.script(f"/{n}.gif", gated(gifs[n])) for n in range(24)]
    bad = [server.script(f"/bad-{n}.gif", scripted.body(b"<html>")) for n in range(4)]
    path, out = captions(tmp_path, [*urls[:12], *bad, *urls[12:]]), tmp_path / "out"
    command = ["fetch", str(path), "--out", str(out), mode]
    command += ["--frames", "2", "--size", "8", "--workers", "1", "--connections", "2"]
    rng, kills, manifest = random.Random(0), 0, out / "manifest.tsv"
    finished, asked = set(), collections.Counter()
    while True:
        gates.append(threading.Semaphore(6 if kills < times else 1000))
        process, code = forker.start(command)
        goal = len(finished) + rng.randint(1, 5)
        while not code.done() and len(list(read_rows(manifest))) < goal:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.1))
        if kills < times and not code.done():
            os.kill(process, signal.SIGKILL)
            kills += 1
        code = code.result()
        for name, before in asked.items():
            assert server.times(name) == before, f"{name} was finished and asked for again"
        finished = {row.source for row in read_rows(manifest)}
        asked = {u.removeprefix(server.url("")): 0 for u in finished}
        asked = {name: server.times(name) for name in asked}
        if code != -signal.SIGKILL:
            break
    assert code == 0 and kills == times
    rows = {row.source: row for row in read_rows(manifest)}
    whole = fetched(path, tmp_path / "undisturbed", spec=SPEC if mode == "--shards" else None)
    ours = ("attempts", "final_url", "shard")
    for source, row in whole.items():
        assert {k: v for k, v in vars(row).items() if k not in ours} == {
            k: v for k, v in vars(rows[source]).items() if k not in ours
        }
    assert rows.keys() == whole.keys()
    if mode == "--shards":
        assert sources_in(out / "all") == sorted(urls)
        counted = json.loads((out / "all" / "dataset.json").read_text())
        assert (counted["clips"], len(counted["left_out"])) == (24, 4)
    else:
        files = {name: (out / name).read_bytes() for name in files_in(out)}
        assert files == {rows[url].file: gifs[n] for n, url in enumerate(urls)}
