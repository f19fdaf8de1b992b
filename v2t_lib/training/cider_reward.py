"""CIDEr-D of single sentences, as a reward to train with."""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from v2t_lib.metrics.coco import CIDER_SIGMA, LONGEST
from v2t_lib.text.vocabulary import PAD, Vocabulary

Sentence = Sequence[Hashable]


def _ngrams(sentence: Sentence) -> list[Counter]:
    """How often each n-gram occurs, for n from 1 to 4."""
    return [
        Counter(zip(*(sentence[start:] for start in range(n)), strict=False))
        for n in range(1, LONGEST + 1)
    ]


class CiderReward:
    """CIDEr-D (arXiv 1411.5726) with document frequencies from a fixed corpus.

    `metrics.coco` counts document frequencies in the references it scores with; a reward must not
    depend on which clips share a batch. On one corpus the two agree.

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

    def _tf_idf(self, sentence: Sentence) -> list[tuple[dict, float]]:
        """For n from 1 to 4: the TF-IDF vector of the n-grams, and its norm."""
        vectors = []
        for counts in _ngrams(sentence):
            vector = {
                gram: count * math.log(self._clips / max(1, self._documents[gram]))
                for gram, count in counts.items()
            }
            vectors.append((vector, math.hypot(*vector.values())))
        return vectors

    def __call__(
        self, sentences: Sequence[Sentence], references: Sequence[Sentence]
    ) -> list[float]:
        """Each sentence's reward, from 0 to 10: the mean over `references`."""
        theirs = [(self._tf_idf(reference), _length(reference)) for reference in references]
        return [self._against(sentence, theirs) for sentence in sentences]

    def _against(self, sentence: Sentence, references: list) -> float:
        own, total = self._tf_idf(sentence), 0.0
        for vectors, length in references:
            cosines = 0.0
            for (ours, norm), (theirs, other) in zip(own, vectors, strict=True):
                if norm and other:
                    both = [(weight, theirs[g]) for g, weight in ours.items() if g in theirs]
                    shared = (min(pair) * pair[1] for pair in both)
                    cosines += sum(shared) / (norm * other)
            shift = _length(sentence) - length
            total += cosines * math.exp(-(shift**2) / (2 * CIDER_SIGMA**2))
        return 10 / LONGEST * total / len(references)


def _length(sentence: Sentence) -> int:
    """The number of bigrams, which COCO takes for the length."""
    return max(0, len(sentence) - 1)


class CaptionReward:
    """`CiderReward` of captions as tokens; END counts as a word, so that it is learnt too.

    Args:
        vocabulary: The words of the tokens.
        length: The captions' length.
        corpus: Each clip's captions.
    """

    def __init__(self, vocabulary: Vocabulary, length: int, corpus: Iterable[Sequence[str]]):
        self.vocabulary, self.length = vocabulary, length
        self.reward = CiderReward(map(self._tokens, corpus))

    def _tokens(self, sentences: Sequence[str]) -> list[list[int]]:
        rows = (self.vocabulary.pack(sentence, self.length)[1:] for sentence in sentences)
        return [_unpadded(row) for row in rows]

    def __call__(self, captions: np.ndarray, references: Sequence[Sequence[str]]) -> np.ndarray:
        """int `(batch, K, L)` tokens and each clip's references to float `(batch, K)` rewards."""
        return np.array(
            [
                self.reward([_unpadded(row) for row in rows], self._tokens(sentences))
                for rows, sentences in zip(captions, references, strict=True)
            ]
        )


def _unpadded(row: np.ndarray) -> list[int]:
    return [int(token) for token in row if token != PAD]
