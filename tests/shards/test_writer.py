import itertools
import struct

import pytest
import tensorflow as tf
from helpers.shards import SPEC, all_of, fill, packed, record, sources_in

from v2t_lib.errors import DataError
from v2t_lib.shards.format import describe, shard_paths
from v2t_lib.shards.writer import ShardWriter


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "train"


def test_shards_fill_up_and_are_described(folder):
    rows = {}
    left_out = [{"source": "x", "kind": "gone", "why": "HTTP 404"}]
    described = fill(folder, range(8), rows).finish(left_out)
    assert describe(folder) == described
    assert [shard["clips"] for shard in described["shards"]] == [3, 3, 2]
    assert (described["clips"], described["captions"], described["masks"]) == (8, 12, 1)
    assert described["bytes"] == sum(p.stat().st_size for p in folder.glob("*.tfrecord"))
    assert described["left_out"] == left_out
    assert sources_in(folder) == all_of(*range(8))
    assert {path.suffix for path in folder.iterdir()} == {".tfrecord", ".json"}


def test_no_clips_make_no_data_set(folder):
    assert ShardWriter(folder, SPEC).finish([]) is None and not folder.exists()
    assert ShardWriter(folder, SPEC).recover({"00000.tfrecord": {"a", "b"}}) in (
        ["a", "b"],
        ["b", "a"],
    )


def test_a_finished_folder_grows(folder):
    rows = {}
    fill(folder, range(4), rows).finish([])
    described = fill(folder, range(4, 9), rows).finish([])
    assert describe(folder) == described and described["clips"] == 9
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
        log = ShardWriter(other, SPEC, 3)
        there = 3 + (cut >= size) + (cut == len(whole))
        assert sorted(log.recover(rows)) == all_of(*range(there, 5))
        for number in range(there, 5):
            log.append(record(number), packed(number))
        log.finish([])
        assert sorted(sources_in(other)) == all_of(*range(5))
        assert not list(other.glob("*.open"))


def test_an_example_without_a_row_is_left_out(folder):
    rows = {}
    fill(folder, range(2), rows)
    (name,) = rows
    rows[name].remove(record(0).source)
    log = ShardWriter(folder, SPEC, 3)
    assert log.recover(rows) == []
    log.append(record(0), packed(0))
    log.finish([])
    assert sources_in(folder) == all_of(1, 0)


@pytest.mark.parametrize("step", ["before the name", "before the list", "after a salvage"])
def test_a_kill_while_sealing_loses_nothing(folder, monkeypatch, step):
    rows = {}
    log = fill(folder, range(2), rows)
    if step == "before the name":
        monkeypatch.setattr("v2t_lib.shards.writer.os.replace", stop)
    else:
        monkeypatch.setattr(ShardWriter, "_list", stop)
    with pytest.raises(KeyboardInterrupt):
        log.seal()
    if step == "after a salvage":
        with pytest.raises(KeyboardInterrupt):
            ShardWriter(folder, SPEC, 3).recover(rows)
    monkeypatch.undo()
    log = ShardWriter(folder, SPEC, 3)
    assert log.recover(rows) == []
    assert log.finish([])["clips"] == 2
    assert sources_in(folder) == all_of(0, 1)


def stop(*args, **options):
    raise KeyboardInterrupt


def test_shards_that_a_machine_took_with_it_are_missed(folder):
    rows = {}
    fill(folder, range(6), rows).finish([])
    first, second = sorted(rows)
    (folder / first).unlink()
    (folder / second).write_bytes((folder / second).read_bytes()[:-20])
    log = ShardWriter(folder, SPEC, 3)
    assert sorted(log.recover(rows)) == all_of(0, 1, 2, 5)
    rows = {second: set(all_of(3, 4))}
    for number in (0, 1, 2, 5):
        log.append(record(number), packed(number))
    log.finish([])
    assert sorted(sources_in(folder)) == all_of(*range(6))


def test_rows_older_than_a_shard_take_its_clips_out_of_it(folder):
    rows = {}
    fill(folder, range(6), rows).finish([])
    first, second = sorted(rows)
    rows = {first: set(all_of(0, 2))}
    log = ShardWriter(folder, SPEC, 3)
    assert log.recover(rows) == []
    assert log.finish([])["clips"] == 2 and sources_in(folder) == all_of(0, 2)
    assert not (folder / second).exists()


def test_a_full_disk_says_what_to_do_and_loses_nothing(folder, disk_of):
    rows, log = {}, ShardWriter(folder, SPEC, 100)
    size = 0
    with disk_of(2000), pytest.raises(DataError, match=r"open.*same command again"):
        for number in itertools.count():
            name = log.append(record(number), packed(number))
            rows.setdefault(name, set()).add(record(number).source)
            size = number + 1
    assert size > 3
    log = ShardWriter(folder, SPEC, 100)
    assert log.recover(rows) == []
    for number in range(size, size + 5):
        log.append(record(number), packed(number))
    log.finish([])
    assert sorted(sources_in(folder)) == sorted(all_of(*range(size + 5)))


def test_examples_are_what_tensorflow_reads(folder):
    fill(folder, range(3), {}).finish([])
    raw = [r.numpy() for r in tf.data.TFRecordDataset(shard_paths(folder))]
    features = [tf.train.Example.FromString(r).features.feature for r in raw]
    assert [f["clip"].bytes_list.value[0] for f in features] == [bytes([n]) * 50 for n in range(3)]
