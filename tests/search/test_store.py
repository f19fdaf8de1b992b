"""The index's file: what was added comes back, and what is no index is refused."""

import sqlite3

import numpy as np
import pytest

from v2t_lib.errors import DataError
from v2t_lib.search.store import IndexedClip, Store

ODD_NAME = "b\udcff\t.gif"  # not UTF-8 on the disk


def clip(file, value=1, **options) -> IndexedClip:
    return IndexedClip(
        file,
        (10, 20),
        seconds=np.array([0.5, value]),
        thumbprint=np.full(3, value, np.uint8),
        lifts=np.full(5, -value, np.int8),
        **options,
    )


@pytest.fixture
def opened(tmp_path):
    stores = []

    def open_(model="one", name="index.sqlite"):
        stores.append(Store(tmp_path / name, model))
        return stores[-1]

    yield open_
    for store in stores:
        store.close()


def test_what_is_added_comes_back(opened):
    features = np.arange(8, dtype=np.int8).reshape(2, 4)
    store = opened()
    assert not store.emptied and store.states() == {} and store.searchable().files == []
    store.add([clip(ODD_NAME, 2), clip("a.gif", features=features)])
    store.add([IndexedClip("c.gif", (1, 2), "still: no")])
    again = opened()
    assert not again.emptied
    assert again.states() == {ODD_NAME: (10, 20), "a.gif": (10, 20), "c.gif": (1, 2)}
    assert again.errors() == {"c.gif": "still: no"}
    found = again.searchable()
    assert found.files == ["a.gif", ODD_NAME]
    np.testing.assert_array_equal(found.seconds, [[0.5, 1], [0.5, 2]])
    np.testing.assert_array_equal(found.thumbprints, [[1] * 3, [2] * 3])
    np.testing.assert_array_equal(found.lifts, [[-1] * 5, [-2] * 5])
    kept = again.features(found.ids, (2, 4))
    assert list(kept) == found.ids[:1]
    np.testing.assert_array_equal(kept[found.ids[0]], features)
    again.add([clip("a.gif", 3)])  # in its place, features too
    again.drop([ODD_NAME, "c.gif"])
    found = again.searchable()
    assert found.files == ["a.gif"] and found.lifts[0, 0] == -3 and again.errors() == {}
    assert dict(again.features(found.ids, (2, 4))) == {}


def test_another_models_index_is_emptied(opened):
    opened().add([clip("a.gif")])
    other = opened("other")
    assert other.emptied and other.states() == {}
    assert not opened("other").emptied


def test_what_is_no_index_is_refused_and_stays(tmp_path, opened):
    (tmp_path / "text").write_text("a captions file, say\n" * 100)
    with sqlite3.connect(tmp_path / "other") as base:
        base.execute("CREATE TABLE about (model TEXT)")
    base.close()
    (tmp_path / "folder").mkdir()
    for name, message in (
        ("text", "not a database; delete it"),
        ("folder", "may be written to"),
        ("other", "another program's"),
        ("none/index", "may be written to"),
    ):
        before = (tmp_path / name).read_bytes() if (tmp_path / name).is_file() else None
        with pytest.raises(DataError, match=f"the index {tmp_path / name}. Received: .*{message}"):
            opened(name=name)
        assert before is None or (tmp_path / name).read_bytes() == before


def test_a_full_disk_is_one_sentence_and_the_index_stays_whole(opened, disk_of):
    store = opened()
    store.add([clip("a.gif")])
    large = clip("b.gif", features=np.zeros(300_000, np.int8))
    with disk_of(100_000), pytest.raises(DataError, match="make room and run"):
        store.add([large])
    assert list(opened().states()) == ["a.gif"]
