import dataclasses
import inspect

import keras
import numpy as np
import pytest

from v2t_lib.models.decoder import AttentionDecoder
from v2t_lib.training.recipe import DecoderOptions


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
    assert tuple(logits.shape) == (3, 4, 11) and tuple(weights.shape) == (3, 4, 7)
    if masked:  # what the cells hold changes nothing
        memory = np.where(mask[..., None], memory, 99.0).astype("float32")
    state = decoder.start(memory, mask)
    for position in range(TOKENS.shape[1]):
        step_logits, state, step_weights = decoder.step(TOKENS[:, position], state)
        np.testing.assert_allclose(
            np.asarray(logits)[:, position], np.asarray(step_logits), rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(
            np.asarray(weights)[:, position], np.asarray(step_weights), rtol=1e-4, atol=1e-6
        )


def test_several_captions_a_clip_are_decoded_as_each_by_itself(decoder, memory):
    """`(batch, captions, L)`, the captions of a clip with its memory and no other's."""
    several = np.stack([TOKENS, TOKENS[::-1]], axis=1)  # (B,K,L)
    logits, weights = map(np.asarray, decoder(several, memory))
    assert logits.shape == (3, 2, 4, 11) and weights.shape == (3, 2, 4, 7)
    for number in range(2):
        one, attention = map(np.asarray, decoder(several[:, number], memory))
        np.testing.assert_allclose(logits[:, number], one, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(weights[:, number], attention, rtol=1e-4, atol=1e-6)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_one_caption_of_many_clips_is_decoded_as_without_the_axis():
    """Where oneDNN's product of `(B, 1, L, E)` and a matrix is wrong, Keras up to 3.13 used it."""
    decoder, rng = (
        AttentionDecoder(11, units=24, embedding_size=24, attention_units=4),
        np.random.default_rng(0),
    )
    memory = rng.normal(size=(33, 4, 8)).astype("float32")
    tokens = rng.integers(1, 11, (33, 5)).astype("int32")
    logits, weights = map(np.asarray, decoder(tokens[:, None], memory))
    expected = map(np.asarray, decoder(tokens, memory))
    for found, alone in zip((logits, weights), expected, strict=True):
        np.testing.assert_allclose(found[:, 0], alone, rtol=1e-5, atol=1e-6)


def test_a_step_is_that_of_the_papers(decoder, memory):
    """The same in NumPy: attention, an LSTM (gates i, f, c, o) on word and context, deep output."""
    decoder(TOKENS, memory)
    for weight in decoder.weights:  # biases begin at 0 and 1, which would hide them
        weight.assign(np.asarray(weight) + np.linspace(-0.3, 0.4, weight.shape[-1]))
    embedding, w_q, w_k, v = (
        decoder.embedding,
        *(getattr(decoder.attention, name) for name in ("W_q", "W_k", "v")),
    )
    table = np.asarray(embedding.embeddings)
    mean = memory.mean(axis=1)
    h, c = (
        np.tanh(mean @ layer.kernel + layer.bias) for layer in (decoder.start_h, decoder.start_c)
    )
    state = decoder.start(memory)
    for position in range(2):
        word = table[TOKENS[:, position]]
        query = np.concatenate([word, h], axis=1) @ np.asarray(w_q.kernel)
        keys = memory @ np.asarray(w_k.kernel) + w_k.bias
        scores = np.tanh(query[:, None] + keys) @ np.asarray(v)
        weights = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        context = np.einsum("bs,bsd->bd", weights, memory)
        inputs = np.concatenate([word, context], axis=1)
        cell = decoder.cell
        gates = inputs @ np.asarray(cell.kernel) + h @ np.asarray(cell.recurrent_kernel) + cell.bias
        i, f, new, o = np.split(np.asarray(gates), 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(new)
        h = sigmoid(o) * np.tanh(c)
        deep = word + h @ np.asarray(decoder.output_h.kernel) + decoder.output_h.bias
        deep = np.tanh(deep + context @ np.asarray(decoder.output_z.kernel))
        logits = deep @ np.asarray(decoder.vocabulary.kernel) + decoder.vocabulary.bias
        got, state, got_weights = decoder.step(TOKENS[:, position], state)
        np.testing.assert_allclose(np.asarray(got_weights), weights, rtol=1e-4)
        np.testing.assert_allclose(np.asarray(got), logits, rtol=1e-3, atol=1e-4)


def test_the_start_is_the_mean_of_the_cells_that_hold_something():
    decoder = AttentionDecoder(5, units=2, embedding_size=2, attention_units=2)
    memory = np.array([[[0.5, 0.1], [0.1, -0.3], [8, 9]]], "float32")
    decoder.build((None, 1), memory.shape)
    for layer in (decoder.start_h, decoder.start_c):
        layer.set_weights([np.eye(2), np.zeros(2)])
    masked = decoder.start(memory, np.array([[True, True, False]]))
    for part in (masked.h, masked.c):
        np.testing.assert_allclose(np.asarray(part), np.tanh([[0.3, -0.1]]), rtol=1e-5)
    whole = decoder.start(memory[:, :2])
    np.testing.assert_allclose(np.asarray(whole.h), np.tanh([[0.3, -0.1]]), rtol=1e-5)


def test_several_beams_of_a_clip_step_as_each_would_alone(decoder, memory):
    decoder.build(TOKENS.shape, memory.shape)
    state, tokens = decoder.start(memory), np.array([[4, 5], [6, 7], [8, 9]], "int32")
    h = np.random.default_rng(1).normal(size=(2, 3, 2, 6)).astype("float32")
    beams = decoder.step(tokens, state._replace(h=h[0], c=h[1]))
    for k in range(2):
        alone = decoder.step(tokens[:, k], state._replace(h=h[0][:, k], c=h[1][:, k]))
        for one, other in (
            (beams[0], alone[0]),
            (beams[2], alone[2]),
            (beams[1].h, alone[1].h),
            (beams[1].c, alone[1].c),
        ):
            np.testing.assert_allclose(
                np.asarray(one)[:, k], np.asarray(other), rtol=1e-4, atol=1e-5
            )


def test_a_recipes_decoder_is_the_layers_own_where_it_says_nothing():
    defaults = inspect.signature(AttentionDecoder).parameters
    for name, value in dataclasses.asdict(DecoderOptions()).items():
        assert defaults[name].default == value, name


def test_a_word_depends_on_those_before_only(decoder, memory):
    changed = TOKENS.copy()
    changed[:, 2] = 3
    before, after = (np.asarray(decoder(t, memory)[0]) for t in (TOKENS, changed))
    np.testing.assert_allclose(before[:, :2], after[:, :2], rtol=1e-6)
    assert np.abs(before[:, 2:] - after[:, 2:]).max() > 1e-4


def test_dropout_in_training_only(decoder, memory):
    quiet = [np.asarray(decoder(TOKENS, memory)[0]) for _ in range(2)]
    loud = [np.asarray(decoder(TOKENS, memory, training=True)[0]) for _ in range(2)]
    np.testing.assert_array_equal(*quiet)
    assert np.abs(loud[0] - loud[1]).max() > 1e-4


def test_config_round_trip_and_a_name_in_files_that_no_move_of_the_module_changes(decoder):
    assert keras.saving.get_registered_name(AttentionDecoder) == "v2t_lib>AttentionDecoder"
    again = AttentionDecoder.from_config(decoder.get_config())
    assert again.get_config() == decoder.get_config()
