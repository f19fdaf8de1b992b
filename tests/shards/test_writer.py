import itertools
import json
import struct

import pytest
import tensorflow as tf
from helpers.shards import SPEC, all_of, fill, source, sources_in, stored

from v2t_lib.errors import DataError
from v2t_lib.shards.example import RecordWriter
from v2t_lib.shards.format import DatasetInfo, LeftOut
from v2t_lib.shards.writer import ShardWriter


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "train"


def test_shards_fill_up_and_are_described(folder):
    rows = {}
    left_out = LeftOut("x", "gone", "HTTP 404")
    info = fill(folder, range(8), rows).finish([left_out])
    assert DatasetInfo.load(folder) == info
    assert [shard.clips for shard in info.shards] == [3, 3, 2]
    assert (info.clips, info.captions, info.masks) == (8, 12, 1)
    assert info.bytes == sum(p.stat().st_size for p in folder.glob("*.tfrecord"))
    assert info.left_out == (left_out,)
    assert sources_in(folder) == all_of(*range(8))
    assert {path.suffix for path in folder.iterdir()} == {".tfrecord", ".json"}


def test_no_clips_make_no_data_set(folder):
    assert ShardWriter(folder, SPEC).finish().clips == 0 and not folder.exists()
    assert ShardWriter(folder, SPEC).recover({"00000.tfrecord": {"a", "b"}}) in (
        ["a", "b"],
        ["b", "a"],
    )


def test_a_finished_folder_grows(folder):
    rows = {}
    fill(folder, range(4), rows).finish()
    info = fill(folder, range(4, 9), rows).finish()
    assert DatasetInfo.load(folder) == info and info.clips == 9
    assert sorted(sources_in(folder)) == sorted(all_of(*range(9)))


def test_wherever_a_shard_under_way_is_cut_off_the_rest_goes_on(folder, tmp_path):
    rows = {}
    fill(folder, range(5), rows)
    (under_way,) = folder.glob("*.open")
    whole = under_way.read_bytes()
    size = struct.unpack_from("<Q", whole)[0] + 16
    for cut in [0, 1, 11, size - 1, size, size + 5, len(whole) - 1, len(whole)]:
        other = tmp_path / f"cut-{cut}" / "train"
        other.mkdir(parents=True)
        for path in folder.iterdir():
            (other / path.name).write_bytes(path.read_bytes())
        (other / under_way.name).write_bytes(whole[:cut])
        log = ShardWriter(other, SPEC)
        there = 3 + (cut >= size) + (cut == len(whole))
        assert sorted(log.recover(rows)) == all_of(*range(there, 5))
        for number in range(there, 5):
            log.append(stored(number))
        log.finish()
        assert sorted(sources_in(other)) == all_of(*range(5))
        assert not list(other.glob("*.open"))


def test_an_example_without_a_row_is_left_out(folder):
    rows = {}
    fill(folder, range(2), rows)
    (name,) = rows
    rows[name].remove(source(0))
    log = ShardWriter(folder, SPEC)
    assert log.recover(rows) == []
    log.append(stored(0))
    log.finish()
    assert sources_in(folder) == all_of(1, 0)


@pytest.mark.parametrize("step", ["before the name", "before the list", "after a salvage"])
def test_a_kill_while_sealing_loses_nothing(folder, monkeypatch, step):
    rows = {}
    log = fill(folder, range(2), rows)
    if step == "before the name":
        monkeypatch.setattr("v2t_lib.shards.writer.os.replace", stop)
    else:
        monkeypatch.setattr(ShardWriter, "_add", stop)
    with pytest.raises(KeyboardInterrupt):
        log.seal()
    if step == "after a salvage":
        with pytest.raises(KeyboardInterrupt):
            ShardWriter(folder, SPEC).recover(rows)
    monkeypatch.undo()
    log = ShardWriter(folder, SPEC)
    assert log.recover(rows) == []
    assert log.finish().clips == 2
    assert sources_in(folder) == all_of(0, 1)


def stop(*args, **options):
    raise KeyboardInterrupt


def test_shards_that_a_machine_took_with_it_are_missed(folder):
    rows = {}
    fill(folder, range(6), rows).finish()
    first, second = sorted(rows)
    (folder / first).unlink()
    (folder / second).write_bytes((folder / second).read_bytes()[:-20])
    log = ShardWriter(folder, SPEC)
    assert sorted(log.recover(rows)) == all_of(0, 1, 2, 5)
    rows = {second: set(all_of(3, 4))}
    for number in (0, 1, 2, 5):
        log.append(stored(number))
    log.finish()
    assert sorted(sources_in(folder)) == all_of(*range(6))


def test_rows_older_than_a_shard_take_its_clips_out_of_it(folder):
    rows = {}
    fill(folder, range(6), rows).finish()
    first, second = sorted(rows)
    rows = {first: set(all_of(0, 2))}
    log = ShardWriter(folder, SPEC)
    assert log.recover(rows) == []
    assert log.finish().clips == 2 and sources_in(folder) == all_of(0, 2)
    assert not (folder / second).exists()


def test_a_fetched_folder_of_the_previous_version_grows(folder):
    """Its list of sealed shards has no plan, and nothing was left out by shard."""
    rows = {}
    fill(folder, range(4), rows).finish()
    path = folder / "sealed.json"
    listed = [
        {name: shard[name] for name in ("name", "clips", "captions", "masks", "bytes")}
        for shard in json.loads(path.read_text())["shards"]
    ]
    path.write_text(json.dumps({"shards": listed}))
    before = (folder / "00000.tfrecord").stat().st_mtime_ns
    assert fill(folder, range(4, 6), rows).finish().clips == 6
    assert (folder / "00000.tfrecord").stat().st_mtime_ns == before


def planned(folder, plan, kept=None):
    """Writes three shards of known content, as packing does; `kept` gets those that are there."""
    writer = ShardWriter(folder, SPEC, plan)
    writer.recover()
    for number in range(3):
        if writer.has(number):
            kept.append(number)
            continue
        for clip in range(2 * number):  # the first shard is empty
            writer.append(stored(clip))
        writer.seal([LeftOut(str(number), "gone", "")])
    return writer.finish()


@pytest.mark.parametrize("kill", range(1, 14))
def test_a_planned_data_set_is_the_same_wherever_it_was_killed(folder, tmp_path, monkeypatch, kill):
    """Before and after every step that leaves something on the disk."""
    whole = planned(tmp_path / "whole", "plan")
    steps = itertools.count(1)

    def killed(step):
        def stepping(*args, **options):
            if next(steps) == kill:
                raise KeyboardInterrupt
            return step(*args, **options)

        return stepping

    with monkeypatch.context() as patch:
        for home, name in (
            (RecordWriter, "write"),
            (RecordWriter, "close"),
            (ShardWriter, "_add"),
            (DatasetInfo, "save"),
        ):
            patch.setattr(home, name, killed(getattr(home, name)))
        with pytest.raises(KeyboardInterrupt):
            planned(folder, "plan")
    with pytest.raises(DataError, match="run `v2t pack`"):
        DatasetInfo.load(folder)
    kept = []
    assert planned(folder, "plan", kept) == whole == DatasetInfo.load(folder)
    assert kept == list(range((kill > 2) + (kill > 6) + (kill > 12)))
    assert {path.name for path in folder.iterdir()} == {
        "dataset.json",
        *(shard.name for shard in whole.shards),
    }
    for shard in whole.shards:
        assert (folder / shard.name).read_bytes() == (tmp_path / "whole" / shard.name).read_bytes()


def test_shards_of_another_plan_are_made_again_and_finished_ones_refused(folder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(DatasetInfo, "save", stop)
        with pytest.raises(KeyboardInterrupt):
            planned(folder, "one plan")
    (folder / "00001.tfrecord").write_bytes(b"of the other plan")
    planned(folder, "another plan", kept=None)
    with pytest.raises(DataError, match="expected an empty directory"):
        planned(folder, "another plan")


def test_neither_kind_of_data_set_deletes_the_others_shards(tmp_path, monkeypatch):
    fetched, packed = tmp_path / "fetched", tmp_path / "packed"
    fill(fetched, range(4), {})
    planned(packed, "plan")
    names = {path: sorted(path.iterdir()) for path in (fetched, packed)}
    for attempt in (lambda: planned(fetched, "plan"), lambda: fill(packed, range(4), {})):
        with pytest.raises(DataError, match="another data set's shards"):
            attempt()
    assert names == {path: sorted(path.iterdir()) for path in (fetched, packed)}


def test_a_full_disk_says_what_to_do_and_loses_nothing(folder, disk_of):
    rows, log = {}, ShardWriter(folder, SPEC)
    size = 0
    with disk_of(2000), pytest.raises(DataError, match=r"open.*same command again"):
        for number in itertools.count():
            name = log.append(stored(number))
            rows.setdefault(name, set()).add(source(number))
            size = number + 1
    assert size > 3
    log = ShardWriter(folder, SPEC)
    assert log.recover(rows) == []
    for number in range(size, size + 5):
        log.append(stored(number))
    log.finish()
    assert sorted(sources_in(folder)) == sorted(all_of(*range(size + 5)))


def test_examples_are_what_tensorflow_reads(folder):
    fill(folder, range(3), {}).finish()
    raw = [r.numpy() for r in tf.data.TFRecordDataset(str(folder / "00000.tfrecord"))]
    features = [tf.train.Example.FromString(r).features.feature for r in raw]
    assert [f["clip"].bytes_list.value[0] for f in features] == [bytes([n]) * 50 for n in range(3)]
