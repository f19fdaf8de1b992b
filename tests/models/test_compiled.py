"""Which compiler a model gets, and that the compilers agree."""

import keras
import numpy as np
import pytest
from helpers import tiny

from v2t_lib.models import compiled
from v2t_lib.training.optimizer import compile_for_training
from v2t_lib.training.recipe import TrainingOptions

TENSORFLOW = keras.backend.backend() == "tensorflow"


def compiler_of(captioner):
    kept = captioner._compiled_functions.items()
    return next(one.jit_compile for key, one in kept if key[0] == "search")


@pytest.mark.parametrize("width", [1, 3, 5])
def test_xla_takes_over_after_many_clips_and_writes_the_same(width, monkeypatch):
    monkeypatch.setattr(compiled, "MANY_CLIPS", 8)
    captioner = tiny.captioner()
    memory = captioner.encode(tiny.frames(4))
    first = captioner.search(memory, width)
    assert compiler_of(captioner) is compiled.JIT_COMPILE
    second, third = (captioner.search(memory, width) for _ in range(2))
    assert compiler_of(captioner) is not (keras.backend.backend() == "torch")
    for again in (second, third):
        np.testing.assert_array_equal(first.tokens, again.tokens)
        np.testing.assert_allclose(first.log_probs, again.log_probs, atol=1e-5)
        np.testing.assert_allclose(first.weights, again.weights, atol=1e-5)
        np.testing.assert_array_equal(first.alternatives, again.alternatives)


def test_a_clip_is_encoded_once_for_all_that_is_asked_of_it(monkeypatch):
    captioner = tiny.captioner()
    frames = tiny.frames(2)
    memory = captioner.encode(frames)
    assert memory.shape == (2, 32, 12) and memory.dtype == np.float32
    expected = [
        *captioner.caption_frames(frames),
        *captioner.caption_frames(frames, 3),
        *captioner.explain_frames(frames, tiny.SENTENCES[:2]),
    ]
    monkeypatch.setattr(captioner, "encode", None, raising=False)
    found = [
        *captioner.caption_frames(frames, 1, None, memory),
        *captioner.caption_frames(frames, 3, None, memory),
        *captioner.explain_frames(frames, tiny.SENTENCES[:2], None, memory),
    ]
    for one, other in zip(found, expected, strict=True):
        assert one.text == other.text and one.log_prob == pytest.approx(other.log_prob, abs=1e-6)


@pytest.mark.skipif(not TENSORFLOW, reason="elsewhere there is one compiler")
def test_long_training_of_a_decoder_alone_is_compiled_by_xla():
    options = TrainingOptions(batch_size=3)
    tokens = tiny.tokens(*tiny.SENTENCES)
    inputs = (tiny.frames(3), tokens[:, :-1])
    losses = {}
    for encoder, steps, expected in (
        ("blind", compiled.MANY_STEPS, True),
        ("blind", compiled.MANY_STEPS - 1, False),
        ("conv3d", compiled.MANY_STEPS, False),
    ):
        keras.utils.set_random_seed(0)
        captioner = tiny.captioner(encoder)
        compile_for_training(captioner, options, steps)
        assert captioner.jit_compile is expected
        losses[encoder, expected] = [
            captioner.train_on_batch(inputs, tokens[:, 1:])[0] for _ in range(4)
        ]
    by_xla, otherwise = losses["blind", True], losses["blind", False]
    assert by_xla[-1] < by_xla[0]
    np.testing.assert_allclose(by_xla, otherwise, rtol=1e-3)
