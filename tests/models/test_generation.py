import dataclasses
import itertools
import math

import numpy as np
import pytest
from helpers import tiny
from helpers.scripts import A, B, C, nothing, scripted

from v2t_lib.models.generation import beam, forced, greedy, sample
from v2t_lib.text.vocabulary import END, PAD, START, UNK

SENTENCE = {(0, START): {B: 0.9}, (1, B): {A: 0.8}, (2, A): {C: 0.7}, (3, C): {END: 0.9}}
SENTENCE |= {(i, None): {A: 0.2, B: 0.2, C: 0.2, END: 0.2} for i in range(6)}


@pytest.mark.parametrize(
    "search", [greedy, lambda *a: beam(*a, width=1), lambda *a: beam(*a, width=3)]
)
def test_a_scripted_step_spells_its_sentence(search):
    found = search(scripted(SENTENCE), nothing(2), 6)
    tokens = np.asarray(found.tokens)
    np.testing.assert_array_equal(tokens, [[B, A, C, END, PAD, PAD]] * 2)
    expected = np.log([0.9, 0.8, 0.7, 0.9])
    np.testing.assert_allclose(np.asarray(found.log_probs)[0, :4], expected, rtol=1e-3)
    np.testing.assert_array_equal(np.asarray(found.log_probs)[:, 4:], 0)
    weights = np.asarray(found.weights)[0, :4]
    np.testing.assert_array_equal(weights.argmax(-1), [0, 1, 2, 0])


@pytest.mark.parametrize("search", [greedy, lambda *a: beam(*a, width=2)])
def test_a_search_ends_with_its_last_caption(search):
    """No step is taken after END: it would have alternatives."""
    found = search(scripted(SENTENCE), nothing(2), 6)
    assert np.asarray(found.alternatives)[:, 3].all()
    np.testing.assert_array_equal(np.asarray(found.alternatives)[:, 4:], 0)


#: The likely first word leads nowhere: A is better at once, B in the end.
TRAP = {
    (0, START): {A: 0.55, B: 0.45},
    (1, A): {A: 0.3, B: 0.3, C: 0.3, END: 0.1},
    (1, B): {C: 0.95, END: 0.05},
    (2, None): {END: 1.0},
}
#: END at once has probability 0.5; three words of 0.5, 0.9, 0.9 have more of it a token.
LONGER = {
    (0, START): {END: 0.5, A: 0.5 - 1e-4},
    (1, A): {B: 0.9, END: 0.1},
    (2, B): {END: 0.9, A: 0.1},
    **{(position, None): {END: 1.0} for position in (1, 2, 3)},
}
#: END at once has -0.71 nats a token. A B and A C have -0.69, and end at -1.43.
DISPLACED = {
    (0, START): {A: 0.508, END: 0.4916},
    (1, A): {B: 0.498, C: 0.498, END: 0.001},
    (2, None): {END: 0.0548},
}
#: END at once has -1.2 nats; A B and A C have -0.6 and -0.65 a token, and A C ends well.
OVERTAKEN = {
    (0, START): {A: 0.6, END: 0.3},
    (1, A): {B: 0.5, C: 0.45},
    (2, B): {END: 0.1},
    (2, C): {END: 0.9},
}
#: C, the third of three, is the only good beginning.
THIRD = {(0, START): {A: 0.4, B: 0.35, C: 0.25}, (1, C): {END: 1.0}, (1, None): {END: 0.1}}
#: B is followed by B for certain and never ends; A END has a tenth of its probability.
CUT = {(0, START): {B: 0.9, A: 0.09}, (1, A): {END: 1.0}, (1, B): {B: 1.0}, (2, B): {B: 1.0}}
ENDLESS = {(position, None): {B: 0.6, A: 0.4} for position in range(3)}
SPECIAL = {(i, None): {PAD: 0.4, START: 0.3, UNK: 0.15, A: 0.1, END: 0.05} for i in range(3)}


def tie(exponent: float) -> dict:
    """A END, of -2 nats, which waits two steps, and B C A END: equal at the exponent."""
    half = -(2**exponent)
    return {
        (0, START): {A: math.exp(-1), B: math.exp(half)},
        (1, A): {END: math.exp(-1)},
        (1, B): {C: math.exp(half)},
        (2, None): {A: 1.0},
        (3, None): {END: 1.0},
    }


@pytest.mark.parametrize(
    ("table", "width", "options", "expected"),
    [
        (TRAP, 2, {"length_exponent": 0.0}, [B, C, END]),
        (LONGER, 2, {"length_exponent": 0.0}, [END, PAD, PAD, PAD]),
        (LONGER, 2, {"length_exponent": 1.0}, [A, B, END, PAD]),
        (tie(0.5), 2, {"length_exponent": 0.45}, [A, END, PAD, PAD]),
        (tie(0.5), 2, {"length_exponent": 0.55}, [B, C, A, END]),
        (tie(0.3), 2, {}, [B, C, A, END]),  # by default between nothing for the length and the mean
        (tie(1.0), 2, {}, [A, END, PAD, PAD]),
        (DISPLACED, 2, {"length_exponent": 1.0}, [END, PAD, PAD]),
        (OVERTAKEN, 2, {"length_exponent": 1.0}, [A, C, END]),
        (THIRD, 3, {}, [C, END]),
        (CUT, 2, {}, [A, END, PAD]),
        (ENDLESS, 2, {}, [B, B, B]),
        (SPECIAL, 2, {"length_exponent": 0.0}, [END, PAD, PAD]),
    ],
)
def test_a_beam_writes_the_caption_of_the_best_score(table, width, options, expected):
    found = beam(scripted(table), nothing(2), len(expected), width, **options)
    assert np.asarray(found.tokens).tolist() == [expected] * 2


def test_greedy_search_takes_the_likely_word_and_no_special_one():
    for table, expected in ((TRAP, [A, A, END]), (SPECIAL, [A, A, A])):
        found = greedy(scripted(table), nothing(1), 3)
        assert np.asarray(found.tokens)[0].tolist() == expected


def test_the_n_best_are_those_of_all_captions_best_first():
    """With beams for every prefix the search finds what enumeration finds."""
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(3), (4, 7))  # of A, B and END after each token
    table = {
        (p, t): dict(zip((A, B, END), shares[p, t], strict=True))
        for p in range(4)
        for t in (START, A, B)
    }

    def score(words):
        pairs = zip(range(4), (START, *words), words, strict=False)
        return sum(math.log(table[p, last][word]) for p, last, word in pairs) / len(words) ** 0.7

    heads = [words for n in range(3) for words in itertools.product((A, B), repeat=n)]
    expected = sorted(((*head, END) for head in heads), key=score, reverse=True)[:3]
    found = beam(scripted(table), nothing(2), 3, 12, n=3)
    assert np.asarray(found.tokens).shape == (2, 3, 3)
    for of_clip, log_probs in zip(*map(np.asarray, found[:2]), strict=True):
        assert [tuple(row[row != PAD]) for row in of_clip] == expected
        for row, words in zip(log_probs, expected, strict=True):
            assert row.sum() / len(words) ** 0.7 == pytest.approx(score(words), abs=1e-4)
    (one,) = np.asarray(beam(scripted(table), nothing(1), 3, 12).tokens)
    assert tuple(one[one != PAD]) == expected[0]


def test_captions_cut_short_come_after_all_finished_ones():
    table = {(0, START): {A: 0.6, B: 0.39, END: 0.01}}
    tokens = np.asarray(beam(scripted(table), nothing(1), 1, 3, n=3).tokens)[0]
    assert tokens.tolist() == [[END], [A], [B]]


def test_forced_words_have_their_own_probabilities_and_padding_none():
    shares = np.array([[[0, 0, 0.05, 0.2, 0.4, 0.2, 0.15], [0, 0, 0.7, 0.1, 0.1, 0.1, 0]]] * 2)
    shares = np.concatenate([shares, shares[:, 1:]], axis=1)
    logits = np.log(np.maximum(shares, 1e-9)).astype("float32") + 3
    targets, weights = np.array([[A, END, PAD], [UNK, END, PAD]], "int32"), np.ones((2, 3, 1))
    found = forced(logits, weights, targets)
    given = np.asarray(found.log_probs)
    np.testing.assert_allclose(np.exp(given), [[0.4, 0.7, 1], [0.2, 0.7, 1]], rtol=1e-3)
    assert (given[:, 2] == 0).all()
    # The unknown word can be read, but is no alternative: search can't write it.
    np.testing.assert_array_equal(np.asarray(found.alternatives)[:, 0, :3], [[A, B, C]] * 2)


def test_sentences_are_drawn_as_often_as_they_are_probable():
    table = {(0, START): {A: 0.7, B: 0.3}, (1, A): {END: 1.0}, (1, B): {B: 0.5, END: 0.5}}
    table |= {(2, None): {END: 1.0}}
    points = np.random.default_rng(0).random((3, 500, 4), np.float32)
    tokens = np.asarray(sample(scripted(table), nothing(500), 3, points))
    assert tokens.shape == (500, 4, 3)
    for of_place in (tokens.reshape(-1, 3), tokens[:, 0], tokens[:, 3]):
        rows, counts = np.unique(of_place, axis=0, return_counts=True)
        assert rows.tolist() == [[A, END, PAD], [B, END, PAD], [B, B, END]]
        np.testing.assert_allclose(counts / len(of_place), [0.7, 0.15, 0.15], atol=0.06)
    assert (tokens[:, 0] != tokens[:, 1]).any()


def test_a_low_temperature_draws_what_is_probable_more_often():
    table = {(0, START): {A: 0.6, B: 0.4}, (1, None): {END: 1.0}}
    for temperature, share in ((1.0, 0.6), (0.5, 0.36 / 0.52), (0.05, 1.0)):
        points = np.random.default_rng(0).random((2, 500, 8), np.float32)
        drawn = sample(scripted(table), nothing(500), 2, points, temperature)
        assert np.mean(np.asarray(drawn)[..., 0] == A) == pytest.approx(share, abs=0.03)


def test_alternatives_are_the_most_probable_tokens_and_include_the_one_written():
    for search in (greedy, lambda *a: beam(*a, width=2)):
        found = search(scripted(SENTENCE | {(1, B): {A: 0.6, C: 0.3, END: 0.1}}), nothing(1), 6)
        np.testing.assert_array_equal(np.asarray(found.tokens)[0, :4], [B, A, C, END])
        np.testing.assert_array_equal(np.asarray(found.alternatives)[0, 1, :3], [A, C, END])
        shares = np.exp(np.asarray(found.alternative_log_probs)[0, 1, :3])
        np.testing.assert_allclose(shares, [0.6, 0.3, 0.1], rtol=1e-3)


@pytest.mark.parametrize("search", [greedy, lambda *a, fewest: beam(*a, width=2, fewest=fewest)])
@pytest.mark.parametrize("fewest", [0, 1, 3])
def test_a_caption_has_at_least_the_words_asked_for(search, fewest):
    table = {(position, None): {END: 0.9, A: 0.06, B: 0.04} for position in range(6)}
    tokens = np.asarray(search(scripted(table), nothing(1), 6, fewest=fewest).tokens)[0]
    assert tokens.tolist() == [A] * fewest + [END] + [PAD] * (5 - fewest)


def test_how_captions_are_written_can_be_changed_without_training():
    captioner, frames = tiny.captioner(), tiny.frames(2)
    for length, fewest in ((5, 0), (3, 2), (8, 6)):
        spec = dataclasses.replace(captioner.writing, length=length, fewest_words=fewest)
        captioner.writing = spec
        for width in (1, 3):
            tokens = captioner.search(captioner.encode(frames), width).tokens
            assert tokens.shape == (2, length) and ((tokens > UNK).sum(axis=1) >= fewest).all()
    assert captioner.caption_spec == tiny.CAPTION


@pytest.mark.usefixtures("eager")
def test_clips_do_not_mix():
    captioner, frames = tiny.captioner(), tiny.frames(5)
    wide = captioner.caption_frames(frames, beam=3)
    for index in range(5):
        alone = captioner.caption_frames(frames[index : index + 1], beam=3)[0]
        assert alone.text == wide[index].text
        np.testing.assert_allclose(alone.attention, wide[index].attention, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("width", [1, 3])
def test_forcing_a_searchs_own_words_gives_what_the_search_gave(width):
    captioner, frames = tiny.captioner(), tiny.frames(3)
    found = captioner.generate(frames, width)
    tokens = np.asarray(found.tokens)
    given = np.concatenate([np.full((3, 1), START), tokens[:, :-1]], axis=1).astype("int32")
    again = forced(*captioner.decoder(given, captioner.encoder(frames)), tokens)
    real = tokens != PAD
    for part in ("log_probs", "weights", "alternative_log_probs"):
        first, second = (np.asarray(getattr(f, part)) for f in (found, again))
        np.testing.assert_allclose(second[real], first[real], rtol=1e-3, atol=1e-4)
    assert not np.asarray(again.log_probs)[~real].any()
