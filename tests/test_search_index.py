"""An index follows its folder, a search ranks as verification does, copies are one result."""

import io
import os
import shutil
import time

import numpy as np
import pytest
from helpers import tiny
from helpers.clips import write_gif
from helpers.runs import Killed
from helpers.towers import Colours, write_colours
from PIL import Image

from v2t_lib import folder_index
from v2t_lib import search as module
from v2t_lib.errors import ClipError, DataError, ModelError, SentenceError
from v2t_lib.fetching import download
from v2t_lib.folder_index import INDEX_FOLDER, open_index
from v2t_lib.models import over_clips
from v2t_lib.models.towers.registry import unit
from v2t_lib.search import SIDE, LiftSearch, TowerSearch, looks, near_duplicates, thumbprint

pytestmark = pytest.mark.usefixtures("eager", "in_this_process")


@pytest.fixture(autouse=True)
def decoded(monkeypatch):
    """The clips that were decoded since; they are encoded and kept two at a time."""
    paths = []

    def decode(path, spec, whole=download.decode_source):
        paths.append(path)
        return whole(path, spec)

    monkeypatch.setattr(over_clips, "decode_source", decode)
    monkeypatch.setattr(over_clips, "BATCH", 2)
    monkeypatch.setattr(LiftSearch, "batch", 2)
    return paths


@pytest.fixture
def captioner():
    return tiny.judge()


@pytest.fixture
def folder(tmp_path):
    """Four clips and one that is none, in two folders."""
    place = tmp_path / "clips"
    (place / "more").mkdir(parents=True)
    for number, name in enumerate(("a.gif", "b.GIF", "more/c.gif", ODD)):
        write_gif(place / name, number)
    (place / "bad.mp4").write_text("<html>")
    return place


#: A name that isn't UTF-8.
ODD = "more/d\udcff\t.gif"


def test_an_index_follows_its_folder(captioner, folder, decoded):
    before = open_index(LiftSearch(captioner), folder)
    assert list(before.errors) == ["bad.mp4"] and before.errors["bad.mp4"].startswith("not-a-clip:")
    assert before.files == ["a.gif", "b.GIF", "more/c.gif", ODD] and len(decoded) == 5
    again = open_index(LiftSearch(captioner), folder)
    assert (again.files, again.errors, len(decoded)) == (before.files, before.errors, 5)
    write_gif(folder / "a.gif", 9, count=6)
    (folder / ODD).unlink()
    shutil.copy(folder / "a.gif", folder / "bad.mp4")  # mended: its name doesn't matter
    after = open_index(LiftSearch(captioner), folder)
    assert sorted(after.files) == ["a.gif", "b.GIF", "bad.mp4", "more/c.gif"] and not after.errors
    new = [os.path.relpath(path, folder) for path in decoded[5:]]
    assert {"a.gif", "bad.mp4"} <= {*new} and ODD not in new
    for name, same in (("a.gif", False), ("b.GIF", True), ("more/c.gif", True)):
        rows = (of.arrays["thumbprints"][of.files.index(name)] for of in (before, after))
        assert np.array_equal(*rows) == same


def test_a_kill_midway_costs_what_was_not_written_yet(
    captioner, folder, tmp_path, decoded, monkeypatch
):
    written = []

    def killed(path, *rest, whole=folder_index.write_index):
        written.append(path)
        if len(written) == 2:
            raise Killed
        return whole(path, *rest)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(folder_index, "write_index", killed)
        patch.setattr(folder_index, "SECONDS", 0)
        open_index(LiftSearch(captioner), folder)
    decoded.clear()
    resumed = open_index(LiftSearch(captioner), folder)
    assert len(decoded) == 3 and list(resumed.errors) == ["bad.mp4"]
    whole = open_index(LiftSearch(captioner), folder, tmp_path / "another place")
    assert sorted(resumed.files) == whole.files
    order = [resumed.files.index(file) for file in whole.files]
    np.testing.assert_allclose(resumed.arrays["lifts"][order], whole.arrays["lifts"], atol=1)
    (file,) = (folder / INDEX_FOLDER).glob("*.npz")
    file.write_bytes(file.read_bytes()[:-9])  # damaged: made anew
    assert open_index(LiftSearch(captioner), folder).files == whole.files


def test_what_another_day_may_mend_is_tried_again(captioner, folder, monkeypatch):
    def unreachable(path, spec):
        return ClipError("unreachable", "expected memory. Received: none")

    with monkeypatch.context() as patch:
        patch.setattr(over_clips, "decode_source", unreachable)
        index = open_index(LiftSearch(captioner), folder)
    assert len(index.errors) == 5 and LiftSearch(captioner).search(index, "a star") == []
    with pytest.raises(SentenceError):
        LiftSearch(captioner).search(index, "zebra")
    assert list(open_index(LiftSearch(captioner), folder).errors) == ["bad.mp4"]


def test_ranking_is_that_of_verification(captioner, folder):
    index = open_index(LiftSearch(captioner), folder)
    for sentence in ("a red star spins", "The blue circle!"):
        found = LiftSearch(captioner).search(index, sentence)
        files = [match.file for match in found]
        assert sorted(files) == index.files
        for match in found:
            alone = captioner.verify(folder / match.file, sentence)
            assert match.score == pytest.approx(alone.score, abs=1e-4)
            judged = match.verification
            assert [word.word for word in judged.words] == [word.word for word in alone.words]
            lifts = [[word.lift for word in of.words] for of in (judged, alone)]
            np.testing.assert_allclose(*lifts, atol=1e-4)
            assert (judged.frame, judged.seconds) == (alone.frame, alone.seconds)
            assert match.near_duplicates == ()
        scores = [match.score for match in found]
        assert scores == sorted(scores, reverse=True)
        assert LiftSearch(captioner).search(index, sentence, top=2)[1].file == files[1]


def test_the_first_stage_chooses_what_the_second_ranks(captioner, folder, monkeypatch):
    index = open_index(LiftSearch(captioner), folder)
    tokens = [tiny.VOCABULARY.words.index(word) for word in ("a", "red", "star")]
    rough = index.arrays["lifts"][:, tokens].mean(axis=1)
    monkeypatch.setattr(module, "GROUPS", 2)
    found = {match.file for match in LiftSearch(captioner).search(index, "a red star")}
    assert found == {index.files[number] for number in np.argsort(-rough, kind="stable")[:2]}


def test_words_that_the_model_lacks_do_not_count(captioner, folder):
    index = open_index(LiftSearch(captioner), folder)
    found = LiftSearch(captioner).search(index, "a red zebra")[0]
    assert found.verification.unknown == ("zebra",) and found.verification.score is None
    lifts = [word.lift for word in found.verification.words]
    assert found.score == pytest.approx(np.mean(lifts[:2])) and lifts[2] is None
    for sentence, message in (("zebra", "a word that the model knows"), (" ", "with a word"),
                              ("a " * 101, "at most 100 words")):  # fmt: skip
        with pytest.raises(SentenceError, match=message):
            LiftSearch(captioner).search(index, sentence)


def test_copies_are_one_result_and_a_clip_that_is_gone_since_is_passed_over(captioner, folder):
    shutil.copy(folder / "a.gif", folder / "copy.gif")
    index = open_index(LiftSearch(captioner), folder)
    found = LiftSearch(captioner).search(index, "a cross")
    assert len(found) == 4
    (group,) = (match for match in found if match.near_duplicates)
    assert {group.file, *group.near_duplicates} == {"a.gif", "copy.gif"}
    (folder / "b.GIF").unlink()
    assert len(LiftSearch(captioner).search(index, "a cross")) == 3


def test_what_cannot_be_searched_is_refused_and_stays(captioner, folder, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "still.png").touch()
    looked = r"none; looked past 1 file: 1 \.png$"
    for name, message in (("empty", looked), ("none", "nothing of"), ("empty/still.png", "a file")):
        with pytest.raises(DataError, match=message):
            open_index(LiftSearch(captioner), tmp_path / name, tmp_path / "index")
    with pytest.raises(ModelError, match="v2t calibrate MODEL SHARDS"):
        open_index(LiftSearch(tiny.captioner()), folder, tmp_path / "index")
    assert not (tmp_path / "index").exists()
    (tmp_path / "mine").write_text("not an index")
    with pytest.raises(DataError, match="expected to write"):
        open_index(LiftSearch(captioner), folder, tmp_path / "mine")
    assert (tmp_path / "mine").read_text() == "not an index"


def test_another_model_indexes_anew(captioner, folder, decoded):
    open_index(LiftSearch(captioner), folder)
    other = tiny.judge()
    other.decoder.output_h.bias.assign_add(np.ones(tiny.DECODER["embedding_size"]))
    decoded.clear()
    assert len(open_index(LiftSearch(other), folder).files) == 4 and len(decoded) == 5


def test_a_full_disk_is_one_sentence_and_what_is_indexed_is_kept(captioner, folder, disk_of):
    files = len(open_index(LiftSearch(captioner), folder).files)
    for number in range(4, 8):
        write_gif(folder / f"{number}.gif", number)
    with disk_of(1000), pytest.raises(DataError, match="make room and run"):
        open_index(LiftSearch(captioner), folder)
    (file,) = (folder / INDEX_FOLDER).glob("*.npz")
    assert file.stat().st_size > 1000
    assert len(open_index(LiftSearch(captioner), folder).files) == files + 4


def test_a_thumbprint_is_the_mean_colours_of_a_grid():
    clip = np.random.default_rng(0).integers(0, 256, (2, 2 * SIDE, 3 * SIDE, 3), np.uint8)
    found = thumbprint(clip).reshape(2, SIDE, SIDE, 3)
    np.testing.assert_allclose(found[1, 2, 5], clip[1, 4:6, 15:18].mean(axis=(0, 1)), atol=0.51)
    small = np.full((1, 5, 5, 3), 9, np.uint8)  # fewer pixels than the grid has cells
    assert set(thumbprint(small)) <= {0, 9}


def test_copies_are_grouped_best_first_and_others_are_not():
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (2, 3, 5, 5, 3), np.uint8)
    bicubic = Image.Resampling.BICUBIC
    one, other = ([Image.fromarray(p).resize((64, 48), bicubic) for p in clip] for clip in coarse)

    def jpeg(picture):
        picture.save(file := io.BytesIO(), "JPEG", quality=40)
        return Image.open(file).convert("RGB")

    copies = [
        one,
        other,
        [jpeg(picture) for picture in one],
        [picture.resize((31, 24), Image.Resampling.BOX) for picture in one],
        [picture.point(lambda value: value * 0.95 + 10) for picture in one],
        one[::-1],
        [Image.new("RGB", (16, 16))] * 3,
        [Image.new("RGB", (16, 16), "white")] * 3,  # of one colour, whatever it is
    ]
    prints = np.stack([thumbprint(np.stack([np.asarray(p) for p in clip])) for clip in copies])
    assert near_duplicates(looks(prints), range(8), 9) == [[0, 2, 3, 4], [1], [5], [6, 7]]
    order = [4, 1, 5, 0, 2, 3]
    assert near_duplicates(looks(prints)[order], order, 2) == [[4, 0, 2, 3], [1]]


def test_a_folder_that_cannot_be_read_is_named_and_stops_no_other(captioner, folder, monkeypatch):
    def refused(path, scandir=os.scandir):
        if str(path).endswith("more"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    for name, target in {"loop.gif": "loop.gif", "none.gif": "none"}.items():
        (folder / name).symlink_to(target)
    index = open_index(LiftSearch(captioner), folder)
    assert {*index.files} == {"a.gif", "b.GIF"}
    assert sorted(index.errors) == ["bad.mp4", "loop.gif", "more", "none.gif"]
    assert "clips/more. Received: Permission denied" in index.errors["more"]


def test_towers_search_without_a_captioner(tmp_path, decoded):
    clips = {"red.gif": ("#f00", "#d22"), "reddish.gif": ("#f22", "#d33"),
             "orange.gif": ("#8f0", "#fa0"), "blue.gif": ("#02f", "#03d")}  # fmt: skip
    for name, colours in clips.items():
        write_colours(tmp_path / name, *colours)
    searcher = TowerSearch(Colours())
    index = open_index(searcher, tmp_path)
    first, second, third = searcher.search(index, "red")
    assert (first.file, first.near_duplicates) == ("red.gif", ("reddish.gif",))
    assert (second.file, third.file) == ("orange.gif", "blue.gif")
    assert (
        first.cosine
        == first.score
        == pytest.approx(index.arrays["vectors"][index.files.index("red.gif"), 0].item())
    )
    assert second.frame == 1 and second.seconds == pytest.approx(0.1)  # the redder one
    assert [m.file for m in searcher.search(index, "blue", top=1)] == ["blue.gif"]
    write_colours(tmp_path / "blue.gif", "#0f0", "#1e0")
    decoded.clear()
    assert searcher.search(open_index(searcher, tmp_path), "green")[0].file == "blue.gif"
    assert os.path.basename(decoded[0]) == "blue.gif" and len(decoded) < 6
    searcher.towers.weights = "2"
    decoded.clear()
    assert len(open_index(searcher, tmp_path).files) == 4 == len(decoded)


def test_100000_clips_are_searched_in_a_second(tmp_path):
    rng = np.random.default_rng(0)
    vectors = unit(rng.standard_normal((100_000, 768), np.float32))
    names = [f"{number}.gif" for number in range(len(vectors))]
    states = {name: [1, 1] for name in names}
    files = {name: ([1, 1], "") for name in names}
    folder_index.write_index(tmp_path / "towers.npz", "key", files, [{"vectors": vectors}])
    start = time.perf_counter()
    _, arrays = folder_index.read_index(tmp_path / "towers.npz", "key", states)
    scores = arrays["vectors"] @ vectors[777]
    best = int(np.argsort(-scores, kind="stable")[0])
    assert best == 777 and time.perf_counter() - start < 5  # alone it takes under one
