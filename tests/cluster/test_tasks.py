"""What tasks leave in the output folder, run in this process: lost, repeated and taken up again."""

import contextlib
import dataclasses
import functools
import json
from pathlib import Path

import pytest
from helpers import scripted_server as scripted
from helpers.clips import write_gif
from helpers.shards import read_manifest, sources_in

from v2t_lib.captions_file import read_captions
from v2t_lib.cluster import session, tables, tasks
from v2t_lib.cluster.storage import Storage
from v2t_lib.errors import ClusterError, DataError
from v2t_lib.fetching.http import RetryPolicy
from v2t_lib.shards.format import DatasetInfo
from v2t_lib.shards.pack import fetch, pack
from v2t_lib.shards.work import Slice, Task
from v2t_lib.specs import ClipSpec

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("in_this_process", "here")]

SPEC = ClipSpec(frames=2, height=8, width=8)
QUICK = RetryPolicy(pause=0.02, attempts=1, total_timeout=5.0)


class Here:
    """A cluster of this process; remembers the tasks."""

    slots = 2

    def __init__(self):
        self.tasks = []

    def run(self, task, items):
        self.tasks += items
        for item in items:
            task(item)

    def send(self, path):
        pass

    def check(self, out):
        pass


@pytest.fixture
def here(monkeypatch):
    """Slices of four sources, and a cluster of this process."""
    cluster = Here()
    monkeypatch.setattr(tasks, "session", lambda master: contextlib.nullcontext(cluster))
    monkeypatch.setattr("v2t_lib.shards.plan.SOURCES", 4)
    monkeypatch.setattr(tables, "ROWS", 4)
    tasks._pool.cache_clear()
    yield cluster
    tasks._pool.cache_clear()


@pytest.fixture
def gif(tmp_path) -> bytes:
    write_gif(tmp_path / "here.gif", 1, count=3)
    return (tmp_path / "here.gif").read_bytes()


@pytest.fixture
def captions(tmp_path):
    """Writes a captions file of these sources."""

    def write(sources) -> Path:
        path = tmp_path / "captions.tsv"
        path.write_text("".join(f"{source}\tcaption {n}\n" for n, source in enumerate(sources)))
        return path

    return write


@pytest.mark.parametrize("place", ["out", "memory://fetched/deep"])
def test_sources_that_were_not_reachable_are_tried_again(
    here, server, gif, captions, tmp_path, place
):
    urls = [server.script(f"/{n}.gif", scripted.ranged(gif)) for n in range(8)]
    server.script("/3.gif", scripted.status(500), scripted.ranged(gif))
    path = captions([*urls, "here.gif", "late.gif"])
    place = place if "://" in place else tmp_path / place
    run = functools.partial(
        tasks.fetch_clips, "local", read_captions(path), path, place,
        spec=SPEC, keep=True, policy=QUICK,
    )  # fmt: skip

    def down() -> Path:
        """The output folder on this machine."""
        home, out = tmp_path / f"down-{len(list(tmp_path.iterdir()))}", Storage.of(place)
        out.get(out.sizes(), home)
        return home

    verdicts = run()["splits"]["all"]["verdicts"]
    assert verdicts == {"ok": 8, "gone": 1, "unreachable": 1} and len(here.tasks) == 3
    assert sources_in(down() / "all") == [*urls[:3], *urls[4:], "here.gif"]

    (tmp_path / "late.gif").write_bytes(gif)
    server.asked.clear()
    here.tasks.clear()
    assert run()["splits"]["all"]["verdicts"] == {"ok": 10}
    assert [one.number for one in here.tasks] == [3]
    assert [asked for asked, _ in server.asked] == ["/3.gif"]
    home = down()
    assert sources_in(home / "all") == [*urls[:3], *urls[4:], "here.gif", urls[3], "late.gif"]
    rows = list(read_manifest(home / "manifest.tsv"))
    assert len(rows) == 10 and {row.verdict for row in rows} == {"ok"}
    originals = read_captions(home / "clips" / "all.tsv")
    assert len(originals) == 10 and (home / rows[3].file).exists()
    here.tasks.clear()
    run()
    assert not here.tasks

    # A single machine can take the folder over.
    server.asked.clear()
    fetch(read_captions(path), path, home, spec=SPEC, keep=True, workers=1)
    assert not server.asked


@pytest.mark.parametrize("place", ["out", "memory://packed"])
def test_clips_that_have_come_cost_none_of_the_others(here, gif, captions, tmp_path, place):
    place = place if "://" in place else tmp_path / place
    for number in range(6):
        (tmp_path / f"{number}.gif").write_bytes(gif)
    (tmp_path / "5.gif").rename(tmp_path / "later.gif")
    path = captions([f"{number}.gif" for number in range(6)])
    run = functools.partial(tasks.pack_clips, "local", read_captions(path), path, place)
    assert run(SPEC).clips == 5
    (tmp_path / "later.gif").rename(tmp_path / "5.gif")
    for number in range(5):
        (tmp_path / f"{number}.gif").unlink()
    info = run(SPEC)
    assert info.clips == 6 and run(SPEC) == info
    assert len(here.tasks) == 3 and Storage.of(place).exists("dataset.json")


def test_the_bytes_are_one_machines_and_strangers_files_stay(here, gif, captions, tmp_path):
    for number in range(10):
        write_gif(tmp_path / f"{number}.gif", number)
    path = captions([f"{number}.gif" for number in range(10)])
    records, out = read_captions(path), tmp_path / "out"
    whole = pack(records, path, tmp_path / "single", SPEC, workers=1)
    out.mkdir()
    strangers = ("00000-0-1.tfrecord", "notes.tmp", "00009-x-y.tfrecord")
    for name in strangers:
        (out / name).write_text("mine")
    assert tasks.pack_clips("local", records, path, out, SPEC) == whole
    for file in (tmp_path / "single").glob("*[0-9t].[jt]*"):
        assert (out / file.name).read_bytes() == file.read_bytes()
    assert all((out / name).read_text() == "mine" for name in strangers)
    assert not list(out.glob(".v2t-*[0-9a-f]"))


@pytest.mark.parametrize("place", ["out", "memory://lost"])
def test_half_a_slice_is_done_again_and_a_strangers_shard_stays(
    here, gif, captions, tmp_path, place
):
    out = Storage.of(place if "://" in place else tmp_path / place)
    path = captions(["here.gif"])
    records = read_captions(path)
    run = functools.partial(tasks.pack_clips, "local", records, path, out.url, SPEC)
    info = run()
    tasks._put(
        out,
        functools.partial(tasks._do_slice, Task(path, Path(), SPEC)),
        Slice(Path(), 0, tuple(records)),
    )
    assert run() == info and len(here.tasks) == 1

    def lose(*names: str) -> None:
        with out._files() as (files, root):
            files.rm([f"{root}/{name}" for name in names])

    lose("00000.tfrecord")
    assert run() == info and len(here.tasks) == 2
    lose("00000.json", "dataset.json")  # as a kill does in the first run
    assert run() == info and len(here.tasks) == 3
    lose("00000.json", "dataset.json")
    (tmp_path / "x").write_bytes(b"somebody else's")
    out.put(tmp_path / "x", "00000.tfrecord")
    with pytest.raises(DataError, match="that wasn't written here"):
        run()


def test_a_task_that_was_ended_between_its_two_files_is_done_again(
    here, gif, captions, tmp_path, monkeypatch
):
    path, put, count = captions(["here.gif"]), tasks._put, []

    def cut_off(out, make, one):
        put(out, make, one)
        count.append(one)
        if len(count) == 1:
            (tmp_path / "out" / "00000.tfrecord").write_bytes(b"another's")

    monkeypatch.setattr(tasks, "_put", cut_off)
    info = tasks.pack_clips("local", read_captions(path), path, tmp_path / "out", SPEC)
    assert len(count) == 2 and DatasetInfo.load(tmp_path / "out") == info


def test_a_file_in_the_folders_place_is_told(captions, tmp_path):
    path = captions(["here.gif"])
    with pytest.raises(ClusterError, match=r"expected to read and write .*captions\.tsv"):
        tasks.pack_clips("local", read_captions(path), path, path, SPEC)


def test_a_worker_of_another_version_is_refused():
    with pytest.raises(ClusterError, match=r"expected v2t_lib 9\.9 on every worker"):
        session._task("9.9", print, 0)


def test_tables_keep_their_rows_and_repeat_only_what_was_unreachable(here, tmp_path):
    rows, tried = [{"file": f"{n}.gif", "source": f"/\x85{n}.gif"} for n in range(10)], []

    def work(rows):
        tried.extend(row["file"] for row in rows)
        for row in rows:
            down = row["file"] == "5.gif" and tried.count("5.gif") == 1
            yield row | ({"error": "unreachable: 503"} if down else {})

    (tmp_path / "m.keras").write_bytes(b"a model")
    options = (rows, work, [1], tmp_path / "m.keras", tmp_path / "out", False)
    assert tables._tabulate("local", "captions", *options) == (10, 1)
    assert tables._tabulate("local", "captions", *options) == (10, 0)
    assert tried == [f"{n}.gif" for n in (*range(10), 4, 5, 6, 7)]
    lines = (tmp_path / "out" / "captions.jsonl").read_text("utf-8").split("\n")[:-1]
    assert list(map(json.loads, lines)) == rows
    (tmp_path / "m.keras").write_bytes(b"another")
    with pytest.raises(DataError, match="the same clips, model and options"):
        tables._tabulate("local", "captions", *options)


def test_a_file_appears_whole_and_an_object_store_gets_no_folders(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    (tmp_path / "x").write_bytes(b"1")
    out = Storage.of("memory://out/deep")
    out.put(tmp_path / "x", "a/b.bin")
    assert out.sizes() == {"a/b.bin": 1} and Storage.of("memory://none").sizes() == {}
    out.probe()
    out.tidy()
    assert fsspec.filesystem("memory").find("/out") == ["/out/deep/a/b.bin"]
    assert out.exists("a/b.bin") and not out.exists("a/c.bin")


def test_a_policys_connections_are_shared_by_the_tasks(here, captions, tmp_path, gif, monkeypatch):
    seen, do = [], tasks._do_slice
    monkeypatch.setattr(
        tasks, "_do_slice", lambda task, one, folder: seen.append(task.policy.per_host)
        or do(task, one, folder)
    )  # fmt: skip
    path = captions(["here.gif"])
    for per_host in (8, 1):
        tasks.fetch_clips(
            "local", read_captions(path), path, tmp_path / f"out-{per_host}",
            spec=SPEC, keep=False, policy=dataclasses.replace(QUICK, per_host=per_host),
        )  # fmt: skip
    assert seen == [4, 1]
