"""Workers: what fails costs one clip, and what the machine lacks is not the clip's fault."""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.clips import write_gif
from helpers.odd_decoder import odd
from helpers.project import ROOT
from helpers.shards import read_manifest

from v2t_lib.captions_file import read_captions
from v2t_lib.errors import DataError
from v2t_lib.progress import warn_once
from v2t_lib.shards import workers
from v2t_lib.shards.pack import fetch, pack
from v2t_lib.shards.workers import Workers, allowed_processes
from v2t_lib.specs import ClipSpec

SPEC = ClipSpec(2, 8, 8)


def results(*jobs, count=2):
    with contextlib.closing(Workers(count, odd)) as crew:
        return list(crew.map([(job,) for job in jobs]))


def test_an_error_of_any_kind_costs_one_clip():
    first, bug, memory, last = results("a", "bug", "memory", "b")
    assert (first, last) == ("A", "B")
    assert bug.kind == "corrupt" and "KeyError" in bug.message
    assert memory.kind == "unreachable" and "MemoryError" in memory.message


@pytest.mark.parametrize("count", [1, 2])
def test_a_decoder_that_hangs_is_ended(count, monkeypatch):
    monkeypatch.setattr(workers, "DECODING_SECONDS", 2)
    first, hung, *rest = results("a", "hangs", "b", "bug", "c", count=count)
    assert (first, rest[0], rest[2]) == ("A", "B", "C") and rest[1].kind == "corrupt"
    assert hung.args == (
        "unreachable",
        "expected a clip to decode within 2 s. Received: nothing; it was given up",
    )


def test_a_worker_that_dies_costs_one_clip():
    found = results(*"abcde", "dies", *"fghijk")
    assert found.pop(5).args == (
        "corrupt",
        "expected a clip to decode. Received: its decoder process died",
    )
    assert found == list("ABCDEFGHIJK")


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    code = (
        "import os, signal\n"
        "from v2t_lib.shards.workers import start_pool\n"
        "if __name__ == '__main__':\n"
        "    pool = start_pool(1)\n"
        "    print(pool.schedule(os.getpid).result(), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    (tmp_path / "script.py").write_text(code)
    run = subprocess.run(
        [sys.executable, tmp_path / "script.py"], capture_output=True, text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}, timeout=60,
    )  # fmt: skip
    worker = int(run.stdout)
    for _ in range(100):
        state = Path(f"/proc/{worker}/stat")
        if not state.exists() or state.read_text().split()[2] == "Z":
            return
        time.sleep(0.1)
    os.kill(worker, signal.SIGKILL)
    pytest.fail("the worker outlived its parent")


def test_a_worker_that_is_ended_between_two_jobs_costs_none():
    with contextlib.closing(Workers(1, odd)) as crew:
        assert list(crew.map([("a",)])) == ["A"]
        os.kill(crew._pool.schedule(os.getpid).result(), signal.SIGKILL)
        assert list(crew.map([("b",), ("c",)])) == ["B", "C"]


def lacks_semaphores(monkeypatch, folder):
    monkeypatch.setattr(workers.SPAWN, "Lock", lambda: os.open("/dev/shm/none/such", os.O_RDONLY))


def is_a_daemon(monkeypatch, folder):
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)


def has_no_folder(monkeypatch, folder):
    monkeypatch.chdir(folder)
    folder.rmdir()


OBSTACLES = {"/dev/shm": lacks_semaphores, "a daemonic": is_a_daemon, "folder is": has_no_folder}


@pytest.mark.parametrize("said", OBSTACLES)
def test_where_no_process_can_be_started_this_one_works(said, tmp_path, monkeypatch, capsys):
    warn_once.cache_clear()
    (tmp_path / "folder").mkdir()
    OBSTACLES[said](monkeypatch, tmp_path / "folder")
    first, bug, memory, last = results("a", "bug", "memory", "b")
    assert (first, bug.kind, memory.kind, last) == ("A", "corrupt", "unreachable", "B")
    assert said in capsys.readouterr().err


def test_no_more_processes_than_the_machine_allows(tmp_path, monkeypatch):
    cores = len(os.sched_getaffinity(0))
    quota, period = tmp_path / "cpu.max", tmp_path / "period"
    for content, allowed in (("max 100000", cores), ("100000 100000", 1), ("50000 100000", 1),
                             ("-1", cores), ("90000000 100000", cores)):  # fmt: skip
        quota.write_text(content)
        period.write_text("100000" if " " not in content else "")
        monkeypatch.setattr(workers, "CPU_QUOTAS", [[str(quota), str(period)]])
        assert allowed_processes() == allowed
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(7)))
    monkeypatch.setattr(workers, "CPU_QUOTAS", [["/nowhere"]])
    assert allowed_processes() == 7


@pytest.fixture
def captions(tmp_path):
    (tmp_path / "clips").mkdir()
    for number in range(4):
        write_gif(tmp_path / "clips" / f"{number}.gif", number)
    rows = (f"clips/{number}.gif\ta clip\n" for number in range(4))
    (tmp_path / "captions.tsv").write_text("".join(rows))
    return tmp_path / "captions.tsv"


SCRIPT = """
from v2t_lib.captions_file import read_captions
from v2t_lib.specs import ClipSpec
records, spec = read_captions({0!r}), ClipSpec(2, 8, 8)
from v2t_lib."""


@pytest.mark.parametrize(
    "call",
    [
        "shards.pack import pack; pack(records, {0!r}, 'shards', spec, workers=1)",
        "shards.pack import fetch; fetch(records, {0!r}, 'fetched', spec=spec, workers=1)",
        "datasets.shapes import write_shapes; write_shapes('drawn', 5, workers=1)",
    ],
)
def test_a_script_without_a_main_guard_is_told_and_decides_nothing(captions, tmp_path, call):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(str(captions)) + call.format(str(captions)))
    command = [sys.executable, str(script)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    last = run.stderr.strip().splitlines()[-1]
    assert run.returncode == 1 and 'if __name__ == "__main__":' in last and "DataError" in last
    made = [path.name for path in tmp_path.rglob("*") if path.parent.name != "clips"]
    assert not any(name.endswith((".tfrecord", ".gif", "manifest.tsv")) for name in made)
    records = read_captions(captions)  # the folders it left are used by the script once mended
    pack(records, captions, tmp_path / "shards", SPEC, workers=1)
    fetch(records, captions, tmp_path / "fetched", spec=SPEC, workers=1)
    assert {row.verdict for row in read_manifest(tmp_path / "fetched" / "manifest.tsv")} == {"ok"}


def test_local_clips_that_were_missing_are_looked_for_again(captions, tmp_path):
    away, records = tmp_path / "unmounted", read_captions(captions)
    (tmp_path / "clips").rename(away)
    with pytest.raises(DataError, match=r"4 left out.*unreachable: .*no such file, nor its folder"):
        pack(records, captions, tmp_path / "shards", SPEC, workers=1)
    fetch(records, captions, tmp_path / "fetched", spec=SPEC, workers=1)
    verdicts = {row.verdict for row in read_manifest(tmp_path / "fetched" / "manifest.tsv")}
    assert verdicts == {"unreachable"}
    away.rename(tmp_path / "clips")
    (tmp_path / "clips" / "2.gif").rename(tmp_path / "2.gif")
    for clips in (3, 4):
        info = pack(records, captions, tmp_path / "shards", SPEC, workers=1)
        fetch(records, captions, tmp_path / "fetched", spec=SPEC, workers=1)
        rows = read_manifest(tmp_path / "fetched" / "manifest.tsv")
        assert info.clips == clips == sum(row.verdict == "ok" for row in rows)
        if clips == 3:
            (entry,) = info.left_out
            assert entry.kind == "unreachable"
            (tmp_path / "2.gif").rename(tmp_path / "clips" / "2.gif")
