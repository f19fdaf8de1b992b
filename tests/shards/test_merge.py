import pytest
from helpers.shards import SPEC, all_of, fill, sources_in, stored

from v2t_lib.errors import DataError
from v2t_lib.shards.format import DatasetInfo, LeftOut
from v2t_lib.shards.merge import merge
from v2t_lib.shards.writer import ShardWriter
from v2t_lib.specs import ClipSpec

LEFT_OUT = (LeftOut("x", "gone", "HTTP 404"),)


@pytest.fixture
def parts(tmp_path):
    """Two shard directories, of five clips and of two."""
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder, numbers in zip(folders, (range(5), range(5, 7)), strict=True):
        fill(folder, numbers, {}).finish(LEFT_OUT)
    return folders


def test_parts_join_and_stay(parts, tmp_path):
    out = tmp_path / "whole"
    merged = merge(parts, out)
    assert DatasetInfo.load(out) == merged and sources_in(out) == all_of(*range(7))
    assert (merged.clips, merged.captions, merged.masks) == (7, 10, 1)
    assert merged.left_out == LEFT_OUT * 2
    names = [shard.name for shard in merged.shards]
    assert names == [f"{n:05d}.tfrecord" for n in range(3)]
    assert {path.name for path in out.iterdir()} == {"dataset.json", *names}
    for folder in parts:
        DatasetInfo.load(folder)
    with pytest.raises(DataError, match="expected an empty directory"):
        merge(parts, out)


def test_without_hard_links_shards_are_copied(parts, tmp_path, monkeypatch):
    def no_links(source, target):
        raise OSError("not on this file system")

    monkeypatch.setattr("v2t_lib.shards.writer.os.link", no_links)
    merge(parts, tmp_path / "whole")
    (parts[0] / "00000.tfrecord").unlink()
    assert sources_in(tmp_path / "whole") == all_of(*range(7))


def test_a_clip_twice_is_refused(parts, tmp_path):
    with pytest.raises(DataError, match=r"every clip once.*http://a/0\.gif.*one.*and in.*one"):
        merge([parts[0], parts[1], parts[0]], tmp_path / "whole")
    assert not (tmp_path / "whole").exists()


def test_clips_of_another_size_and_cut_shards_are_refused(parts, tmp_path):
    log = ShardWriter(tmp_path / "three", ClipSpec(2, 8, 8))
    log.append(stored(9))
    log.finish()
    with pytest.raises(DataError, match=r"clips of one size.*\(2, 4, 4, 3\) in"):
        merge([*parts, tmp_path / "three"], tmp_path / "whole")
    assert ClipSpec(2, 4, 4) == SPEC
    shard = parts[1] / "00000.tfrecord"
    data = bytearray(shard.read_bytes())
    data[-20] ^= 1
    shard.write_bytes(data)
    with pytest.raises(DataError, match=r"expected 2 clips\. Received: 1, then something else"):
        merge(parts, tmp_path / "whole")
