"""Scheduled sampling: in training, some input words are the model's own predictions."""

import keras
from keras import layers, ops

from v2t_lib.text.vocabulary import PAD


class ScheduledSampling(layers.Layer):
    """Replaces a share of the input words, which grows with the steps taken, by sampled words.

    Attributes:
        share: The share that is reached in the end; 0 for teacher forcing alone.
        steps: The training steps over which the share grows, linearly from 0.
        steps_done: float32 scalar variable, the number of calls. A run's checkpoints hold
            it; `.keras` files don't.

    Call arguments:
        tokens: int32 `(batch, L)`, the words before those to predict.
        logits: `(batch, L, vocabulary_size)`, the model's predictions from `tokens`.

    Returns:
        int32 `(batch, L)`; START and PAD stay.

    References:
        arXiv 1506.03099, in two passes as in arXiv 1906.07651.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.share, self.steps = 0.0, 1
        self.seeds = keras.random.SeedGenerator()

    def build(self, tokens_shape, logits_shape):
        # Not the optimiser's iterations: JAX's compiled step can't read them here, and with
        # accumulated gradients they count something else.
        self.steps_done = self.add_weight(
            (), "zeros", "float32", trainable=False, autocast=False, name="steps_done"
        )

    def start(self, share: float, steps: int) -> None:
        """Sets the schedule and counts from 0 again."""
        self.share, self.steps = share, steps
        self.steps_done.assign(0)

    def call(self, tokens, logits):
        sampled = keras.random.categorical(
            ops.reshape(logits, (-1, logits.shape[-1])), 1, dtype="int32", seed=self.seeds
        )
        sampled = ops.reshape(sampled, ops.shape(tokens))
        # What is predicted at one position is the input at the next.
        predicted = ops.concatenate([tokens[:, :1], sampled[:, :-1]], axis=1)
        progress = ops.minimum(self.steps_done / self.steps, 1.0)
        self.steps_done.assign_add(1)
        uniform = keras.random.uniform(ops.shape(tokens), seed=self.seeds)
        chosen = ops.logical_and(uniform < self.share * progress, tokens != PAD)
        return ops.where(chosen, predicted, tokens)

    def save_own_variables(self, store):
        """Saves nothing."""

    def load_own_variables(self, store):
        """Loads nothing: files of before have no such layer."""
