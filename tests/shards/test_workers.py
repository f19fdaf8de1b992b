"""Workers: what fails costs one clip, and what the machine lacks is not the clip's fault."""

import contextlib
import subprocess
import sys

import pytest
from helpers.clips import write_gif
from helpers.odd_decoder import odd
from helpers.project import ROOT

from v2t_lib.captions_file import read_captions
from v2t_lib.errors import DataError
from v2t_lib.fetching.fetch import fetch
from v2t_lib.fetching.manifest import read_rows
from v2t_lib.shards import workers
from v2t_lib.shards.pack import pack
from v2t_lib.shards.workers import Workers
from v2t_lib.shards.writer import ShardWriter
from v2t_lib.specs import ClipSpec

SPEC = ClipSpec(2, 8, 8)


def results(*jobs, count=2):
    with contextlib.closing(Workers(count, odd)) as crew:
        return list(crew.run([(job,) for job in jobs]))


def test_an_error_of_any_kind_costs_one_clip():
    first, bug, memory, last = results("a", "bug", "memory", "b")
    assert (first, last) == ("A", "B")
    assert bug[0] == "corrupt" and "KeyError" in bug[1]
    assert memory[0] == "unreachable" and "MemoryError" in memory[1]


@pytest.mark.parametrize("count", [1, 2])
def test_a_decoder_that_hangs_is_ended(count, monkeypatch):
    monkeypatch.setattr(workers, "DECODING_SECONDS", 2)
    first, hung, *rest = results("a", "hangs", "b", "bug", "c", count=count)
    assert (first, rest[0], rest[2]) == ("A", "B", "C") and rest[1][0] == "corrupt"
    assert hung == (
        "unreachable",
        "expected a clip to decode within 2 s. Received: nothing; it was given up",
    )


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
        "fetching.fetch import fetch; fetch(records, {0!r}, 'fetched', spec=spec, workers=1)",
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
    assert {row.verdict for row in read_rows(tmp_path / "fetched" / "manifest.tsv")} == {"ok"}


def test_local_clips_that_were_missing_are_looked_for_again(captions, tmp_path):
    away, records = tmp_path / "unmounted", read_captions(captions)
    (tmp_path / "clips").rename(away)
    with pytest.raises(DataError, match=r"4 left out.*unreachable: .*no such file, nor its folder"):
        pack(records, captions, tmp_path / "shards", SPEC, workers=1)
    fetch(records, captions, tmp_path / "fetched", spec=SPEC, workers=1)
    verdicts = {row.verdict for row in read_rows(tmp_path / "fetched" / "manifest.tsv")}
    assert verdicts == {"unreachable"}
    away.rename(tmp_path / "clips")
    (tmp_path / "clips" / "2.gif").rename(tmp_path / "2.gif")
    for clips in (3, 4):
        info = pack(records, captions, tmp_path / "shards", SPEC, workers=1)
        fetch(records, captions, tmp_path / "fetched", spec=SPEC, workers=1)
        rows = read_rows(tmp_path / "fetched" / "manifest.tsv")
        assert info.clips == clips == sum(row.verdict == "ok" for row in rows)
        if clips == 3:
            (entry,) = info.left_out
            assert entry.kind == "gone"
            (tmp_path / "shards" / "features-old").mkdir()
            (tmp_path / "2.gif").rename(tmp_path / "clips" / "2.gif")
    assert not (tmp_path / "shards" / "features-old").exists()


def test_of_an_unfinished_pack_only_shards_with_missing_clips_are_packed_again(
    captions, tmp_path, monkeypatch
):
    monkeypatch.setattr(ShardWriter, "clips_per_shard", 2)
    records, finish, append = read_captions(captions), ShardWriter.finish, ShardWriter.append
    (tmp_path / "clips" / "0.gif").rename(tmp_path / "0.gif")

    def killed(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(ShardWriter, "finish", killed)
    with pytest.raises(KeyboardInterrupt):
        pack(records, captions, tmp_path / "shards", SPEC, workers=1)
    (tmp_path / "0.gif").rename(tmp_path / "clips" / "0.gif")
    written = []
    monkeypatch.setattr(ShardWriter, "finish", finish)
    monkeypatch.setattr(
        ShardWriter, "append", lambda self, e: written.append(e.source) or append(self, e)
    )
    info = pack(records, captions, tmp_path / "shards", SPEC, workers=1)
    assert written == ["clips/0.gif", "clips/1.gif"] and (info.clips, info.left_out) == (4, ())
