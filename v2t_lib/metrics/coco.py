"""BLEU, ROUGE-L and CIDEr as the COCO caption scorers compute them, from sums over clips.

Each clip has one row of statistics, and every score is a function of the sum of rows. So one
formula gives the scores of a clip, of a corpus, and of a thousand bootstrap samples.

Sources: BLEU, Papineni et al. 2002; ROUGE-L, Lin 2004; CIDEr-D, arXiv 1411.5726; details as in the
COCO caption evaluation (arXiv 1504.00325).
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from v2t_lib.progress import Progress

Words = Sequence[Hashable]  # words, or tokens
LONGEST = 4  # n-grams have up to 4 words
NAMES = (*(f"BLEU-{n}" for n in range(1, LONGEST + 1)), "ROUGE-L", "CIDEr")
#: A row's columns: 1 (the number of clips); matched n-grams, n from 1 to 4; all n-grams of the
#: caption; length of the caption; length of the closest reference; ROUGE-L; CIDEr.
COLUMNS = 1 + 2 * LONGEST + 2 + 2

ROUGE_BETA = 1.2  # the weight of recall against precision
CIDER_SIGMA = 6.0  # width of the Gaussian penalty on the difference in length
_TINY, _SMALL = 1e-15, 1e-9  # against division by zero, with COCO's values


class _Grams(NamedTuple):
    """All n-grams of one length.

    Attributes:
        owner: int `(N,)`, each one's sentence.
        gram: int `(N,)`, its id.
        position: int `(N,)`, where it begins in the sentences, written one after another.
        distinct: The number of ids.
    """

    owner: np.ndarray
    gram: np.ndarray
    position: np.ndarray
    distinct: int


def _ngrams(sentences: Sequence[Words]) -> Iterator[_Grams]:
    """Yields the n-grams of sentences for n from 1 to 4."""
    numbers: dict[Hashable, int] = {}
    ids = [numbers.setdefault(word, len(numbers)) for words in sentences for word in words]
    tokens, kinds = np.array(ids, np.int64), max(1, len(numbers))
    owners = np.repeat(np.arange(len(sentences)), [len(words) for words in sentences])
    grams, distinct = tokens, kinds
    for n in range(1, LONGEST + 1):
        starts = owners[: len(grams)]
        inside = np.flatnonzero(starts == owners[n - 1 :])
        yield _Grams(starts[inside], grams[inside], inside, distinct)
        pairs, grams = np.unique(grams[:-1] * kinds + tokens[n:], return_inverse=True)
        distinct = max(1, len(pairs))


class Documents:
    """In how many clips of a corpus each n-gram occurs: the n-gram weights of `cider`.

    Args:
        references: Each clip's references, as words or tokens.
    """

    def __init__(self, references: Iterable[Sequence[Words]]):
        self.clips = 0
        self._counts: Counter[tuple[Hashable, ...]] = Counter()
        for of_clip in references:
            self.clips += 1
            self._counts.update(
                {
                    tuple(words[start : start + n])
                    for words in of_clip
                    for n in range(1, LONGEST + 1)
                    for start in range(len(words) - n + 1)
                }
            )

    def count(self, gram: tuple[Hashable, ...]) -> int:
        """In how many clips an n-gram occurs."""
        return self._counts.get(gram, 0)


def _matches(
    grams: _Grams, clip_of: np.ndarray, clips: int, documents: np.ndarray | None, corpus: int
) -> tuple[np.ndarray, np.ndarray]:
    """Matches between captions and references, for n-grams of one length.

    Args:
        grams: From `_ngrams`, captions before references.
        clip_of: int `(references,)`, sorted.
        clips: Number of clips, so of captions.
        documents: int `(distinct,)`, in how many clips of a corpus each n-gram occurs; None counts
            in these references.
        corpus: The number of the corpus's clips.

    Returns:
        The number of the caption's n-grams that match, clipped to their highest count in a
        reference, `(clips,)`; and the TF-IDF cosine of caption and reference `(references,)`.
    """
    distinct = grams.distinct
    keys, counts = np.unique(grams.owner * distinct + grams.gram, return_counts=True)
    owners, ids = np.divmod(keys, distinct)
    ours = owners < clips
    caption, caption_count = np.append(keys[ours], -1), np.append(counts[ours], 0)
    reference, gram, count = owners[~ours] - clips, ids[~ours], counts[~ours]
    key = clip_of[reference] * distinct + gram
    if documents is None:
        documents = np.bincount(np.unique(key) % distinct, minlength=distinct)
    weights = np.square(np.log(corpus) - np.log(np.maximum(1, documents)))

    place = np.searchsorted(caption[:-1], key)
    place = np.where(caption[place] == key, place, -1)  # -1: the appended n-gram of count 0
    best = np.zeros_like(caption_count)
    np.maximum.at(best, place, count)
    matched = np.bincount(owners[ours], np.minimum(best, caption_count)[:-1], clips)

    def norms(owner: np.ndarray, count: np.ndarray, gram: np.ndarray, size: int) -> np.ndarray:
        return np.sqrt(np.bincount(owner, count**2 * weights[gram], size))

    shared = np.minimum(caption_count[place], count) * count * weights[gram]
    products = np.bincount(reference, shared, len(clip_of))
    sizes = norms(reference, count, gram, len(clip_of))
    sizes *= norms(owners[ours], counts[ours], ids[ours], clips)[clip_of]
    return matched, np.divide(products, sizes, out=np.zeros_like(sizes), where=sizes > 0)


def _cider(
    cosines: np.ndarray, length: np.ndarray, lengths: np.ndarray, clip_of: np.ndarray
) -> np.ndarray:
    """CIDEr `(clips,)` from the sums of cosines `(references,)` and the sentences' lengths."""
    # The COCO scorer uses the number of bigrams as the length.
    shift = np.maximum(0, length - 1)[clip_of] - np.maximum(0, lengths - 1)
    penalised = cosines * np.exp(-np.square(shift) / (2 * CIDER_SIGMA**2))
    return 10 / LONGEST * np.bincount(clip_of, penalised) / np.bincount(clip_of)


def cider(
    captions: Sequence[Words], references: Sequence[Sequence[Words]], documents: Documents
) -> np.ndarray:
    """CIDEr-D of each caption, float `(captions,)` from 0 to 10, with a fixed corpus's weights.

    `clip_statistics` counts documents in the references it is given; a reward to train with must
    not depend on which clips share a batch. On one corpus the two agree.

    Args:
        captions: The words, or tokens, of each caption.
        references: Those of each caption's references, at least one a caption.
        documents: Of the corpus.
    """
    flat = [words for of_caption in references for words in of_caption]
    clip_of = np.repeat(np.arange(len(captions)), [len(of_one) for of_one in references])
    length, lengths = (np.array([len(words) for words in of]) for of in (captions, flat))
    text = [word for words in (*captions, *flat) for word in words]
    cosines = np.zeros(len(flat))
    for n, grams in enumerate(_ngrams([*captions, *flat]), start=1):
        first = np.zeros(grams.distinct, int)
        first[grams.gram] = grams.position  # one of its places is enough to know the n-gram
        known = [documents.count(tuple(text[start : start + n])) for start in first.tolist()]
        cosines += _matches(grams, clip_of, len(captions), np.array(known), documents.clips)[1]
    return _cider(cosines, length, lengths, clip_of)


def common_length(words: Words, references: Sequence[Words]) -> list[int]:
    """The longest common subsequence of `words` with each reference, in words.

    Bit-parallel: each row of the dynamic programme is one integer (Hyyrö 2004, "Bit-parallel
    LCS-length computation revisited").
    """
    places: dict[Hashable, int] = {}
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
    """ROUGE-L: the F-score of the best precision and the best recall over the references."""
    # The COCO scorer takes an empty caption for one empty word.
    words, references = words or ("",), [reference or ("",) for reference in references]
    common = common_length(words, references)
    precision = max(common) / len(words)
    recall = max(length / len(r) for length, r in zip(common, references, strict=True))
    if not precision or not recall:
        return 0.0
    square = ROUGE_BETA**2
    return (1 + square) * precision * recall / (recall + square * precision)


def clip_statistics(captions: Sequence[Words], references: Sequence[Sequence[Words]]) -> np.ndarray:
    """The statistics of every clip, float `(clips, COLUMNS)`, for `scores`.

    Args:
        captions: The words of each clip's caption; none for a clip without a caption.
        references: The words of each clip's references, at least one reference a clip.
    """
    clips, table = len(captions), np.ones((len(captions), COLUMNS))
    flat = [words for of_clip in references for words in of_clip]
    clip_of = np.repeat(np.arange(clips), [len(of_clip) for of_clip in references])
    length, lengths = (np.array([len(words) for words in of]) for of in (captions, flat))
    cosines = np.zeros(len(flat))
    for n, grams in enumerate(_ngrams([*captions, *flat])):
        table[:, 1 + n], cosine = _matches(grams, clip_of, clips, None, clips)
        table[:, 5 + n] = np.maximum(0, length - n)
        cosines += cosine
    table[:, 9] = length
    # The reference closest in length; of two equally close, the shorter.
    order = np.lexsort((lengths, abs(lengths - length[clip_of]), clip_of))
    table[:, 10] = lengths[order][np.searchsorted(clip_of, np.arange(clips))]
    pairs = Progress(zip(captions, references, strict=True), "ROUGE-L", clips, unit="clip")
    table[:, 11] = [rouge_l(*pair) for pair in pairs]
    table[:, 12] = _cider(cosines, length, lengths, clip_of)
    return table


def scores(sums: np.ndarray) -> dict[str, np.ndarray]:
    """BLEU-1 to BLEU-4, ROUGE-L and CIDEr.

    Args:
        sums: float `(..., COLUMNS)`: sums of rows of `clip_statistics`, or the rows themselves
            for the scores of single clips.

    Returns:
        Arrays `(...)` by name, from 0 to 1, CIDEr from 0 to 10.
    """
    sums = np.asarray(sums, float)
    clips, matched, written = sums[..., 0], sums[..., 1:5], sums[..., 5:9]
    length, closest, rouge, cider = np.moveaxis(sums[..., 9:], -1, 0)
    precisions = (matched + _TINY) / (written + _SMALL)
    ratio = (length + _TINY) / (closest + _SMALL)
    brevity = np.exp(np.minimum(0.0, 1 - 1 / ratio))[..., None]
    bleu = brevity * np.cumprod(precisions, axis=-1) ** (1 / np.arange(1, LONGEST + 1))
    values = (*np.moveaxis(bleu, -1, 0), rouge / clips, cider / clips)
    return dict(zip(NAMES, values, strict=True))
