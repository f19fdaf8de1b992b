"""An index follows its folder, and a search ranks as verification does."""

import os
import shutil

import keras
import numpy as np
import pytest
from helpers import tiny
from helpers.clips import write_gif
from helpers.runs import Killed

from v2t_lib.errors import DataError, ModelError, SentenceError
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.decoder import AttentionDecoder
from v2t_lib.models.encoders import registry as encoders
from v2t_lib.models.verifier import VerifierState
from v2t_lib.models.word_lifts import CONTEXTS, WordLifts, blind_captions
from v2t_lib.search import index as module
from v2t_lib.search import query
from v2t_lib.search.index import STEPS, open_index, quantised, update
from v2t_lib.search.query import search
from v2t_lib.text.vocabulary import END, PAD, SPECIALS, START, UNK

pytestmark = pytest.mark.usefixtures("eager", "in_this_process")


@pytest.fixture(autouse=True)
def decoded(monkeypatch):
    """The clips that were decoded since; they are encoded two at a time."""
    paths = []

    def decode(path, spec, whole=module.decode_source):
        paths.append(path)
        return whole(path, spec)

    monkeypatch.setattr(module, "decode_source", decode)
    monkeypatch.setattr(module, "BATCH", 2)
    return paths


def with_null_memory(captioner):
    captioner.verifier = VerifierState(tiny.null_memory(captioner))
    return captioner


@pytest.fixture
def captioner():
    return with_null_memory(tiny.captioner())


@pytest.fixture
def folder(tmp_path):
    """Four clips and one that is none, in two folders."""
    place = tmp_path / "clips"
    (place / "more").mkdir(parents=True)
    for number, name in enumerate(("a.gif", "b.GIF", "more/c.gif", "more/d.gif")):
        write_gif(place / name, number)
    (place / "bad.mp4").write_text("<html>")
    return place


@pytest.fixture
def index(captioner, folder):
    store = open_index(captioner, folder / module.INDEX_FILE)
    yield store
    store.close()


def test_an_index_follows_its_folder(captioner, folder, index, decoded):
    failed = update(captioner, folder, index)
    assert list(failed) == ["bad.mp4"] and failed["bad.mp4"].startswith("not-a-clip: ")
    assert index.searchable().files == ["a.gif", "b.GIF", "more/c.gif", "more/d.gif"]
    assert len(decoded) == 5
    assert update(captioner, folder, index) == failed and len(decoded) == 5
    before = index.searchable()
    write_gif(folder / "a.gif", 9, count=6)
    (folder / "more/d.gif").unlink()
    shutil.copy(folder / "a.gif", folder / "bad.mp4")  # mended: its name doesn't matter
    assert update(captioner, folder, index) == {} and len(decoded) == 7
    after = index.searchable()
    assert after.files == ["a.gif", "b.GIF", "bad.mp4", "more/c.gif"]
    same = (after.thumbprints[:2] == before.thumbprints[:2]).all(axis=1)
    assert same.tolist() == [False, True]


def test_a_kill_midway_loses_one_batch_at_most(captioner, folder, decoded, monkeypatch):
    batches = []

    def killed(*arguments, whole=module._encoded):
        batches.append(arguments)
        if len(batches) == 2:
            raise Killed
        return whole(*arguments)

    store = open_index(captioner, folder / "index")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(module, "_encoded", killed)
        update(captioner, folder, store)
    store.close()
    decoded.clear()
    again = open_index(captioner, folder / "index")
    assert len(again.states()) == 2
    assert list(update(captioner, folder, again)) == ["bad.mp4"] and len(decoded) == 3
    whole = open_index(captioner, folder / "whole")
    update(captioner, folder, whole)
    for resumed, at_once in zip(again.searchable().lifts, whole.searchable().lifts, strict=True):
        np.testing.assert_allclose(resumed, at_once, atol=1)
    again.close()
    whole.close()


def test_what_another_day_may_mend_is_tried_again(captioner, folder, index, monkeypatch):
    def unreachable(path, spec):
        return "unreachable", "expected memory. Received: none"

    with monkeypatch.context() as patch:
        patch.setattr(module, "decode_source", unreachable)
        assert len(update(captioner, folder, index)) == 5
    assert index.states() == {} and search(captioner, folder, index, "a star") == []
    with pytest.raises(SentenceError):
        search(captioner, folder, index, "zebra")
    assert list(update(captioner, folder, index)) == ["bad.mp4"]


def test_ranking_is_that_of_verification(captioner, folder, index):
    update(captioner, folder, index)
    for sentence in ("a red star spins", "The blue circle!"):
        found = search(captioner, folder, index, sentence)
        files = [match.file for match in found]
        assert sorted(files) == index.searchable().files
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
        assert search(captioner, folder, index, sentence, top=2)[1].file == files[1]


def test_the_first_stage_chooses_what_the_second_ranks(captioner, folder, index, monkeypatch):
    update(captioner, folder, index)
    clips = index.searchable()
    rough = query.first_stage(captioner, clips.lifts, "a red star")
    monkeypatch.setattr(query, "GROUPS", 2)
    found = {match.file for match in search(captioner, folder, index, "a red star")}
    assert found == {clips.files[number] for number in np.argsort(-rough, kind="stable")[:2]}


def test_copies_are_one_result(captioner, folder, index):
    shutil.copy(folder / "a.gif", folder / "copy.gif")
    update(captioner, folder, index)
    found = search(captioner, folder, index, "a cross")
    assert len(found) == 4
    (group,) = (match for match in found if match.near_duplicates)
    assert {group.file, *group.near_duplicates} == {"a.gif", "copy.gif"}


def test_words_that_the_model_lacks_do_not_count(captioner, folder, index):
    update(captioner, folder, index)
    found = search(captioner, folder, index, "a red zebra")[0]
    assert found.verification.unknown == ("zebra",) and found.verification.score is None
    lifts = [word.lift for word in found.verification.words]
    assert found.score == pytest.approx(np.mean(lifts[:2])) and lifts[2] is None
    for sentence, message in (("zebra", "a word that the model knows"), (" ", "with a word"),
                              ("a a a a a", "at most 4 words")):  # fmt: skip
        with pytest.raises(SentenceError, match=message):
            search(captioner, folder, index, sentence)


def test_a_clip_that_is_gone_since_is_passed_over(captioner, folder, index):
    update(captioner, folder, index)
    (folder / "b.GIF").unlink()
    assert len(search(captioner, folder, index, "a cross")) == 3


def test_kept_features_need_no_clips(folder, monkeypatch):
    def make(self, picture, weights):
        frames = keras.Input(picture)
        return keras.Model(frames, keras.layers.Conv2D(6, 8, 8)(frames))

    monkeypatch.setattr(encoders.ENCODERS["mobilenet_v3_small"], "make_network", make)
    options = {"weights": None, "width": 8, "frozen": True, "components": 4, "stride": 8}
    encoder = encoders.get("mobilenet_v3_small", **options)
    model = with_null_memory(
        Captioner(tiny.CLIP, tiny.CAPTION, tiny.VOCABULARY, encoder, tiny.DECODER)
    )
    encoder.projection.fit(np.random.default_rng(0).normal(size=(50, 6)) * 100)
    store = open_index(model, folder / "index")
    update(model, folder, store)
    scores = {
        name: model.verify(folder / name, "a star").score for name in store.searchable().files
    }
    shutil.rmtree(folder / "more")
    found = search(model, folder, store, "a star")
    assert {match.file: pytest.approx(match.score, abs=1e-4) for match in found} == scores
    store.close()


def test_word_lifts_by_hand(captioner, monkeypatch):
    star = tiny.VOCABULARY.words.index("star")
    given, blind = (np.full(len(tiny.VOCABULARY), 0.01) for _ in range(2))
    given[[END, star]] = 0.5, 0.4
    blind[[END, star]] = 0.5, 0.1

    def logits(probabilities, shape):
        repeated = np.tile(np.log(probabilities).astype(np.float32), (*shape, 1))
        return keras.ops.convert_to_tensor(repeated)

    def call(self, tokens, memory, memory_mask=None, training=False):
        return logits(given, tokens.shape), None

    def step(self, token, state):
        return logits(blind, token.shape), state, None

    monkeypatch.setattr(AttentionDecoder, "call", call)
    monkeypatch.setattr(AttentionDecoder, "step", step)
    lifts = quantised(WordLifts(captioner)(tiny.frames(2)))
    assert lifts.dtype == np.int8 and not lifts[:, : len(SPECIALS)].any()
    expected = np.log(given[star] / given.sum()) - np.log(blind[star] / blind.sum())
    np.testing.assert_allclose(lifts[:, star] / STEPS, expected, atol=0.6 / STEPS)


def test_every_clip_is_compared_by_the_same_captions(captioner):
    captions, occurrences = blind_captions(captioner)
    again, _ = blind_captions(captioner)
    np.testing.assert_array_equal(captions, again)
    assert (
        captions.shape == (CONTEXTS, tiny.CAPTION.length) and len(np.unique(captions, axis=0)) > 1
    )
    for caption in captions:
        assert not np.isin(caption, (START, UNK)).any()
        end = np.flatnonzero(np.isin(caption, END))
        assert (caption[end[0] + 1 :] == PAD).all() if len(end) else (caption != PAD).all()
    # Probabilities sum to 1 at each position.
    np.testing.assert_allclose(occurrences.sum(), (captions != PAD).sum() / CONTEXTS, rtol=1e-4)


def test_what_cannot_be_searched_is_refused(captioner, tmp_path):
    store = open_index(captioner, tmp_path / "index")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "still.png").touch()
    for name, message in (("empty", "names end in .gif, .*none"), ("index", "Received: a file"),
                          ("none", "nothing of that name")):  # fmt: skip
        with pytest.raises(DataError, match=message):
            update(captioner, tmp_path / name, store)
    store.close()
    with pytest.raises(ModelError, match="v2t calibrate MODEL SHARDS"):
        open_index(tiny.captioner(), tmp_path / "index")


def test_another_model_indexes_anew(captioner, folder, index):
    update(captioner, folder, index)
    index.close()
    other = with_null_memory(tiny.captioner())
    other.decoder.output_h.bias.assign_add(np.ones(tiny.DECODER["embedding_size"]))
    again = open_index(other, folder / module.INDEX_FILE)
    assert again.emptied and again.states() == {}
    again.close()


def test_a_folder_that_cannot_be_read_is_named(captioner, folder, index, monkeypatch):
    def refused(path, scandir=os.scandir):
        if str(path).endswith("more"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(DataError, match=r"clips/more. Received: Permission denied; make it"):
        update(captioner, folder, index)
