"""`--spark` on a real cluster: the result is a single machine's, whatever happens on the way."""

import dataclasses
import json
import os
import socket
import threading
import time
from pathlib import Path

import pytest
from helpers import scripted_server as scripted
from helpers.clips import write_gif
from helpers.shards import read_manifest
from spark_cluster import running

import v2t_lib
from v2t_lib.captions_file import read_captions, select
from v2t_lib.cli.main import main
from v2t_lib.cluster import session
from v2t_lib.errors import DataError
from v2t_lib.fetching.http import RetryPolicy
from v2t_lib.shards.example import whole_examples
from v2t_lib.shards.format import DatasetInfo
from v2t_lib.shards.pack import fetch, pack
from v2t_lib.specs import ClipSpec

pytestmark = [
    pytest.mark.spark,
    # Py4J leaves its sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SPEC = ClipSpec(frames=2, height=8, width=8)
SIZE = ["--frames", "2", "--size", "8"]
QUICK = RetryPolicy(pause=0.02, attempts=3, total_timeout=30.0)
SERVERS = ["--pause", "0.02", "--attempts", "3", "--total-timeout", "900"]
#: More take longer and show no more: V2T_SPARK_CLIPS=2000 make test-spark.
CLIPS = int(os.environ.get("V2T_SPARK_CLIPS", 320))


@pytest.fixture(scope="module")
def s3():
    """A local S3 with a bucket `clips`, and the variables by which S3 clients find it."""
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
        files = s3fs.S3FileSystem(use_listings_cache=False)
        files.mkdir("clips")
        yield files
        files.clear_instance_cache()
    server.stop()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, s3):
    with running(tmp_path_factory.mktemp("spark"), workers=2) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def two_workers(cluster):
    """Every test begins with two workers."""
    while len(cluster.workers) < 2:
        cluster.start_worker()


@pytest.fixture(scope="module")
def gifs(tmp_path_factory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("gifs")
    for number in range(24):
        write_gif(folder / f"{number}.gif", number, count=3)
    return [(folder / f"{number}.gif").read_bytes() for number in range(24)]


def hostile(server, gifs: list[bytes]) -> list[str]:
    """URLs of clips, a third of which fail in one way or another, at first or always."""
    urls = []
    for number in range(CLIPS):
        gif, path = gifs[number % len(gifs)], f"/{number}.gif"
        answers = {
            1: [scripted.status(404)],
            3: [scripted.status(500), scripted.body(gif)],
            5: [scripted.ranged(gif, cut=60), scripted.ranged(gif)],
            7: [scripted.body(gif[:100])],
            9: [scripted.reset(gif), scripted.body(gif)],
            11: [scripted.status(410)],
            13: [scripted.chunked(gif)],
            15: [scripted.status(403)],
        }.get(number % 24, [scripted.ranged(gif)])
        urls.append(server.script(path, *answers))
    return urls


def captions_of(folder: Path, sources) -> Path:
    path = folder / "captions.tsv"
    path.write_text("".join(f"{source}\tcaption {n}\n" for n, source in enumerate(sources)))
    return path


def examples(folder: Path) -> dict[str, bytes]:
    """Every example of a folder of shards, to the byte, by source; each source once."""
    info = DatasetInfo.load(folder)
    found = [e for shard in info.shards for e in whole_examples(folder / shard.name)]
    assert len(found) == info.clips == len({example.source for example in found})
    return {example.source: example.serialised for example in found}


def verdicts(out: Path) -> dict[str, tuple]:
    """Every row of a manifest but how often it took, by source; each source once."""
    rows = [dataclasses.replace(row, attempts=0) for row in read_manifest(out / "manifest.tsv")]
    assert len({row.source for row in rows}) == len(rows)
    return {row.source: dataclasses.astuple(row) for row in rows}


def left_out(folder: Path) -> set:
    return {dataclasses.astuple(entry) for entry in DatasetInfo.load(folder).left_out}


def test_fetching_survives_a_killed_worker_and_a_slow_task(
    cluster, server, gifs, tmp_path, capsys, in_this_process, monkeypatch
):
    monkeypatch.setattr("v2t_lib.shards.plan.SOURCES", 25)  # as many tasks as for more clips
    urls = hostile(server, gifs)
    urls.append(server.script("/slow.gif", scripted.body(gifs[0])))
    captions = captions_of(tmp_path, urls)
    lists = [tmp_path / "train.txt", tmp_path / "val.txt"]
    lists[0].write_text("".join(f"{url}\n" for url in urls[50:]))
    lists[1].write_text("".join(f"{url}\n" for url in urls[:50]))
    records = [r for path in lists for r in select(read_captions(captions), path)]
    fetch(records, captions, tmp_path / "single", spec=SPEC, workers=1, policy=QUICK)

    hostile(server, gifs)
    # The first task that asks for this one waits until the end: another has to do its share.
    end = threading.Event()
    server.script("/slow.gif", lambda handler: end.wait(900), scripted.body(gifs[0]))
    server.asked.clear()

    def kill_midway():
        while len(server.asked) < CLIPS // 2:
            time.sleep(0.05)
        cluster.kill(cluster.workers[0])
        cluster.start_worker()

    killer = threading.Thread(target=kill_midway)
    killer.start()
    command = [
        "fetch",
        str(captions),
        "--out",
        str(tmp_path / "spark"),
        "--shards",
        *SIZE,
        *SERVERS,
    ]
    command += [f"--split={path}" for path in lists] + ["--spark", cluster.url, "--json"]
    assert main(command) == 0
    end.set()
    killer.join()
    counted = json.loads(capsys.readouterr().out)
    assert verdicts(tmp_path / "spark") == verdicts(tmp_path / "single")
    for split in ("train", "val"):
        ours, theirs = tmp_path / "spark" / split, tmp_path / "single" / split
        assert examples(ours) == examples(theirs)
        assert left_out(ours) == left_out(theirs)
        for path in theirs.iterdir():
            assert path.suffix == ".json" or (ours / path.name).read_bytes() == path.read_bytes()
    assert main(["fetch", "--report", str(tmp_path / "single"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == counted

    # A second run asks for nothing; one that lacks a shard, for that share's sources alone.
    server.asked.clear()
    assert main(command) == 0
    assert not server.asked
    lost = tmp_path / "spark" / "train" / "00003.tfrecord"
    lost.unlink()
    with pytest.raises(DataError, match="copy it anew, or"):
        examples(tmp_path / "spark" / "train")
    assert main(command) == 0
    assert 0 < len({path for path, _ in server.asked}) <= 25
    assert examples(tmp_path / "spark" / "train") == examples(tmp_path / "single" / "train")


def local_clips(folder: Path, gifs: list[bytes], count: int) -> Path:
    """A captions file of clips beside it; every tenth is none, and the last one isn't there."""
    for number in range(count):
        data = b"nothing" if number % 10 == 9 else gifs[number % len(gifs)]
        (folder / f"{number}.gif").write_bytes(data)
    return captions_of(folder, [*(f"{number}.gif" for number in range(count)), "none.gif"])


def test_packing_into_s3_gives_what_one_machine_packs(
    cluster, s3, gifs, tmp_path, capsys, in_this_process, monkeypatch
):
    monkeypatch.setattr("v2t_lib.shards.plan.SOURCES", 25)
    captions = local_clips(tmp_path, gifs, 120)
    pack(read_captions(captions), captions, tmp_path / "single", SPEC, 1)
    command = ["pack", str(captions), "--out", "s3://clips/packed", *SIZE, "--json"]
    command += ["--spark", cluster.url]
    assert main(command) == 0
    counted = json.loads(capsys.readouterr().out)
    assert counted["clips"] == 108 and counted["left_out"] == {"not-a-clip": 12, "gone": 1}
    s3.get("clips/packed", str(tmp_path / "down"), recursive=True)
    assert examples(tmp_path / "down") == examples(tmp_path / "single")
    assert left_out(tmp_path / "down") == left_out(tmp_path / "single")
    assert not [name for name in s3.ls("clips/packed") if "v2t-" in name]
    # What was missing is looked for again; the rest isn't done again.
    shards = set(s3.ls("clips/packed"))
    (tmp_path / "none.gif").write_bytes(gifs[5])
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["clips"] == 109
    made = {name.rsplit("/", 1)[1] for name in set(s3.ls("clips/packed")) - shards}
    assert made == {"00005.json", "00005.tfrecord"}


def approximately(row: dict) -> dict:
    """A row without what another number of threads rounds another way."""
    words = [{k: v for k, v in word.items() if k not in ("prob", "lift")} for word in row["words"]]
    return row | {"words": words, "log_prob": 0, "score": 0}


def test_captions_and_verdicts_are_one_machines(cluster, s3, gifs, judge, tmp_path, capsys):
    from pyarrow.parquet import read_table

    captions = local_clips(tmp_path, gifs, 20)
    common = ["--model", judge, "--json"]
    on_spark = [*common, "--spark", cluster.url]
    assert main(["caption", str(tmp_path), *common]) == 1
    rows = list(map(json.loads, capsys.readouterr().out.splitlines()))
    assert main(["caption", str(tmp_path), *on_spark, "--out", "s3://clips/captions"]) == 1
    printed = capsys.readouterr()
    table = "s3://clips/captions/captions.jsonl"
    assert json.loads(printed.out) == {"table": table, "rows": 20, "failed": 2}
    assert "2 of 20 clips gave no caption; their rows say why" in printed.err
    ours = list(map(json.loads, s3.cat(table).splitlines()))
    assert [row["file"] for row in ours] == [row["file"] for row in rows]
    for one, other in zip(ours, rows, strict=True):
        same = one == other if "error" in one else approximately(one) == approximately(other)
        assert same and one.get("log_prob", 0) == pytest.approx(other.get("log_prob", 0), abs=1e-3)

    assert main(["verify", str(captions), *common]) == 1
    rows = list(map(json.loads, capsys.readouterr().out.splitlines()))
    out = tmp_path / "verdicts"
    assert main(["verify", str(captions), *on_spark, "--out", str(out), "--parquet"]) == 1
    ours = read_table(out / "verdicts.parquet").to_pylist()
    assert [row["sentence"] for row in ours] == [f"caption {n}" for n in range(21)]
    for one, other in zip(ours, rows, strict=True):
        assert one["error"] == other.get("error")
        if not one.pop("error"):
            assert approximately(one) == approximately(other)


def fails(capsys, *words: str) -> str:
    """What `v2t` says as it fails: one sentence, after its name."""
    assert main([str(word) for word in words]) == 1
    printed = capsys.readouterr()
    (said,) = [line for line in printed.err.splitlines() if line.startswith("v2t ")]
    assert printed.out == ""
    return said


def test_what_cannot_begin_is_one_sentence_and_leaves_nothing(
    cluster, s3, gifs, tmp_path, capsys, monkeypatch
):
    captions = local_clips(tmp_path, gifs, 2)
    out = tmp_path / "out"

    def pack_fails(master=cluster.url, out=out) -> str:
        return fails(capsys, "pack", captions, "--out", out, *SIZE, "--spark", master)

    with monkeypatch.context() as patch:
        patch.setenv("JAVA_HOME", str(tmp_path))
        assert "on Java 17 or later" in pack_fails()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        master = f"spark://127.0.0.1:{nobody.getsockname()[1]}"
        assert f"answers at {master}. Received: Connection refused" in pack_fails(master)
        nobody.listen()  # and doesn't answer, for which Spark waits
        assert f"answers at {master}. Received: nothing within a minute" in pack_fails(master)
    assert "expected the Python packages for abfs://a/b" in pack_fails(out="abfs://a/b")
    assert "expected to read and write s3://nowhere/out" in pack_fails(out="s3://nowhere/out")
    assert "expected to read and write /proc/nothing" in pack_fails(out="/proc/nothing")
    with monkeypatch.context() as patch:
        patch.setattr(session, "__version__", "9.9.9")
        said = pack_fails()
        assert "expected v2t_lib 9.9.9 on every worker" in said and v2t_lib.__version__ in said
    while cluster.workers:
        cluster.kill(cluster.workers[0])
    monkeypatch.setattr(session, "WORKER_SECONDS", 5)
    assert f"expected workers of {cluster.url} to answer within 5 s" in pack_fails()
    assert not out.exists() and not s3.exists("nowhere")
