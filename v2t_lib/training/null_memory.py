"""Learning the null memory: what the decoder expects of a caption before it sees the clip."""

import keras
import numpy as np

from v2t_lib.models.captioner import Captioner
from v2t_lib.models.compiled import JIT_COMPILE
from v2t_lib.models.verifier import NULL_CELLS, NullMemory
from v2t_lib.training.losses import sequence_loss

BATCH, EPOCHS, STEPS = 64, 10, 200
LEARNING_RATE = 0.03


class LanguageModel(keras.Model):
    """The captioner's decoder with a null memory, which alone is trained."""

    def __init__(self, captioner: Captioner, memory: NullMemory):
        super().__init__()
        self.memory = memory
        object.__setattr__(self, "decoder", captioner.decoder)  # not tracked: it stays as it is
        self.built = True

    def call(self, tokens):
        return self.decoder(tokens, self.memory(tokens), training=False)[0]


def fit_null_memory(
    captioner: Captioner, captions: list[str], start: np.ndarray, seed: int = 0
) -> NullMemory:
    """The null memory under which the decoder gives captions their highest likelihood.

    Args:
        captioner: A trained model; it stays as it is.
        captions: Captions like those it was trained on.
        start: float `(D,)`, the mean of clips' memory cells, from which the search starts.
        seed: Of the order of the captions.
    """
    rng, length = np.random.default_rng(seed), captioner.caption_spec.length
    memory = NullMemory(NULL_CELLS, len(start))
    # Cells that are all alike would stay so.
    noise = 0.1 * start.std() * rng.standard_normal((NULL_CELLS, len(start)))
    memory.values.assign((start + noise).astype(np.float32))
    batch = min(BATCH, len(captions))
    steps = min(STEPS, EPOCHS * -(-len(captions) // batch))
    rows = np.concatenate([rng.permutation(len(captions)) for _ in range(EPOCHS + 1)])
    chosen = [captions[row] for row in rows[: steps * batch]]
    tokens = np.stack([captioner.vocabulary.pack(text, length) for text in chosen])
    model = LanguageModel(captioner, memory)
    schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    model.compile(keras.optimizers.Adam(schedule), sequence_loss, jit_compile=JIT_COMPILE)
    model.fit(tokens[:, :-1], tokens[:, 1:], batch, verbose=0, shuffle=False)
    return memory
