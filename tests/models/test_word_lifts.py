"""Word lifts: expected occurrences with the clip and without."""

import keras
import numpy as np
import pytest
from helpers import tiny

from v2t_lib.models.decoder import AttentionDecoder
from v2t_lib.models.verifier import NULL_CELLS
from v2t_lib.models.word_lifts import CONTEXTS, WordLifts, _blind_captions
from v2t_lib.text.vocabulary import END, PAD, SPECIALS, START, UNK


@pytest.fixture
def captioner():
    return tiny.judge()


@pytest.mark.usefixtures("eager")
def test_word_lifts_by_hand(captioner, monkeypatch):
    star = tiny.VOCABULARY.words.index("star")
    given, blind = (np.full(len(tiny.VOCABULARY), 0.01) for _ in range(2))
    given[[END, star]] = 0.5, 0.4
    blind[[END, star]] = 0.5, 0.1

    def call(self, tokens, memory, memory_mask=None, training=False):
        probabilities = blind if memory.shape[1] == NULL_CELLS else given
        logits = np.log(probabilities).astype(np.float32)
        return keras.ops.convert_to_tensor(np.tile(logits, (*tokens.shape, 1))), None

    monkeypatch.setattr(AttentionDecoder, "call", call)
    lifts = WordLifts(captioner)(captioner.encode(tiny.frames(2)))
    assert lifts.shape == (2, len(tiny.VOCABULARY)) and not lifts[:, : len(SPECIALS)].any()
    expected = np.log(given[star] / given.sum()) - np.log(blind[star] / blind.sum())
    np.testing.assert_allclose(lifts[:, star], expected, atol=1e-3)


def test_every_clip_is_compared_by_the_same_captions(captioner):
    null = np.asarray(captioner.verifier.null_memory.values)[None]
    captions = _blind_captions(captioner, null)
    np.testing.assert_array_equal(captions, _blind_captions(captioner, null))
    assert captions.shape == (CONTEXTS, tiny.CAPTION.length)
    assert len(np.unique(captions, axis=0)) > 1 and not np.isin(captions, (START, UNK)).any()
    for caption in captions:
        end = np.flatnonzero(np.isin(caption, END))
        assert (caption[end[0] + 1 :] == PAD).all() if len(end) else (caption != PAD).all()
