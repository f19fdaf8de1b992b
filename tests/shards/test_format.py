import dataclasses
import json

import pytest
from helpers.shards import SPEC, fill

from v2t_lib.errors import DataError
from v2t_lib.shards.format import DatasetInfo, Features, LeftOut, Shard, is_finished
from v2t_lib.shards.reader import ShardDataset

LEFT_OUT = LeftOut("x.gif", "gone", "HTTP 404")


@pytest.fixture
def folder(tmp_path):
    """A finished folder, of two shards."""
    fill(tmp_path / "shards", range(5), {}).finish([LEFT_OUT])
    return tmp_path / "shards"


def described(folder, **changes) -> dict:
    """Rewrites `dataset.json` with these changes; None takes a key out."""
    path = folder / "dataset.json"
    value = json.loads(path.read_text()) | changes
    value = {name: entry for name, entry in value.items() if entry is not None}
    path.write_text(json.dumps(value))
    return value


def test_the_files_form_is_that_of_every_version(folder):
    info = DatasetInfo.load(folder)
    assert described(folder) == {
        "format": 1,
        "plan": info.digest,
        "clip_spec": {"frames": 2, "height": 4, "width": 4},
        "clips": 5,
        "captions": 7,
        "masks": 1,
        "bytes": sum(path.stat().st_size for path in folder.glob("*.tfrecord")),
        "left_out": [{"source": "x.gif", "kind": "gone", "why": "HTTP 404"}],
        "shards": [
            {"name": name, "clips": clips, "bytes": (folder / name).stat().st_size}
            for name, clips in (("00000.tfrecord", 3), ("00001.tfrecord", 2))
        ],
    }


def test_what_is_saved_is_what_is_loaded(folder):
    features = Features("Network", "0123abcd", (2, 7, 7, 64))
    for info in (
        DatasetInfo.load(folder),
        dataclasses.replace(DatasetInfo.load(folder), features=features, digest="plan"),
    ):
        info.save(folder)
        assert DatasetInfo.load(folder) == info


@pytest.mark.parametrize("plan", ["0c0168ac7b8f84e1", None])
def test_folders_of_the_previous_version_open(folder, plan):
    """Those of packed clips have a plan; those of fetched and of merged clips have none."""
    described(folder, plan=plan)
    dataset = ShardDataset.open(folder)
    assert dataset.info.clip_spec == SPEC and len(dataset.captions()) == 7
    assert dataset.info.digest == plan or plan is None
    assert len(dataset.info.digest) >= 16
    assert dataset.info.left_out == (LEFT_OUT,) and dataset.info.features is None


def test_a_fingerprint_that_is_computed_changes_with_the_content(folder):
    described(folder, plan=None)
    info = DatasetInfo.load(folder)
    assert info == DatasetInfo.load(folder)
    others = [
        dataclasses.replace(info, digest="", **{name: value})
        for name, value in (
            ("captions", 8),
            ("shards", (Shard("00000.tfrecord", 5, info.bytes),)),
            ("shards", info.shards[::-1]),
            ("clip_spec", dataclasses.replace(SPEC, frames=3)),
        )
    ]
    assert len({each.digest for each in (info, *others)}) == 5


def test_cut_and_missing_shards_are_refused(folder):
    shard = folder / "00000.tfrecord"
    shard.write_bytes(shard.read_bytes()[:-10])
    with pytest.raises(DataError, match=r"00000\.tfrecord: expected \d+ bytes"):
        DatasetInfo.load(folder)
    shard.unlink()
    with pytest.raises(DataError, match="Received: None"):
        DatasetInfo.load(folder)


def test_other_formats_and_damaged_descriptions_are_refused(folder):
    path = folder / "dataset.json"
    for text in ("{", "[]", "{}", '{"format": 1}'):
        path.write_text(text)
        with pytest.raises(DataError, match=r"dataset\.json: expected a data set's description"):
            DatasetInfo.load(folder)
    path.write_text(json.dumps({"format": 0}))
    with pytest.raises(DataError, match="expected format 1"):
        DatasetInfo.load(folder)
    path.unlink()
    assert not is_finished(folder)
    with pytest.raises(DataError, match="run `v2t pack`"):
        DatasetInfo.load(folder)


def test_shards_outside_the_folder_are_refused(folder):
    described(folder, shards=[{"name": "../other.tfrecord", "clips": 1, "bytes": 1}])
    with pytest.raises(DataError, match="expected a data set's description"):
        DatasetInfo.load(folder)
