"""Word lifts: how much more probable a clip makes each word of the vocabulary."""

import numpy as np
from keras import ops

from v2t_lib.models.captioner import Captioner
from v2t_lib.models.compiled import Compiled
from v2t_lib.text.vocabulary import END, PAD, SPECIALS, START, UNK

#: Captions whose words every clip is compared by.
CONTEXTS = 8
#: Expected occurrences a caption that are added to each, so that ratios of tiny ones say nothing.
LEAST = 1e-4


class WordLifts:
    """The lift of every word of the vocabulary for a clip, whatever sentence it may stand in.

    At each position of a few captions, which are the same for all clips, every word has a
    probability given the clip. Their sums over the positions are the expected occurrences of the
    words in such captions. A word's lift is the logarithm of their ratio with the clip and without:
    its pointwise mutual information with the clip.

    Args:
        captioner: A model with its null memory.

    Call arguments:
        memory: `(batch, S, D)`, what `Captioner.encode` made of clips.

    Returns:
        float32 `(batch, vocabulary_size)`, in nats; 0 for the special tokens.
    """

    def __init__(self, captioner: Captioner):
        contexts, blind = blind_captions(captioner)
        starts = np.full((CONTEXTS, 1), START, np.int32)
        before = np.concatenate([starts, contexts[:, :-1]], axis=1)
        real = (contexts != PAD).astype(np.float32)[..., None]

        def function(memory):
            tokens = ops.repeat(before[None], ops.shape(memory)[0], axis=0)  # (B,K,L)
            logits, _ = captioner.decoder(tokens, memory)
            probabilities = ops.softmax(ops.cast(logits, "float32"))
            occurrences = ops.sum(probabilities * real, axis=(1, 2)) / CONTEXTS  # (B,V)
            return ops.log(occurrences + LEAST) - np.log(blind + LEAST)

        self._function = Compiled(function, captioner, decodes=True)

    def __call__(self, memory) -> np.ndarray:
        lifts = np.array(self._function.run(memory))
        lifts[:, : len(SPECIALS)] = 0
        return lifts


def blind_captions(captioner: Captioner) -> tuple[np.ndarray, np.ndarray]:
    """Samples of the captions that a model writes without a clip, always the same.

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
    written, occurrences = [], np.zeros(len(captioner.vocabulary), np.float32)
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
