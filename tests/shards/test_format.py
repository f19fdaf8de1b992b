import dataclasses
import json
import tracemalloc

import pytest
from helpers.shards import SPEC, fill, read_manifest, source

from v2t_lib.errors import DataError
from v2t_lib.shards.format import DatasetInfo, Features, LeftOut, Shard, Verdict, is_finished
from v2t_lib.shards.reader import ShardDataset
from v2t_lib.shards.slices import SliceInfo, last_verdicts, slices_in, sum_up, write_manifest

LEFT_OUT = LeftOut("x.gif", "gone", "HTTP 404")


@pytest.fixture
def folder(tmp_path):
    """A finished folder, of two shards."""
    info = fill(tmp_path / "shards", range(5))
    dataclasses.replace(info, left_out=(LEFT_OUT,)).save(tmp_path / "shards")
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


def test_a_digest_that_is_computed_changes_with_the_content(folder):
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


ROWS = [
    Verdict("http://a/ä.gif", "train", "ok", 1234, "ab" * 32, 40, 3.65, 250, 141, "http://a/b", 2,
            "train/00000.tfrecord", "clips/x.gif", digest="ab12", captions=("a cat", "Kätzchen")),
    Verdict("http://a/2.gif", "", "gone", final_url="http://a/b", attempts=1, why="HTTP\t404\r"),
]  # fmt: skip


def a_slice(number: int, rows=ROWS) -> SliceInfo:
    counts = {"clips": 1, "captions": 2, "masks": 0, "bytes": 5}
    return SliceInfo(number=number, digest="d", clip_spec=SPEC, verdicts=tuple(rows), **counts)


def test_slices_and_manifests_come_back_as_written(tmp_path):
    later = dataclasses.replace(ROWS[1], verdict="ok", why="")
    for one in (a_slice(0), a_slice(12, [later])):
        one.save(tmp_path)
    (tmp_path / "notes.json").write_text("[]")  # not a slice's name
    assert list(slices_in(tmp_path)) == [a_slice(0), a_slice(12, [later])]
    assert list(slices_in(tmp_path / "none")) == []
    assert list(last_verdicts(tmp_path)) == [ROWS[0], later]
    write_manifest(tmp_path / "manifest.tsv", ROWS)
    found = list(read_manifest(tmp_path / "manifest.tsv"))
    plain = [dataclasses.replace(row, digest="", captions=()) for row in ROWS]
    assert found == [plain[0], dataclasses.replace(plain[1], why="HTTP 404 ")]
    header = (tmp_path / "manifest.tsv").read_text(encoding="utf-8").split("\n")[0]
    assert header.startswith("source\tsplit\tverdict\tbytes\tsha256\tframes")
    assert header.endswith("attempts\tshard\tfile\twhy")


def test_other_files_of_these_names_are_refused(tmp_path):
    (tmp_path / "00001.json").write_text('{"a": 1}')
    with pytest.raises(DataError, match=r"00001\.json: expected a slice's description"):
        list(slices_in(tmp_path))


def test_a_data_set_is_the_sum_of_its_slices_and_last_verdicts_count(tmp_path):
    info = fill(tmp_path, range(5))
    assert [shard.clips for shard in info.shards] == [3, 2]
    assert (info.clips, info.captions, info.masks) == (5, 7, 1)
    assert info.bytes == sum(path.stat().st_size for path in tmp_path.glob("*.tfrecord"))
    nothing = {"clips": 0, "captions": 0, "masks": 0, "bytes": 0}
    missed = (Verdict(source(8), "", "gone", why="404"), Verdict(source(9), "", "still", why="one"))
    SliceInfo(number=2, digest="x", clip_spec=SPEC, verdicts=missed, **nothing).save(tmp_path)
    more = sum_up(tmp_path, SPEC)
    assert more.shards == info.shards and more.digest != info.digest
    assert [entry.kind for entry in more.left_out] == ["gone", "still"]
    come = (dataclasses.replace(missed[0], verdict="ok"),)
    SliceInfo(number=3, digest="y", clip_spec=SPEC, verdicts=come, **nothing).save(tmp_path)
    assert [e.source for e in sum_up(tmp_path, SPEC).left_out] == [source(9)]


def test_a_hundred_thousand_verdicts_need_little_memory(tmp_path):
    url = "https://38.media.tumblr.com/{0:032x}/tumblr_{0:019x}_500.gif"
    for number in range(50):
        rows = [dataclasses.replace(ROWS[0], source=url.format(2000 * number + n), captions=())
                for n in range(2000)]  # fmt: skip
        a_slice(number, rows).save(tmp_path)
    tracemalloc.start()
    write_manifest(tmp_path / "manifest.tsv", last_verdicts(tmp_path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50 * 2**20
    assert sum(1 for _ in read_manifest(tmp_path / "manifest.tsv")) == 100_000
