import hashlib
import io
import itertools

import numpy as np
import pytest
from PIL import Image

from v2t_lib.captions_file import read_captions, read_split, select
from v2t_lib.clips.decode import iter_frames
from v2t_lib.datasets import shapes
from v2t_lib.datasets import shapes_drawing as things
from v2t_lib.datasets.shapes import behaviours, describe, encode_gif, references
from v2t_lib.datasets.shapes_drawing import BEHAVIOURS, Thing, draw
from v2t_lib.errors import DataError


@pytest.fixture(scope="module")
def drawings():
    return [draw(np.random.default_rng([5, number])) for number in range(60)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("shapes")
    shapes.write_shapes(out, clips=75, seed=3, workers=2)
    return out


def test_captions_in_three_phrasings():
    pair = (Thing("red", "circle", "moves left"), Thing("blue", "star", "spins"))
    assert [describe(pair, phrasing) for phrasing in range(3)] == [
        "a red circle moves left while a blue star spins",
        "the red circle is moving left and the blue star is spinning",
        "there is a red circle moving left and a blue star spinning",
    ]
    verbs = {thing: describe((thing,), 1).split(" is ")[1] for thing in things.THINGS}
    assert set(verbs.values()) == {
        *(f"moving {way}" for way in things.MOVES),
        *("growing", "shrinking", "spinning", "blinking"),
    }


def test_references_are_found_in_every_phrasing():
    pair = (Thing("red", "star", "moves left"), Thing("blue", "cross", "spins"))
    expected = {"red": ("colour", 0), "star": ("shape", 0), "left": ("behaviour", 0)}
    expected |= {"blue": ("colour", 1), "cross": ("shape", 1)}
    expected |= dict.fromkeys(("moves", "moving"), ("behaviour", 0))
    expected |= dict.fromkeys(("spins", "spinning"), ("behaviour", 1))
    for phrasing in range(3):
        words = describe(pair, phrasing).split()
        assert references(words) == [expected.get(word) for word in words]


def test_behaviours_are_read_back_from_every_phrasing():
    for left in BEHAVIOURS:
        for right in BEHAVIOURS:
            things = (Thing("red", "star", left), Thing("blue", "cross", right))
            for phrasing in range(3):
                assert behaviours(describe(things, phrasing).split()) == [left, right]
    assert behaviours(["a", "red", "star"]) == []


def test_every_pair_of_words_is_seen_though_some_triples_are_not(drawings):
    def pairs(some):
        words = [(thing.colour, thing.shape, thing.behaviour) for thing in some]
        return {pair for triple in words for pair in itertools.combinations(triple, 2)}

    assert pairs(things.SEEN) == pairs(things.THINGS)
    assert not any(thing.unseen for drawing in drawings for thing in drawing.things)
    for number in range(30):
        drawing = draw(np.random.default_rng([6, number]), unseen=True)
        assert any(thing.unseen for thing in drawing.things)


def test_masks_are_where_the_colours_are_and_the_left_object_is_named_first(drawings):
    for drawing in drawings:
        for number, thing in enumerate(drawing.things, start=1):
            on = drawing.masks == number
            assert on.any()
            painted = drawing.palette[drawing.pictures[on]].astype(int)
            exact = np.abs(painted - things.COLOURS[thing.colour]).max(axis=1) <= 13
            assert exact.mean() > 0.98  # all but a few specks of noise
    pairs = [drawing for drawing in drawings if len(drawing.things) == 2]
    assert len(pairs) > 10
    for drawing in pairs:
        columns = [np.nonzero(drawing.masks == number)[2] for number in (1, 2)]
        assert columns[0].max() <= columns[1].min() + 1


def extent(mask):
    rows, columns = np.nonzero(mask)
    return rows.mean(), columns.mean(), len(rows)


def test_behaviours_can_be_told_from_the_masks(drawings):
    checked = set()
    for drawing in drawings:
        for number, thing in enumerate(drawing.things, start=1):
            shown = [mask == number for mask in drawing.masks if (mask == number).any()]
            row, column, size = np.array([extent(mask) for mask in shown]).T
            moved = {"left": column[0] - column[-1], "up": row[0] - row[-1]}
            moved |= {"right": -moved["left"], "down": -moved["up"]}
            verb, *way = thing.behaviour.split()
            if verb == "moves":
                assert moved[way[0]] > 3 and moved[way[0]] == max(moved.values())
            elif verb == "grows":
                assert size[-1] > 1.5 * size[0]
            elif verb == "shrinks":
                assert size[0] > 1.5 * size[-1]
            elif verb == "blinks":
                gone = np.array([not (mask == number).any() for mask in drawing.masks])
                assert np.sum(gone[1:] & ~gone[:-1]) >= 1
            else:
                changed = np.mean([(a != b).sum() for a, b in itertools.pairwise(shown)])
                assert changed > 10 and max(map(abs, moved.values())) < 4
            checked.add(verb)
    assert checked == {"moves", "grows", "shrinks", "spins", "blinks"}


def test_gifs_are_real_optimised_ones(drawings):
    """Partial frames, transparency between frames, uneven delays; yet the pictures come back."""
    partial = transparent = 0
    for drawing in drawings[:20]:
        data = encode_gif(drawing.pictures, drawing.palette, drawing.delays)
        assert len(set(drawing.delays)) > 1
        with Image.open(io.BytesIO(data)) as picture:
            picture.seek(1)
            left, top, right, bottom = picture.tile[0][1] if picture.tile else (0, 0, 1, 1)
            partial += (right - left, bottom - top) != picture.size
        # Graphic control extension: its flags' lowest bit says that a colour is transparent.
        flags = [data[at + 3] for at in range(len(data) - 8) if data[at : at + 3] == b"!\xf9\x04"]
        transparent += any(flag & 1 for flag in flags)
        frames = [(frame, round(1000 * seconds)) for frame, seconds in iter_frames(data)]
        assert sum(delay for _, delay in frames) == sum(drawing.delays)
        shown = np.repeat([frame for frame, _ in frames], [d // 10 for _, d in frames], axis=0)
        drawn = np.repeat(drawing.palette[drawing.pictures], np.array(drawing.delays) // 10, axis=0)
        np.testing.assert_array_equal(shown, drawn)
    assert partial >= 18 and transparent >= 18


def digest(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def test_a_seed_decides_everything(folder, tmp_path):
    shapes.write_shapes(tmp_path / "same", clips=75, seed=3, workers=1)
    assert digest(tmp_path / "same") == digest(folder)
    shapes.write_shapes(tmp_path / "other", clips=75, seed=4)
    assert digest(tmp_path / "other") != digest(folder)


def test_splits_are_whole_and_disjoint(folder):
    records = read_captions(folder / "captions.tsv")
    lists = {split: read_split(folder / f"{split}.txt") for split in shapes.SPLITS}
    assert {split: len(names) for split, names in lists.items()} == shapes.split_sizes(75)
    together = [name for names in lists.values() for name in names]
    assert len(together) == len(set(together)) == 75
    assert set(together) == {record.source for record in records}
    captions = {split: 1 if split in ("train", "val") else 3 for split in shapes.SPLITS}
    held_back = {describe((thing,), 0) for thing in things.UNSEEN}
    for split, count in captions.items():
        listed = select(records, folder / f"{split}.txt")
        for record in listed:
            assert len(record.captions) == count
            masked = (folder / "masks" / record.source).exists()
            assert masked == (split in ("test", "unseen"))
        parts = [part for record in listed for part in record.captions[0].split(" while ")]
        assert any(part in held_back for part in parts) == (split == "unseen")


def test_drawing_refuses_too_few_clips_and_never_replaces_other_captions(tmp_path):
    with pytest.raises(ValueError, match="Received: 3"):
        shapes.write_shapes(tmp_path, clips=3)
    (tmp_path / "captions.tsv").write_text("a.gif\ta dog\n")
    with pytest.raises(DataError, match="of something else"):
        shapes.write_shapes(tmp_path, clips=5, workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["captions.tsv"]
