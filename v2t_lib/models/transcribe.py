"""Search results, which are tokens, as `Caption`s, which are words."""

from collections.abc import Iterator

import numpy as np

from v2t_lib.models.caption import Caption
from v2t_lib.models.generation import ALTERNATIVES, SearchResult
from v2t_lib.text.vocabulary import PAD, START, UNK, Vocabulary, sentence


def transcribe(
    found: SearchResult,
    vocabulary: Vocabulary,
    grid: tuple[int, int, int],
    frames: np.ndarray,
    seconds: np.ndarray,
    cell_shift: tuple[float, float] = (0.0, 0.0),
) -> list[Caption]:
    """One `Caption` a clip.

    Args:
        found: A search's result for the clips.
        vocabulary: The words of its tokens.
        grid: `(T', h', w')`, the memory's cells.
        frames: uint8 `(batch, T, H, W, 3)`.
        seconds: float `(batch, T)`.
        cell_shift: `Caption.cell_shift`.
    """
    found = SearchResult(*(np.asarray(part) for part in found))
    captions = []
    for i, tokens in enumerate(found.tokens):
        words = tuple(vocabulary.unpack(tokens))
        count = len(words)
        captions.append(
            Caption(
                text=sentence(words, vocabulary.unit),
                words=words,
                probs=np.exp(found.log_probs[i, :count]),
                log_prob=float(found.log_probs[i].sum()),
                attention=found.weights[i, :count].reshape(count, *grid),
                frames=frames[i],
                seconds=seconds[i],
                runners_up=tuple(_runners_up(found, i, count, vocabulary)),
                cell_shift=cell_shift,
            )
        )
    return captions


def _runners_up(
    found: SearchResult, clip: int, count: int, vocabulary: Vocabulary
) -> Iterator[tuple[tuple[str, float], ...]]:
    """For each word the most probable other words and their probabilities."""
    for position in range(count):
        chosen = found.tokens[clip, position]
        tokens = found.alternatives[clip, position]
        log_probs = found.alternative_log_probs[clip, position]
        yield tuple(
            (vocabulary.words[token], float(np.exp(log_prob)))
            for token, log_prob in zip(tokens, log_probs, strict=True)
            if token not in (chosen, PAD, START, UNK)
        )[: ALTERNATIVES - 1]
