import math

import keras
import numpy as np
import pytest

from v2t_lib.models.attention import BahdanauAttention


def by_hand() -> BahdanauAttention:
    """W_q = W_k = identity, v = (1, 1), no bias."""
    attention = BahdanauAttention(2)
    attention.build((None, 2), (None, 2, 2))
    attention.W_q.set_weights([np.eye(2)])
    attention.W_k.set_weights([np.eye(2), np.zeros(2)])
    attention.v.assign(np.ones(2))
    return attention


def test_two_by_two_by_hand():
    query = np.array([[0.5, -0.5]], "float32")
    memory = np.array([[[1.0, 0.0], [0.0, 2.0]]], "float32")
    scores = [math.tanh(1.5) + math.tanh(-0.5), math.tanh(0.5) + math.tanh(1.5)]
    total = math.exp(scores[0]) + math.exp(scores[1])
    first, second = math.exp(scores[0]) / total, math.exp(scores[1]) / total
    context, weights = by_hand()(query, memory)
    np.testing.assert_allclose(np.asarray(weights), [[first, second]], rtol=1e-5)
    np.testing.assert_allclose(np.asarray(context), [[first, 2 * second]], rtol=1e-5)


def test_weights_sum_to_one_and_are_zero_under_the_mask():
    rng = np.random.default_rng(0)
    query, memory = rng.normal(size=(3, 4)), rng.normal(size=(3, 5, 6))
    mask = np.array([[1, 1, 0, 0, 1], [1, 0, 0, 0, 0], [1, 1, 1, 1, 1]], bool)
    memory[0, 2] = 99  # however high it scores
    context, weights = BahdanauAttention(7)(query, memory, memory_mask=mask)
    weights = np.asarray(weights)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-5)
    assert (weights[~mask] == 0).all() and (weights[mask] > 0).all()
    np.testing.assert_allclose(np.asarray(context)[1], memory[1, 0], rtol=1e-5)


def test_keys_projected_once_give_the_same():
    rng = np.random.default_rng(2)
    query, memory = rng.normal(size=(2, 4)), rng.normal(size=(2, 5, 6)).astype("float32")
    attention = BahdanauAttention(7)
    plain = attention(query, memory)
    given = attention(query, memory, keys=attention.project(memory))
    for one, other in zip(plain, given, strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-6)


def test_several_queries_of_a_memory_attend_as_each_would_alone():
    rng = np.random.default_rng(3)
    queries, memory = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 5, 6))
    mask = np.array([[1, 1, 0, 1, 1], [1, 1, 1, 0, 0]], bool)
    attention = BahdanauAttention(7)
    context, weights = attention(queries, memory, memory_mask=mask)
    for k in range(3):
        alone, alone_weights = attention(queries[:, k], memory, memory_mask=mask)
        np.testing.assert_allclose(np.asarray(context)[:, k], np.asarray(alone), rtol=1e-5)
        np.testing.assert_allclose(np.asarray(weights)[:, k], np.asarray(alone_weights), rtol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_softmax_is_float32_under_mixed_precision(policy):
    attention = BahdanauAttention(8, dtype=policy)
    context, weights = attention(np.ones((1, 4)), np.ones((1, 3000, 6)))
    assert keras.backend.standardize_dtype(weights.dtype) == "float32"
    assert keras.backend.standardize_dtype(context.dtype) == policy.removeprefix("mixed_")
    # 3,000 equal shares: float16 sums would be off in the third digit.
    np.testing.assert_allclose(np.asarray(weights).sum(), 1, rtol=1e-4)


def test_config_round_trip_and_a_name_in_files_that_no_move_of_the_module_changes():
    assert keras.saving.get_registered_name(BahdanauAttention) == "v2t_lib>BahdanauAttention"
    attention = BahdanauAttention(5, name="attention")
    assert BahdanauAttention.from_config(attention.get_config()).get_config() == (
        attention.get_config()
    )
