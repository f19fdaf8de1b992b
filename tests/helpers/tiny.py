"""Small models and data that several tests use."""

import numpy as np

from v2t_lib.models.captioner import Captioner
from v2t_lib.models.encoders import registry as encoders
from v2t_lib.models.verifier import NULL_CELLS, NullMemory, VerifierState
from v2t_lib.specs import CaptionSpec, ClipSpec
from v2t_lib.text.vocabulary import Vocabulary

CLIP = ClipSpec(frames=4, height=16, width=16)
CAPTION = CaptionSpec(length=5)
SENTENCES = ("a red star spins", "the blue circle grows", "a cross blinks")
VOCABULARY = Vocabulary.from_captions(SENTENCES)
ENCODER = {"widths": (8, 12), "strides": ((1, 2, 2), (2, 2, 2)), "residual_from": 1}
DECODER = {"units": 24, "embedding_size": 16, "attention_units": 12}


def captioner(encoder="conv3d", decoder=None, caption=CAPTION, **options) -> Captioner:
    config = ENCODER if encoder != "blind" else {}
    return Captioner(
        CLIP,
        caption,
        VOCABULARY,
        encoders.get(encoder, **config),
        decoder or DECODER,
        **options,
    )


def null_memory(captioner: Captioner) -> NullMemory:
    """One that was not learnt."""
    memory = NullMemory(NULL_CELLS, captioner.encoder.memory_size)
    memory.values.assign(np.random.default_rng(0).standard_normal(memory.values.shape))
    return memory


def judge(model: Captioner | None = None) -> Captioner:
    """A captioner with a null memory, so that it can verify sentences."""
    model = model or captioner()
    model.verifier = VerifierState(null_memory(model))
    return model


def frames(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *CLIP.shape), dtype=np.uint8)


def tokens(*sentences: str) -> np.ndarray:
    """int32 `(sentences, L + 1)`."""
    return np.stack([VOCABULARY.pack(sentence, CAPTION.length) for sentence in sentences])
