"""Word lifts: how much more probable a clip makes each word of the vocabulary."""

import numpy as np
from keras import ops

from v2t_lib.models.captioner import Captioner
from v2t_lib.models.compiled import Compiled
from v2t_lib.models.devices import split
from v2t_lib.text.vocabulary import END, PAD, SPECIALS, START, UNK

#: Captions whose words every clip is compared by.
CONTEXTS = 8
#: Steps a nat of lifts kept in 8 bits, which reach to almost 8 nats.
STEPS = 16
#: Expected occurrences a caption that are added to each, so that ratios of tiny ones say nothing.
LEAST = 1e-4


class CompiledWordLifts(Compiled):
    """A clip's lift of every word: the first stage of search compares sentences with these.

    At each position of a few captions, which are the same for all clips, every word of the
    vocabulary has a probability given the clip. Their sums over the positions are the expected
    occurrences of the words in such captions. A word's lift is the logarithm of their ratio with
    the clip and without.

    Args:
        captioner: A model with its null memory.

    Call arguments:
        memory: `(batch, S, D)`, what `Captioner.encode` made of clips.

    Returns:
        float32 `(batch, vocabulary_size)`, in nats.
    """

    def __init__(self, captioner: Captioner):
        super().__init__()
        self.captioner = captioner
        self.contexts, self.blind = blind_captions(captioner)

    def call(self, memory):
        starts = np.full((CONTEXTS, 1), START, np.int32)
        before = np.concatenate([starts, self.contexts[:, :-1]], axis=1)
        tokens = ops.repeat(before[None], ops.shape(memory)[0], axis=0)  # (B,K,L)
        logits, _ = self.captioner.decoder(tokens, memory)
        probabilities = ops.softmax(ops.cast(logits, "float32"))
        real = (self.contexts != PAD).astype(np.float32)[..., None]
        occurrences = ops.sum(probabilities * real, axis=(1, 2)) / CONTEXTS  # (B,V)
        return ops.log(occurrences + LEAST) - np.log(self.blind + LEAST)

    def of_clips(self, memory) -> np.ndarray:
        """int8 `(batch, vocabulary_size)`, `STEPS` a nat; 0 for the special tokens."""
        lifts = np.array(self.predict_on_batch(split(memory)))
        lifts[:, : len(SPECIALS)] = 0
        return np.clip(np.round(STEPS * lifts), -127, 127).astype(np.int8)


def blind_captions(captioner: Captioner) -> tuple[np.ndarray, np.ndarray]:
    """Captions that a model writes where no clip is seen: samples, always the same.

    Returns:
        int32 `(CONTEXTS, length)`, END included, then PAD; and float32 `(vocabulary_size,)`, the
        expected occurrences of each word in one of them.

    Raises:
        ModelError: The model has no null memory.
    """
    # NumPy's generator, not `generation.sample`: an index that was begun on one backend of Keras
    # and continues on another needs the same captions.
    rng, decoder = np.random.default_rng(0), captioner.decoder
    memory = ops.convert_to_numpy(captioner.require_null_memory().values)
    state = decoder.start(ops.convert_to_tensor(memory[None])).repeated(CONTEXTS)
    token, done = np.full((1, CONTEXTS), START, np.int32), np.zeros((1, CONTEXTS), bool)
    written, occurrences = [], 0.0
    for _ in range(captioner.caption_spec.length):
        logits, state, _ = decoder.step(ops.convert_to_tensor(token), state)
        logits = ops.convert_to_numpy(logits).astype(np.float32)  # (1,K,V)
        probabilities = np.exp(logits - logits.max(axis=-1, keepdims=True))
        probabilities /= probabilities.sum(axis=-1, keepdims=True)
        occurrences += (probabilities * ~done[..., None]).sum(axis=(0, 1)) / CONTEXTS
        logits[..., [PAD, START, UNK]] = -np.inf
        # The largest of logits with Gumbel noise is a sample of their distribution.
        drawn = (logits + rng.gumbel(size=logits.shape)).argmax(axis=-1).astype(np.int32)
        token = np.where(done, PAD, drawn)
        written.append(token[0])
        done |= token == END
    return np.stack(written, axis=1), occurrences
