"""Verification: lifts by hand, what can't be judged, and what a model's file holds of it."""

import dataclasses

import numpy as np
import pytest
from helpers import captions, tiny
from keras import ops

import v2t_lib as v2t
from v2t_lib.errors import ModelError, SentenceError
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.decoder import AttentionDecoder
from v2t_lib.models.encoders import registry as encoders
from v2t_lib.models.generation import forced
from v2t_lib.models.saving import save
from v2t_lib.models.verification import blanked, orders, verification
from v2t_lib.models.verifier import NULL_CELLS, Calibration, Verdicts, VerifierState
from v2t_lib.text.vocabulary import SPECIALS, Vocabulary

WORDS = Vocabulary((*SPECIALS, "red", "blue"))
#: Of END, "red" and "blue", whatever comes before.
SEEING, BLIND = (0.1, 0.8, 0.1), (0.2, 0.4, 0.4)

pytestmark = pytest.mark.usefixtures("eager")


def scripted(self, tokens, memory, memory_mask=None, training=False):
    """In place of `AttentionDecoder.call`: the probabilities above, with a clip and without."""
    cells, (batch, count, length) = memory.shape[1], tokens.shape
    probabilities = np.zeros(len(WORDS))
    probabilities[[2, 4, 5]] = BLIND if cells == NULL_CELLS else SEEING
    logits = np.log(np.maximum(probabilities, 1e-30)).astype(np.float32)
    shape = (batch, count, length)
    weights = np.full((*shape, cells), 1 / cells, np.float32)
    return ops.convert_to_tensor(np.tile(logits, (*shape, 1))), ops.convert_to_tensor(weights)


@pytest.fixture
def captioner():
    """It knows "red" and "blue"."""
    encoder = encoders.get("conv3d", **tiny.ENCODER)
    return tiny.judge(Captioner(tiny.CLIP, tiny.CAPTION, WORDS, encoder, tiny.DECODER))


def test_lifts_by_hand(captioner, monkeypatch):
    monkeypatch.setattr(AttentionDecoder, "call", scripted)
    found = captioner.verify_frames(tiny.frames(2), ["Red, blue!", "red"], np.ones((2, 4)) * 0.5)
    both, one = found
    assert [word.word for word in both.words] == ["red", "blue"]
    lifts = [word.lift for word in both.words]
    np.testing.assert_allclose(lifts, [np.log(0.8 / 0.4), np.log(0.1 / 0.4)], rtol=1e-4)
    assert both.score == pytest.approx(np.mean(lifts), abs=1e-3)
    assert one.score == pytest.approx(lifts[0], abs=1e-3)
    assert [word.instead for word in both.words] == [None, "red"]
    assert both.probability is None and both.verdict == "can't tell" and both.unknown == ()
    assert both.unlike_training is None and both.seconds == 0.5 and both.sentence == "Red, blue!"
    assert both.caption.words == ("red", "blue")
    np.testing.assert_allclose(both.caption.probs, [0.8, 0.1], rtol=1e-4)


def test_the_frame_is_where_supported_words_attend(captioner):
    caption = captioner.explain_frames(tiny.frames(1), ["red blue"])[0]
    attention = np.zeros((2, 2, 4, 4))
    attention[0, 1, 0, 0] = attention[1, 0, 0, 0] = 1  # "red" on the second half, "blue" the first
    probabilities = np.array([0.8, 0.1], np.float32)
    caption = dataclasses.replace(caption, attention=attention, probs=probabilities)
    for lifts, frame in (([1, -1], 2), ([-1, 1], 0), ([-1, -1], caption.evidence_frame())):
        word_lifts, blind = np.array([0, 0, 0, 0, *lifts]), np.log([[1e-9, 1e-9, 1e-9]])
        found = verification(caption, blind, "red blue", captioner.verifier, WORDS, word_lifts, [])
        assert found.frame == frame and found.form == "phrase"


CALIBRATED = Calibration(
    (0.0, 0.0, 0.0, 1.0),
    0.0,
    supported=0.8,
    refuted=0.2,
    forms={"word": Verdicts((1.0, 0.0), 0.0, 0.8, 0.2)},
    fluency=-1.5,
    longest=3,
)


@pytest.mark.parametrize(
    ("sentence", "form", "verdict", "reason"),
    [
        ("red", "word", "supported", ""),
        ("the red", "word", "supported", ""),
        ("blue", "word", "refuted", ""),
        ("not red", "phrase", "can't tell", "“not”"),
        ("red isn't blue", "phrase", "can't tell", "“isn't”"),
        ("red or blue", "phrase", "can't tell", "“or”"),
        ("the of a", "word", "can't tell", "say nothing"),
        ("red blue", "sentence", "can't tell", "no order"),
        ("blue red", "sentence", "refuted", ""),
        ("the red and the blue star", "phrase", "can't tell", "never calibrated on a phrase"),
        ("red red red red", "sentence", "can't tell", "longer than any sentence"),
    ],
)
def test_a_claim_is_judged_by_its_form_or_not_at_all(sentence, form, verdict, reason):
    """Function words are unlikely captions here, and "blue" stands first without a clip."""
    words = tuple(sentence.split())
    vocabulary = Vocabulary((*SPECIALS, *sorted({*words, "red", "blue"})))
    lifts = np.zeros(len(vocabulary))
    lifts[[vocabulary.token("red"), vocabulary.token("blue")]] = 2.0, -2.0
    made = captions.example(words, frames=2, grid=(1, 4, 4))
    rows = [text.split() for text in orders(list(words))]
    order = [[-1.0 if of[0] != "red" or len({*of}) == 1 else -1.1 for _ in of] for of in rows]
    blind = np.array([[*row, -1.0] for row in order], np.float32)
    blind[:, 0] = -1.0 if set(words) <= {"red", "blue"} else -50.0
    state = VerifierState(calibration=CALIBRATED)
    found = verification(made, blind, sentence, state, vocabulary, lifts, [])
    assert (found.form, found.verdict) == (form, verdict) and reason in found.reason
    assert (found.probability is None) == bool(reason)


def test_a_sentence_of_any_length_is_scored(captioner):
    (found,) = captioner.verify_frames(tiny.frames(1), ["red blue " * 7])
    assert len(found.words) == len(found.caption.words) == 14 and found.score is not None


def test_words_that_the_model_lacks_are_named_and_nothing_is_said(captioner):
    found = captioner.verify_frames(tiny.frames(1), ["a red zebra"])[0]
    assert found.unknown == ("a", "zebra") and found.verdict == "can't tell"
    assert found.score is None and found.probability is None
    assert [word.lift is None for word in found.words] == [True, False, True]
    assert [word["word"] for word in found.to_dict()["words"]] == ["a", "red", "zebra"]
    special = captioner.verify_frames(tiny.frames(1), ["unk red"])[0]
    assert special.unknown == ("unk",)


@pytest.mark.parametrize(
    ("sentence", "message"),
    [
        ("", "a sentence with a word"),
        ("  ?! \U0001f600", "a sentence with a word"),
        ("red " * 101, r"at most 100 words.*Received: 101 in 'red"),
    ],
)
def test_what_cannot_be_judged_is_refused(captioner, sentence, message):
    with pytest.raises(SentenceError, match=message):
        captioner.verify(tiny.frames(1)[0], sentence)
    with pytest.raises(SentenceError, match=message):
        captioner.verify_frames(tiny.frames(1), [sentence])


def test_a_model_without_its_null_memory_says_how_to_add_it():
    with pytest.raises(ModelError, match=r"without; add it with `v2t calibrate MODEL SHARDS`"):
        tiny.captioner().verify(tiny.frames(1)[0], "a red star spins")


def test_the_score_falls_as_far_as_it_depends_on_the_evidence(captioner, monkeypatch):
    """Seen are red clips: "red" loses what blanking the red cell leaves less of."""
    clip = np.zeros(tiny.CLIP.shape, np.uint8)
    clip[:2, :4, :4, 0] = 255  # the first cell, in the first time step
    weights = np.full(captioner.grid, 1e-3, np.float32)
    weights[0, 0, 0] = 1 - weights[1:].sum() - weights[0].sum() + weights[0, 0, 0]

    def encoded(frames):
        """As many memories as clips, which say whether the cell is red."""
        red = (frames[:, 0, 0, 0, 0] == 255).astype(np.float32)
        return np.tile(red[:, None, None], (1, weights.size, captioner.encoder.memory_size))

    def seen(self, tokens, memory, memory_mask=None, training=False):
        if memory.shape[1] == NULL_CELLS:
            return scripted(self, tokens, memory)
        red = ops.where(memory[:, :1, :1] == 1, 0.8, 0.2) + ops.zeros(tokens.shape)  # (B,K,L)
        probabilities = {4: red, 2: 1 - red}
        of_words = [probabilities.get(n, ops.full(tokens.shape, 1e-30)) for n in range(len(WORDS))]
        attention = np.tile(weights.ravel(), (*tokens.shape, 1))
        return ops.log(ops.stack(of_words, axis=-1)), ops.convert_to_tensor(attention)

    monkeypatch.setattr(AttentionDecoder, "call", seen)
    monkeypatch.setattr(captioner, "encode", encoded, raising=False)
    found = captioner.verify(clip, "red")
    assert found.evidence().argmax() == 0 and found.score == pytest.approx(
        np.log(0.8 / 0.4), abs=1e-3
    )
    assert found.deletion.drop == pytest.approx(np.log(0.8 / 0.2), rel=2e-3)
    assert 0 <= found.deletion.random < found.deletion.drop
    assert captioner.verify(clip, "red zebra").deletion is None


def test_a_clip_is_encoded_once_until_the_deletion_test_is_asked_for(captioner, monkeypatch):
    encoded = []

    def encode(frames, encode=captioner.encode):
        encoded.append(len(frames))
        return encode(frames)

    monkeypatch.setattr(captioner, "encode", encode, raising=False)
    found = captioner.verify(tiny.frames(1)[0], "red blue")
    assert encoded == [1]
    assert found.deletion is found.deletion and encoded == [1, 4]  # the evidence, three at random


def test_the_tenth_with_the_highest_values_is_blanked_where_its_cells_look():
    frames = np.random.default_rng(0).integers(0, 256, (4, 6, 6, 3), "u1")
    values = np.zeros((2, 3, 2))
    values[1, 2, 0] = 1
    for shift, rows, columns in (((0, 0), [4, 5], [0, 1, 2]), ((0.5, -0.34), [5], [0, 1])):
        changed = np.zeros((4, 6, 6), bool)
        changed[np.ix_([2, 3], rows, columns)] = True
        copy = blanked(frames, values, shift)
        np.testing.assert_array_equal(copy[~changed], frames[~changed])
        assert (copy[changed] == np.round(frames.mean((0, 1, 2)))).all()
    many = (blanked(frames, np.arange(24.0).reshape(2, 3, 4)) != frames).any(-1)
    assert np.argwhere(many.any((0, 1))).ravel().tolist() == [3, 4, 5]  # the last two cells


def test_lifts_compare_a_clip_with_the_null_memory(captioner):
    """Of a clip whose memory is the null memory no word is more probable for being seen."""
    tokens = np.stack([WORDS.pack("red blue", 5), WORDS.pack("blue", 5)])[None]
    frames = tiny.frames(1)
    found, blind = captioner.score_tokens(captioner.encode(frames), tokens)
    assert np.abs(found.log_probs - blind).max() > 1e-3
    logits, _ = captioner.decoder(tokens[..., :-1], captioner.verifier.null_memory(tokens))
    expected = forced(np.asarray(logits), blind, tokens[..., 1:]).log_probs
    np.testing.assert_allclose(blind, expected, atol=1e-5)


def test_one_file_holds_it_all_and_training_does_not_see_it(captioner, tmp_path):
    save(captioner, tmp_path / "with.keras")
    again = v2t.load(tmp_path / "with.keras")
    here, there = (
        model.verify(tiny.frames(1)[0], "blue red").to_dict() for model in (captioner, again)
    )
    assert here == there and here["file"] == ""
    count = len(again.weights)
    again.verifier = VerifierState()
    assert len(again.weights) == count
    save(again, tmp_path / "without.keras")
    sizes = [(tmp_path / f"{name}.keras").stat().st_size for name in ("with", "without")]
    assert 0 < sizes[0] - sizes[1] < 10_000
