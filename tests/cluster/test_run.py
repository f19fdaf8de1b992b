"""What tasks leave in the output folder, run in this process: lost, repeated and taken up again."""

import dataclasses
import functools
from pathlib import Path

import pytest
from helpers import scripted_server as scripted
from helpers.clips import write_gif

from v2t_lib import __version__
from v2t_lib.captions_file import read_captions
from v2t_lib.cluster.jobs import FetchJob, PackJob
from v2t_lib.cluster.plan import Plan, digest_of, plan_clips
from v2t_lib.cluster.results import join_manifests, join_shards
from v2t_lib.cluster.run import run_job, run_share, zip_name
from v2t_lib.cluster.storage import Storage
from v2t_lib.errors import ClusterError
from v2t_lib.fetching.fetch import fetch
from v2t_lib.fetching.manifest import read_rows
from v2t_lib.fetching.policy import RetryPolicy
from v2t_lib.shards.example import whole_examples
from v2t_lib.shards.format import DatasetInfo
from v2t_lib.specs import ClipSpec

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("in_this_process")]

SPEC = ClipSpec(frames=2, height=8, width=8)
QUICK = RetryPolicy(pause=0.02, attempts=1, attempt_timeout=5.0, total_timeout=5.0)
SETTINGS = {"shards": dataclasses.asdict(SPEC), "keep": False}


class Here:
    """A cluster of this process; remembers the tasks."""

    def __init__(self):
        self.tasks = []

    def run(self, task, items):
        self.tasks += items
        for item in items:
            task(item)


@pytest.fixture
def server():
    with scripted.serving() as server:
        yield server


@pytest.fixture
def gif(tmp_path) -> bytes:
    write_gif(tmp_path / "here.gif", 1, count=3)
    return (tmp_path / "here.gif").read_bytes()


def plan_of(tmp_path: Path, sources, out: Storage, settings=SETTINGS) -> Plan:
    captions = tmp_path / "captions.tsv"
    captions.write_text("".join(f"{source}\tcaption {n}\n" for n, source in enumerate(sources)))
    settings = settings | {"captions_sha256": digest_of(captions)}
    return plan_clips(captions, [], out, settings, slots=1)


@pytest.fixture
def three_shares(monkeypatch):
    monkeypatch.setattr("v2t_lib.cluster.plan.FEW_ROWS", 4)


def sources_in(folder: Path) -> list[str]:
    info = DatasetInfo.load(folder)
    found = [e.source for shard in info.shards for e in whole_examples(folder / shard.name)]
    return sorted(found)


def test_sources_that_were_not_reachable_are_tried_again(server, gif, tmp_path, three_shares):
    urls = [server.script(f"/{n}.gif", scripted.ranged(gif)) for n in range(8)]
    server.script("/3.gif", scripted.status(500), scripted.ranged(gif))
    out = Storage.of(tmp_path / "out")
    plan = plan_of(tmp_path, [*urls, "here.gif", "late.gif"], out)
    job, cluster = FetchJob(str(tmp_path / "captions.tsv"), SPEC, False, QUICK), Here()
    run_job(cluster, job, out, plan, ["all"])
    assert plan.shares == len(cluster.tasks) == 3
    join_shards(out, plan, "all")
    verdicts = join_manifests(out, plan)["splits"]["all"]["verdicts"]
    assert verdicts == {"ok": 8, "gone": 1, "unreachable": 1}
    assert sources_in(tmp_path / "out" / "all") == sorted([*urls[:3], *urls[4:], "here.gif"])

    (tmp_path / "late.gif").write_bytes(gif)
    server.asked.clear()
    cluster.tasks.clear()
    run_job(cluster, job, out, plan, ["all"])
    assert 1 <= len(cluster.tasks) <= 2 and all(digest for _, digest in cluster.tasks)
    assert [path for path, _ in server.asked] == ["/3.gif"]
    join_shards(out, plan, "all")
    assert join_manifests(out, plan)["splits"]["all"]["verdicts"] == {"ok": 10}
    assert sources_in(tmp_path / "out" / "all") == sorted([*urls, "here.gif", "late.gif"])
    folder = tmp_path / "out"
    for row in read_rows(folder / "manifest.tsv"):
        assert row.source in [e.source for e in whole_examples(folder / row.shard)]
    cluster.tasks.clear()
    run_job(cluster, job, out, plan, ["all"])
    assert not cluster.tasks

    # A single machine can take the folder over.
    server.asked.clear()
    before = sources_in(folder / "all")
    fetch(read_captions(job.captions), job.captions, folder, spec=SPEC, workers=1)
    assert not server.asked and sources_in(folder / "all") == before


def test_originals_are_kept_without_shards(server, gif, tmp_path):
    urls = [server.script(f"/{n}.gif", scripted.ranged(gif)) for n in range(3)]
    server.script("/1.gif", scripted.short(gif[:50], ETag='"v1"', Accept_Ranges="bytes"))
    out, settings = Storage.of(tmp_path / "out"), SETTINGS | {"shards": None, "keep": True}
    plan = plan_of(tmp_path, urls, out, settings)
    run_job(Here(), FetchJob(str(tmp_path / "captions.tsv"), None, True, QUICK), out, plan, [])
    assert join_manifests(out, plan)["have"] == 2
    kept = {path.name for path in (tmp_path / "out" / "clips").iterdir()}
    captions = read_captions(tmp_path / "out" / "clips" / "all.tsv")
    assert kept == {"all.tsv", *(record.source for record in captions)} and len(captions) == 2
    assert (tmp_path / "out" / "clips" / captions[0].source).read_bytes() == gif


def test_an_attempt_that_comes_late_changes_nothing(gif, tmp_path):
    out = Storage.of(tmp_path / "out")
    plan = plan_of(tmp_path, ["here.gif"], out)
    job = PackJob(str(tmp_path / "captions.tsv"), SPEC)
    task = functools.partial(run_share, __version__, job, out)

    class Slow(PackJob):
        def work(self, rows, share, folder):
            task((0, ""))  # meanwhile another attempt finishes
            write_gif(tmp_path / "here.gif", 2, count=3)
            super().work(rows, share, folder)

    run_share(__version__, Slow(job.captions, SPEC), out, (0, ""))
    state = out.read(zip_name(0))
    assert len(list((tmp_path / "out").glob("*.tfrecord"))) == 2
    cluster = Here()
    run_job(cluster, job, out, plan, [""])
    join_shards(out, plan)
    assert not cluster.tasks and out.read(zip_name(0)) == state
    assert sources_in(tmp_path / "out") == ["here.gif"]
    # A share whose shard is lost is done again; then what nobody needs is deleted.
    (shard,) = (tmp_path / "out" / s.name for s in DatasetInfo.load(tmp_path / "out").shards)
    shard.unlink()
    run_job(cluster, job, out, plan, [""])
    assert cluster.tasks == [(0, "")]
    join_shards(out, plan)
    (left,) = (tmp_path / "out").glob("*.tfrecord")
    assert left.name == DatasetInfo.load(tmp_path / "out").shards[0].name
    with pytest.raises(ClusterError, match=r"expected v2t_lib 9\.9 on every worker"):
        run_share("9.9", job, out, (0, ""))
