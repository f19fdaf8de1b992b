"""Word lifts: expected occurrences with the clip and without."""

import keras
import numpy as np
from helpers import tiny

from v2t_lib.models.decoder import AttentionDecoder
from v2t_lib.models.verifier import VerifierState
from v2t_lib.models.word_lifts import CONTEXTS, WordLifts, blind_captions
from v2t_lib.text.vocabulary import END, PAD, SPECIALS, START, UNK


def with_null_memory():
    captioner = tiny.captioner()
    captioner.verifier = VerifierState(tiny.null_memory(captioner))
    return captioner


def test_word_lifts_by_hand(monkeypatch):
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
    lifts = WordLifts(with_null_memory())(tiny.frames(2))
    assert not lifts[:, : len(SPECIALS)].any()
    expected = np.log(given[star] / given.sum()) - np.log(blind[star] / blind.sum())
    np.testing.assert_allclose(lifts[:, star], expected, atol=1e-3)


def test_every_clip_is_compared_by_the_same_captions():
    captioner = with_null_memory()
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
