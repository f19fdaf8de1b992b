"""BLEU, ROUGE-L and CIDEr as the COCO caption scorers compute them, from sums over clips.

Every clip adds one row of numbers; every figure is a function of the rows' sum. So a clip's own
figures, a corpus's, and those of a thousand resampled corpora all come from one formula.

Sources: BLEU, Papineni et al. 2002; ROUGE-L, Lin 2004; CIDEr-D, arXiv 1411.5726; their versions in
the COCO caption evaluation (arXiv 1504.00325), which fix what the papers leave open.
"""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

Words = Sequence[str]
LONGEST = 4
NAMES = (*(f"BLEU-{n}" for n in range(1, LONGEST + 1)), "ROUGE-L", "CIDEr")
#: A row: one clip; right and written n-grams; lengths of caption and nearest reference; the rest.
COLUMNS = 1 + 2 * LONGEST + 2 + 2

ROUGE_BETA = 1.2  # recall counts this much more than precision
CIDER_SIGMA = 6.0  # captions shorter or longer than the reference lose weight with this width
_TINY, _SMALL = 1e-15, 1e-9  # keep a caption without words from dividing by zero, as COCO does


def ngrams(words: Words) -> list[Counter]:
    """How often each n-gram occurs, for n from 1 to 4."""
    return [Counter(zip(*(words[i:] for i in range(n)))) for n in range(1, LONGEST + 1)]


class Rarity:
    """Squared inverse document frequencies: how much an n-gram says about a clip.

    Args:
        references: For every clip, its references; a clip is a document.
    """

    def __init__(self, references: Sequence[Sequence[Words]]):
        documents = Counter()
        for of_clip in references:
            documents.update({gram for words in of_clip for n in ngrams(words) for gram in n})
        most = math.log(len(references)) if references else 0.0
        self._squares = {gram: (most - math.log(n)) ** 2 for gram, n in documents.items()}
        self._unknown = most**2

    def products(self, left: Counter, right: Counter) -> float:
        """The two captions' dot product, `left`'s counts cut to those of `right`."""
        get, unknown = self._squares.get, self._unknown
        return sum(
            min(count, other) * other * get(gram, unknown)
            for gram, count in left.items()
            if (other := right.get(gram))
        )

    def norms(self, grams: list[Counter]) -> list[float]:
        """The caption's length as a vector, for each n."""
        get, unknown = self._squares.get, self._unknown
        return [
            math.sqrt(sum(count * count * get(gram, unknown) for gram, count in n.items()))
            for n in grams
        ]


def _bleu(words: Words, grams: list[Counter], references: Sequence[Words], counts) -> list[float]:
    right = [
        sum(min(count, max(c[n].get(gram, 0) for c in counts)) for gram, count in own.items())
        for n, own in enumerate(grams)
    ]
    written = [max(0, len(words) - n) for n in range(LONGEST)]
    nearest = min((abs(len(r) - len(words)), len(r)) for r in references)[1]
    return [*right, *written, len(words), nearest]


def common_length(words: Words, references: Sequence[Words]) -> list[int]:
    """The longest common subsequence of `words` with each reference, in words.

    A row of the usual table is one whole number whose zero bits are the row's steps (Hyyrö 2004,
    "Bit-parallel LCS-length computation revisited").
    """
    places: dict[str, int] = {}
    for position, word in enumerate(words):
        places[word] = places.get(word, 0) | 1 << position
    everywhere, lengths = (1 << len(words)) - 1, []
    for reference in references:
        row = everywhere
        for word in reference:
            step = row & places.get(word, 0)
            row = row + step | row - step
        lengths.append(len(words) - (row & everywhere).bit_count())
    return lengths


def rouge_l(words: Words, references: Sequence[Words]) -> float:
    """ROUGE-L: best recall against best precision, each over all references."""
    # An empty caption is, to the COCO scorer, one empty word.
    words, references = words or ("",), [reference or ("",) for reference in references]
    common = common_length(words, references)
    precision = max(common) / len(words)
    recall = max(length / len(r) for length, r in zip(common, references, strict=True))
    if not precision or not recall:
        return 0.0
    square = ROUGE_BETA**2
    return (1 + square) * precision * recall / (recall + square * precision)


def _cider(words: Words, grams, references: Sequence[Words], counts, rarity: Rarity) -> float:
    own, total = rarity.norms(grams), 0.0
    for reference, other in zip(references, counts, strict=True):
        shift = max(0, len(words) - 1) - max(0, len(reference) - 1)  # COCO counts the bigrams
        likeness = math.exp(-(shift**2) / (2 * CIDER_SIGMA**2))
        for n, norm in enumerate(rarity.norms(other)):
            if norm and own[n]:
                total += likeness * rarity.products(grams[n], other[n]) / (norm * own[n])
    return 10.0 * total / LONGEST / len(references)


def row(words: Words, references: Sequence[Words], rarity: Rarity) -> list[float]:
    """What one clip adds: `COLUMNS` numbers.

    Args:
        words: The caption's words; none for a clip without a caption.
        references: The words of each of its references, at least one.
        rarity: Of the corpus that the clip belongs to.
    """
    grams, counts = ngrams(words), [ngrams(reference) for reference in references]
    return [
        1.0,
        *_bleu(words, grams, references, counts),
        rouge_l(words, references),
        _cider(words, grams, references, counts, rarity),
    ]


def figures(sums: np.ndarray) -> dict[str, np.ndarray]:
    """BLEU-1 to BLEU-4, ROUGE-L and CIDEr.

    Args:
        sums: float `(..., COLUMNS)`: sums of rows, or a row itself for a clip's own figures.

    Returns:
        Arrays `(...)` by name: fractions, CIDEr from 0 to 10.
    """
    sums = np.asarray(sums, float)
    clips, right, written = sums[..., 0], sums[..., 1:5], sums[..., 5:9]
    length, nearest, rouge, cider = (sums[..., column] for column in range(9, COLUMNS))
    precisions = (right + _TINY) / (written + _SMALL)
    ratio = (length + _TINY) / (nearest + _SMALL)
    brevity = np.exp(np.minimum(0.0, 1 - 1 / ratio))[..., None]
    bleu = brevity * np.cumprod(precisions, axis=-1) ** (1 / np.arange(1, LONGEST + 1))
    values = (*np.moveaxis(bleu, -1, 0), rouge / clips, cider / clips)
    return dict(zip(NAMES, values, strict=True))
