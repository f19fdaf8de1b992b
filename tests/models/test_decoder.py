import keras
import numpy as np
import pytest

from v2t_lib.models.decoder import AttentionDecoder


@pytest.fixture
def decoder():
    keras.utils.set_random_seed(0)
    return AttentionDecoder(11, units=6, embedding_size=5, attention_units=4, dropout=0.5)


@pytest.fixture
def memory():
    return np.random.default_rng(0).normal(size=(3, 7, 8)).astype("float32")


TOKENS = np.array([[1, 4, 5, 6], [1, 7, 8, 9], [1, 10, 0, 0]], "int32")


@pytest.mark.parametrize("masked", [False, True])
def test_call_equals_looped_step(decoder, memory, masked):
    mask = np.arange(7)[None] < np.array([[7], [3], [1]]) if masked else None
    logits, weights = decoder(TOKENS, memory, memory_mask=mask)
    state = decoder.start(memory, mask)
    for position in range(TOKENS.shape[1]):
        step_logits, state, step_weights = decoder.step(TOKENS[:, position], state)
        np.testing.assert_allclose(
            np.asarray(logits)[:, position], np.asarray(step_logits), rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(
            np.asarray(weights)[:, position], np.asarray(step_weights), rtol=1e-4, atol=1e-6
        )


def test_shapes_and_weights_that_sum_to_one(decoder, memory):
    logits, weights = decoder(TOKENS, memory)
    assert tuple(logits.shape) == (3, 4, 11) and tuple(weights.shape) == (3, 4, 7)
    np.testing.assert_allclose(np.asarray(weights).sum(-1), 1, rtol=1e-5)


def test_a_word_depends_on_those_before_only(decoder, memory):
    changed = TOKENS.copy()
    changed[:, 2] = 3
    before, after = (np.asarray(decoder(t, memory)[0]) for t in (TOKENS, changed))
    np.testing.assert_allclose(before[:, :2], after[:, :2], rtol=1e-6)
    assert np.abs(before[:, 2:] - after[:, 2:]).max() > 1e-4


def test_masked_cells_change_nothing(decoder, memory):
    mask = np.arange(7)[None].repeat(3, 0) < 4
    other = memory.copy()
    other[:, 4:] = 99.0
    one, two = (np.asarray(decoder(TOKENS, m, memory_mask=mask)[0]) for m in (memory, other))
    np.testing.assert_allclose(one, two, rtol=1e-5)


def test_dropout_in_training_only(decoder, memory):
    quiet = [np.asarray(decoder(TOKENS, memory)[0]) for _ in range(2)]
    loud = [np.asarray(decoder(TOKENS, memory, training=True)[0]) for _ in range(2)]
    np.testing.assert_array_equal(*quiet)
    assert np.abs(loud[0] - loud[1]).max() > 1e-4


def test_config_round_trip(decoder):
    again = AttentionDecoder.from_config(decoder.get_config())
    assert again.get_config() == decoder.get_config()
