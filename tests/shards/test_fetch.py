import collections
import hashlib
import io
import json
import os
import random
import shutil
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
from helpers.shards import read_manifest
from helpers.video_corpus import video
from PIL import Image

from v2t_lib.captions_file import read_captions, select
from v2t_lib.cli.main import main
from v2t_lib.errors import DataError
from v2t_lib.fetching.http import RetryPolicy
from v2t_lib.shards.example import judge
from v2t_lib.shards.format import Verdict
from v2t_lib.shards.pack import coverage, fetch
from v2t_lib.shards.reader import ShardDataset
from v2t_lib.shards.slices import slices_in
from v2t_lib.shards.workers import Workers
from v2t_lib.specs import ClipSpec

SPEC = ClipSpec(frames=2, height=8, width=8)
QUICK = RetryPolicy(pause=0.02, attempts=3, total_timeout=5.0)


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
    monkeypatch.setattr("v2t_lib.shards.work.Workers", lambda count, function: worker)


def captions(folder: Path, sources) -> Path:
    path = folder / "captions.tsv"
    path.write_text("".join(f"{source}\tcaption {n}\n" for n, source in enumerate(sources)))
    return path


def fetched(path: Path, out: Path, **options) -> dict[str, Verdict]:
    """Fetches; the rows by source, each source once."""
    options = {"spec": SPEC, "workers": 1, "policy": QUICK} | options
    fetch(read_captions(path), path, out, **options)
    rows = list(read_manifest(out / "manifest.tsv"))
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
        server.script("/empty.gif", scripted.body(b"")): ("unreachable", 3),
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
    assert not list(tmp_path.glob("v2t-*")) and not (out / "clips").exists()
    assert fetched(path, out).keys() == rows.keys()  # reads them all, whatever their form


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


def test_originals_that_are_lost_are_got_again_and_edited_ones_stay(server, gifs, tmp_path):
    urls = [server.script(f"/{n}.gif", scripted.ranged(gifs[n])) for n in range(3)]
    path, out = captions(tmp_path, urls), tmp_path / "out"
    rows = fetched(path, out, spec=None)
    (out / rows[urls[0]].file).unlink()
    os.truncate(out / rows[urls[1]].file, 0)  # what a machine that went down can leave
    (out / rows[urls[2]].file).write_bytes(b"edited by hand")
    assert fetched(path, out, spec=None) == rows
    assert [server.times(f"/{n}.gif") for n in range(3)] == [2, 2, 1]
    assert [(out / rows[url].file).read_bytes() for url in urls] == [*gifs[:2], b"edited by hand"]


def test_local_clips_in_the_output_folder_are_the_users(gifs, tmp_path):
    """An edited one is neither deleted nor recorded as gone."""
    (tmp_path / "clips").mkdir()
    for number in range(3):
        (tmp_path / "clips" / f"{number}.gif").write_bytes(gifs[number])
    path = captions(tmp_path, [f"clips/{number}.gif" for number in range(3)])
    for _ in range(2):
        rows = fetched(path, tmp_path, spec=None)
        assert {row.verdict for row in rows.values()} == {"ok"}
        (tmp_path / "clips" / "1.gif").write_bytes(gifs[9])
    assert rows["clips/1.gif"].file == "clips/1.gif"
    assert (tmp_path / "clips" / "1.gif").read_bytes() == gifs[9]


def test_a_captions_file_that_a_result_would_replace_is_refused(gifs, tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.gif").write_bytes(gifs[0])
    path = tmp_path / "clips" / "all.tsv"
    path.write_text("a.gif\tmy caption\n")
    with pytest.raises(DataError, match=r"clips/all\.tsv: expected no file of that name"):
        fetched(path, tmp_path, spec=None)
    assert path.read_text() == "a.gif\tmy caption\n"


def test_fewer_clips_leave_the_captions_of_all(server, gifs, tmp_path):
    urls = [server.script(f"/{n}.gif", scripted.body(gifs[n])) for n in range(4)]
    path, out = captions(tmp_path, urls), tmp_path / "out"
    command = ["fetch", str(path), "--out", str(out), "--workers", "1"]
    for limit, known in ((["--limit", "2"], 2), ([], 4), (["--limit", "1"], 4)):
        assert main([*command, *limit]) == 0
        kept = read_captions(out / "clips" / "all.tsv")
        assert [record.captions for record in kept] == [(f"caption {n}",) for n in range(known)]
        assert coverage(out) == {
            "have": known, "of": known, "splits": {"all": {"of": known, "verdicts": {"ok": known}}}
        }  # fmt: skip
    assert len(server.asked) == 4


def test_clips_are_fetched_beside_their_captions_file(server, gifs, tmp_path, monkeypatch):
    urls = [server.script(f"/{n}.gif", scripted.body(gifs[n])) for n in range(2)]
    captions(tmp_path, urls)
    monkeypatch.chdir(tmp_path)
    assert main(["fetch", "captions.tsv", "--out", ".", "--shards", "--workers", "1"]) == 0
    assert sources_in(tmp_path / "all") == urls


def test_a_page_in_place_of_a_clip_may_pass(server, gifs, tmp_path):
    """One that asks to sign in, elsewhere or at the clip's own address, or says that it's late."""
    page, clip = scripted.body(b"<html>sign in</html>"), scripted.body(gifs[0])
    server.script("/login", page)
    moved = scripted.status(302, Location="/login")
    urls = [server.script(f"/{n}.gif", bad, clip) for n, bad in enumerate((moved, page))]
    urls.append(server.script("/2.gif", page))
    path, out = captions(tmp_path, urls), tmp_path / "out"
    assert {row.verdict for row in fetched(path, out).values()} == {"not-a-clip"}
    rows = fetched(path, out)
    assert [rows[url].verdict for url in urls] == ["ok", "ok", "not-a-clip"]
    fetched(path, out)
    assert [server.times(f"/{n}.gif") for n in range(3)] == [2, 2, 3]


def test_passwords_are_used_and_written_nowhere(server, gifs, tmp_path, capfd):
    names = {"/ok.gif": scripted.body(gifs[0]), "/no.gif": scripted.status(403)}
    names["/to.gif"] = scripted.status(301, Location="//me:secret@" + server.url("/ok.gif")[7:])
    names |= {"/page.gif": scripted.body(b"<html>"), "/": scripted.status(401)}
    urls = [server.script(*pair).replace("//", "//me:secret@") for pair in names.items()]
    path, out = captions(tmp_path, urls), tmp_path / "out"
    rows = fetched(path, out, keep=True)
    assert rows.keys() == {server.url(name) for name in names}
    assert all(asked["Authorization"] for _, asked in server.asked)
    printed = "".join(capfd.readouterr()) + "".join(map(str, out.rglob("*")))
    assert "secret" not in printed
    assert not any(b"secret" in file.read_bytes() for file in out.rglob("*") if file.is_file())
    count, begun = len(server.asked), out / "all" / "00000.json"
    begun.write_text(begun.read_text().replace("http://", "http://me:secret@"))  # as it once was
    assert fetched(path, out, keep=True).keys() == rows.keys()
    assert len(server.asked) == count + 1  # the page's, which may pass


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
    assert {row.split for row in read_manifest(out / "manifest.tsv")} == {"train", "test"}
    records = read_captions(path)
    twice = select(records, tmp_path / "test.txt") + records
    with pytest.raises(DataError, match="every source in one split only"):
        fetch(twice, path, tmp_path / "other")
    (tmp_path / "val.txt").write_text(f"{urls[0]}\n")
    with pytest.raises(DataError, match=r"/0\.gif' in val and, now or in an earlier run, in train"):
        fetch(select(records, tmp_path / "val.txt"), path, out, spec=SPEC)


def test_a_folder_stays_what_it_was_begun_as(server, gifs, tmp_path):
    url = server.script("/a.gif", scripted.body(gifs[0]))
    path, out = captions(tmp_path, [url]), tmp_path / "out"
    rows = fetched(path, out)
    for options in ({"spec": ClipSpec(3, 8, 8)}, {"spec": None}):
        with pytest.raises(DataError, match=r"it was begun with.*name another folder"):
            fetched(path, out, **options)
    path.write_text(f"{url}\tanother caption\n")
    with pytest.raises(DataError, match=r"captions and splits.*others for 1 of them, 'http"):
        fetched(path, out)
    with pytest.raises(DataError, match=r"sources .*others for 1 of them"):
        fetched(captions(tmp_path, ["another.gif"]), out)
    assert fetched(captions(tmp_path, [url, "another.gif"]), out)[url] == rows[url]


@pytest.mark.parametrize("name", ["clips", "all", "tgif", "out"])
def test_a_split_list_may_have_any_name(server, gifs, tmp_path, name):
    url = server.script("/a.gif", scripted.body(gifs[0]))
    path, listed = captions(tmp_path, [url]), tmp_path / f"{name}.txt"
    listed.write_text(f"{url}\n")
    fetch(select(read_captions(path), listed), path, tmp_path, spec=SPEC, keep=True, workers=1)
    assert sources_in(tmp_path / name) == [url]


def test_parts_that_are_copied_together_are_the_whole(server, gifs, tmp_path, monkeypatch):
    monkeypatch.setattr("v2t_lib.shards.plan.SOURCES", 2)
    urls = [server.script(f"/{n}.gif", scripted.body(gifs[n])) for n in range(11)]
    urls.append(server.script("/down.gif", *[scripted.status(503)] * 2, scripted.body(gifs[11])))
    path, out = captions(tmp_path, urls), tmp_path / "out"
    command = ["fetch", str(path), "--out", str(out), "--shards", "--keep", "--frames", "2"]
    command += ["--size", "8", "--workers", "1", "--attempts", "1", "--pause", "0"]
    for part in (1, 2, 2):
        assert main([*command, "--part", f"{part}/2"]) == 0
    numbers = [[one.number for one in slices_in(out / f"part-{n}-of-2" / "all")] for n in (1, 2)]
    assert numbers == [[0, 2, 4], [1, 3, 5]]  # the one tried again brought nothing new
    assert coverage(out)["splits"]["all"]["verdicts"] == {"ok": 11, "unreachable": 1}
    for part in (1, 2):
        shutil.copytree(out / f"part-{part}-of-2", out, dirs_exist_ok=True)
    assert main(command) == 0
    assert all(server.times(f"/{n}.gif") == 1 for n in range(11))
    assert sources_in(out / "all") == sorted(urls)
    assert len(read_captions(out / "clips" / "all.tsv")) == 12


def test_slices_that_wait_for_one_slow_download_hold_up_no_others(
    server, gifs, tmp_path, monkeypatch
):
    monkeypatch.setattr("v2t_lib.shards.plan.SOURCES", 2)
    urls = [server.script(f"/{n}.gif", scripted.body(gifs[n])) for n in range(8)]
    behind = threading.Event()

    def late(handler):
        behind.wait(20)
        scripted.body(gifs[0])(handler)

    server.script("/0.gif", late)
    original = scripted.body(gifs[7])
    server.script("/7.gif", lambda handler: (original(handler), behind.set()))
    rows = fetched(captions(tmp_path, urls), tmp_path / "out")
    assert {row.verdict for row in rows.values()} == {"ok"} and behind.is_set()
    assert [e.source for e in ShardDataset.open(tmp_path / "out" / "all").examples()] == urls


def test_a_full_disk_stops_it_and_room_lets_it_go_on(server, gifs, tmp_path, disk_of, monkeypatch):
    monkeypatch.setattr("v2t_lib.shards.plan.SOURCES", 5)
    urls = [server.script(f"/{n}.gif", scripted.body(gifs[n])) for n in range(19)]
    urls.append(server.script("/large.gif", scripted.body(gifs[19] + bytes(40_000))))
    path, out = captions(tmp_path, urls), tmp_path / "out"
    with (
        disk_of(20_000),
        pytest.raises(DataError, match="make room and run the same command again"),
    ):
        fetched(path, out)
    done = [row.source for one in slices_in(out / "all") for row in one.verdicts]
    asked = collections.Counter(path for path, _ in server.asked)
    rows = fetched(path, out)
    assert {row.verdict for row in rows.values()} == {"ok"} and len(rows) == 20
    assert sources_in(out / "all") == sorted(urls)
    for url in done:
        name = url.removeprefix(server.url(""))
        assert server.times(name) == asked[name]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, DataError])
def test_a_stop_is_at_once_and_decides_nothing(server, tmp_path, disk_of, stop):
    """Though the first source of the slice keeps it waiting."""

    def end(handler):
        while server.times("/slow.gif") == 0:
            time.sleep(0.01)
        if stop is KeyboardInterrupt:
            os.kill(os.getpid(), signal.SIGINT)
        else:
            scripted.body(bytes(40_000))(handler)

    urls = [server.script("/slow.gif", scripted.hang(20)), server.script("/end.gif", end)]
    start = time.monotonic()
    with disk_of(20_000), pytest.raises(stop):
        fetched(captions(tmp_path, urls), tmp_path / "out")
    assert time.monotonic() - start < 10
    assert not (tmp_path / "out" / "all").exists() and not list(tmp_path.glob("v2t-*"))


FORKER = """
import json, os, sys
import matplotlib.figure, tensorflow
from v2t_lib.cli.main import main
from v2t_lib.fetching import report
from v2t_lib.shards import pack, plan
plan.SOURCES = 5
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


def done_in(out: Path) -> set[str]:
    """The sources of the slices that are done."""
    return {row.source for one in slices_in(out / "all") for row in one.verdicts}


@pytest.mark.parametrize(("mode", "times"), [("--shards", 2), ("--keep", 3)])
def test_kills_at_any_moment_leave_what_an_undisturbed_run_does(
    server, gifs, tmp_path, forker, mode, times
):
    # Six answers a run and no more, so that none is done before it is killed.
    gates = [threading.Semaphore(0)]

    def gated(data):
        return lambda handler: (gates[-1].acquire(timeout=60), scripted.ranged(data)(handler))

    urls = [server.script(f"/{n}.gif", gated(gifs[n])) for n in range(24)]
    bad = [server.script(f"/bad-{n}.gif", scripted.status(404)) for n in range(4)]
    path, out = captions(tmp_path, [*urls[:12], *bad, *urls[12:]]), tmp_path / "out"
    command = ["fetch", str(path), "--out", str(out), mode]
    command += ["--frames", "2", "--size", "8", "--workers", "1", "--connections", "2"]
    rng, kills = random.Random(0), 0
    finished, asked = set(), collections.Counter()
    while True:
        gates.append(threading.Semaphore(6 if kills < times else 1000))
        process, code = forker.start(command)
        goal = len(finished) + rng.choice((1, 5))
        while not code.done() and len(done_in(out)) < goal and len(server.asked) < 300:
            time.sleep(0.01)
            if kills < times and gates[-1]._value == 0 and rng.random() < 0.02:
                break
        time.sleep(rng.uniform(0, 0.1))
        if kills < times and not code.done():
            os.kill(process, signal.SIGKILL)
            kills += 1
        code = code.result()
        for name, before in asked.items():
            assert server.times(name) == before, f"{name} was finished and asked for again"
        finished = done_in(out)
        asked = {u.removeprefix(server.url("")): 0 for u in finished}
        asked = {name: server.times(name) for name in asked}
        if code != -signal.SIGKILL:
            break
    assert code == 0 and kills == times
    rows = {row.source: row for row in read_manifest(out / "manifest.tsv")}
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
