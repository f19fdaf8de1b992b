"""Plans and joined results, without a cluster: all rows are there, and memory stays flat."""

import dataclasses
import itertools
import tracemalloc
import warnings
from collections import Counter

import pytest

from v2t_lib.captions_file import Record, read_captions, select
from v2t_lib.cluster import plan as plans
from v2t_lib.cluster.plan import Plan, begun_plan, plan_clips, plan_rows, read_rows, share_name
from v2t_lib.cluster.storage import Storage, unpack_zip
from v2t_lib.errors import DataError
from v2t_lib.fetching.fetch import part_of
from v2t_lib.shards.format import DatasetInfo, LeftOut, Shard, save_joined
from v2t_lib.specs import ClipSpec

pytestmark = pytest.mark.spark


def shares_of(out: Storage, plan: Plan, folder) -> list[list]:
    rows = []
    for number in range(plan.shares):
        unpack_zip(out.read(f"_spark/plan/{share_name(number)}.zip"), folder)
        rows.append(read_rows(folder / plans.ROWS_FILE))
    return rows


def records(rows: list[dict]) -> list[Record]:
    return [Record(**row | {"captions": tuple(row["captions"])}) for row in rows]


def test_a_share_of_clips_is_a_part(tmp_path, monkeypatch):
    monkeypatch.setattr(plans, "FEW_ROWS", 10)
    captions, listed = tmp_path / "captions.tsv", tmp_path / "val.txt"
    lines = [f"https://a.b/{n % 70}.gif\tcaption {n % 90}\n" for n in range(140)]
    captions.write_text("url\tcaption\n" + "".join(lines) + lines[0])
    listed.write_text("".join(f"https://a.b/{n}.gif\n" for n in range(30, 50)))
    out = Storage.of(tmp_path / "all")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the header, and of the row that comes twice
        plan = plan_clips(captions, [], out, {"keep": False}, slots=2)
        whole = read_captions(captions)
        chosen = plan_clips(captions, [listed], Storage.of(tmp_path / "some"), {}, slots=2)
    assert (plan.shares, plan.rows, chosen.rows) == (15, 70, 20)
    for number, rows in enumerate(shares_of(out, plan, tmp_path)):
        assert records(rows) == part_of(whole, number + 1, 15)
    found = shares_of(Storage.of(tmp_path / "some"), chosen, tmp_path)
    expected = {record.source: record for record in select(whole, listed)}
    assert {r.source: r for rows in found for r in records(rows)} == expected

    assert begun_plan(out, {"keep": False}) == plan
    assert begun_plan(Storage.of(tmp_path / "none"), {}) is None
    with pytest.raises(DataError, match="expected the keep it was begun with, False"):
        begun_plan(out, {"keep": True})


def test_rows_keep_their_order(tmp_path):
    rows = [{"file": f"{n}.gif", "source": f"/clips/\x85{n}.gif"} for n in range(2345)]
    out = Storage.of(tmp_path / "out")
    plan = plan_rows(iter(rows), len(rows), out, {}, slots=1)
    found = shares_of(out, plan, tmp_path)
    assert list(itertools.chain(*found)) == rows
    assert {len(share) for share in found[:-1]} == {len(found[0])}


@pytest.mark.parametrize(
    ("captions", "listed", "said"),
    [
        ("a.gif\tone\nb.gif\n", "a.gif", "row 2: expected `source<TAB>caption`"),
        ("a.gif\tone\n", "a.gif\nb.gif\n", "train.txt: expected sources that the captions file"),
        ("a.gif\tone\n", "", "train.txt: expected at least one row"),
    ],
)
def test_what_a_task_would_stop_at_is_found_before_any(tmp_path, captions, listed, said):
    (tmp_path / "captions.tsv").write_text(captions)
    (tmp_path / "train.txt").write_text(listed)
    out = Storage.of(tmp_path / "out")
    with pytest.raises(DataError, match=said):
        plan_clips(tmp_path / "captions.tsv", [tmp_path / "train.txt"], out, {}, slots=1)
    assert not (tmp_path / "out").exists()


def test_a_source_in_two_splits_is_refused(tmp_path):
    (tmp_path / "captions.tsv").write_text("a.gif\tone\n")
    lists = [tmp_path / "train.txt", tmp_path / "val.txt"]
    for path in lists:
        path.write_text("a.gif\n")
    with pytest.raises(DataError, match="expected every source in one split only"):
        plan_clips(tmp_path / "captions.tsv", lists, Storage.of(tmp_path / "out"), {}, slots=1)


def test_memory_does_not_grow_with_the_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(plans, "ROWS", 100)
    monkeypatch.setattr(plans, "WAITING", 2**12)
    peaks = []
    for count in (1000, 8000):
        captions = tmp_path / f"{count}.tsv"
        captions.write_text("".join(f"https://a.b/{n}.gif\ta caption\n" for n in range(count)))
        tracemalloc.start()
        plan_clips(captions, [], Storage.of(tmp_path / f"out-{count}"), {}, slots=1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # A list of as many records would take several megabytes.
    assert peaks[1] < peaks[0] + 500_000


def test_joined_data_sets_hold_what_their_parts_do(tmp_path):
    def part(name: str, clips: int) -> DatasetInfo:
        return DatasetInfo(
            clip_spec=ClipSpec(),
            clips=clips,
            captions=2 * clips,
            masks=0,
            bytes=5,
            left_out=(LeftOut(f"{name}.gif", "gone", 'a "why"'),),
            shards=(Shard(f"{name}.tfrecord", clips, 5),) if clips else (),
        )

    parts = [part("a", 3), part("b", 0), part("c", 4)]
    for name in "ac":
        (tmp_path / f"{name}.tfrecord").write_bytes(b"12345")
    assert save_joined(tmp_path, iter(parts)) == 7
    info = DatasetInfo.load(tmp_path)
    counts = Counter(clips=7, captions=14, masks=0, bytes=15)
    assert all(getattr(info, name) == count for name, count in counts.items())
    assert info.left_out == tuple(part.left_out[0] for part in parts)
    assert info.shards == (*parts[0].shards, *parts[2].shards)
    assert info.digest != DatasetInfo(**dataclasses.asdict(parts[0])).digest
    with pytest.raises(DataError, match="expected clips of one size"):
        save_joined(tmp_path, [parts[0], dataclasses.replace(parts[1], clip_spec=ClipSpec(2))])


def test_a_file_appears_whole_and_an_object_store_gets_no_folders(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    (tmp_path / "x").write_bytes(b"1")
    out = Storage.of("memory://out/deep")
    out.put(tmp_path / "x", "a/b.bin")
    assert out.read("a/b.bin") == b"1" and out.sizes("a") == {"a/b.bin": 1}
    assert out.read("a/none") == b"" and out.sizes("none") == {}
    out.tidy()
    assert fsspec.filesystem("memory").find("/out") == ["/out/deep/a/b.bin"]
    out.remove("a", "nothing")
    assert not out.exists("a/b.bin")
