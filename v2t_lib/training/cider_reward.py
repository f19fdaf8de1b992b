"""What one caption is worth: CIDEr-D of a sentence by itself, as a reward to train with."""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

from v2t_lib.metrics.coco import CIDER_SIGMA, LONGEST

Sentence = Sequence[Hashable]


def _ngrams(sentence: Sentence) -> list[Counter]:
    """How often each n-gram occurs, for n from 1 to 4."""
    return [
        Counter(zip(*(sentence[start:] for start in range(n)), strict=False))
        for n in range(1, LONGEST + 1)
    ]


class CiderReward:
    """CIDEr-D (arXiv 1411.5726), with n-grams as rare as they are in a corpus of its own.

    `metrics.coco` takes rarity from the very references it scores with; a reward must not depend
    on which clips happen to share a batch. Over one corpus the two agree.

    Args:
        corpus: The references of every clip, as sequences of words or tokens.
    """

    def __init__(self, corpus: Iterable[Sequence[Sentence]]):
        self._clips, documents = 0, Counter()
        for references in corpus:
            self._clips += 1
            grams = (gram for words in references for counts in _ngrams(words) for gram in counts)
            documents.update(set(grams))
        self._documents = documents

    def _weighed(self, sentence: Sentence) -> list[tuple[dict, float]]:
        """For n from 1 to 4: each n-gram's count times its rarity, and the norm of all."""
        vectors = []
        for counts in _ngrams(sentence):
            vector = {
                gram: count * math.log(self._clips / max(1, self._documents[gram]))
                for gram, count in counts.items()
            }
            vectors.append((vector, math.hypot(*vector.values())))
        return vectors

    def __call__(self, sentence: Sentence, references: Sequence[Sentence]) -> float:
        """From 0 to 10, the mean over `references`."""
        own, total = self._weighed(sentence), 0.0
        for reference in references:
            # COCO takes the number of bigrams for the length.
            shift = max(0, len(sentence) - 1) - max(0, len(reference) - 1)
            cosines = 0.0
            for (ours, norm), (theirs, other) in zip(own, self._weighed(reference), strict=True):
                if norm and other:
                    shared = (min(ours.get(gram, 0.0), w) * w for gram, w in theirs.items())
                    cosines += sum(shared) / (norm * other)
            total += cosines * math.exp(-(shift**2) / (2 * CIDER_SIGMA**2))
        return 10 / LONGEST * total / len(references)
