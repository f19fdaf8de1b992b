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
    """All n-grams of one length."""

    owner: np.ndarray  # int (N,), each one's sentence
    gram: np.ndarray  # int (N,), its id
    position: np.ndarray  # int (N,), where it begins in the sentences, written one after another
    distinct: int  # the number of ids


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
    """In how many clips of a corpus each n-gram of their references occurs, for `cider`."""

    def __init__(self, references: Iterable[Sequence[Words]]):
        self.clips = 0
        self.counts: Counter[tuple[Hashable, ...]] = Counter()
        for of_clip in references:
            self.clips += 1
            self.counts.update(
                {
                    tuple(words[start : start + n])
                    for words in of_clip
                    for n in range(1, LONGEST + 1)
                    for start in range(len(words) - n + 1)
                }
            )


def _matches(
    grams: _Grams, clip_of: np.ndarray, clips: int, documents: np.ndarray | None, corpus: int
) -> tuple[np.ndarray, np.ndarray]:
    """For n-grams of one length, captions' before references': how many of a caption match, clipped
    to their highest count in a reference, `(clips,)`; and the TF-IDF cosine of each reference, of
    the sorted `clip_of` `(references,)`, and its caption `(references,)`.

    `documents` `(distinct,)` says in how many of the `corpus` clips each n-gram occurs; None counts
    in these references.
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


def _compare(
    captions: Sequence[Words], references: Sequence[Sequence[Words]], corpus: Documents | None
) -> tuple[np.ndarray, np.ndarray]:
    """Matched n-grams `(clips, LONGEST)`, and CIDEr-D `(clips,)` with the weights of a corpus, or
    of the references themselves if it is None."""
    clips, flat = len(captions), [words for of_clip in references for words in of_clip]
    clip_of = np.repeat(np.arange(clips), [len(of_clip) for of_clip in references])
    sentences = [*captions, *flat]
    text = [word for words in sentences for word in words]
    matched, cosines = np.zeros((clips, LONGEST)), np.zeros(len(flat))
    for n, grams in enumerate(_ngrams(sentences), start=1):
        documents = None
        if corpus:
            first = np.zeros(grams.distinct, int)
            first[grams.gram] = grams.position  # one of its places is enough to know the n-gram
            known = [tuple(text[start : start + n]) for start in first.tolist()]
            documents = np.array([corpus.counts[gram] for gram in known])
        matched[:, n - 1], cosine = _matches(
            grams, clip_of, clips, documents, corpus.clips if corpus else clips
        )
        cosines += cosine
    # The COCO scorer uses the number of bigrams as the length.
    bigrams = np.array([max(0, len(words) - 1) for words in sentences])
    shift = bigrams[:clips][clip_of] - bigrams[clips:]
    penalised = cosines * np.exp(-np.square(shift) / (2 * CIDER_SIGMA**2))
    return matched, 10 / LONGEST * np.bincount(clip_of, penalised) / np.bincount(clip_of)


def cider(
    captions: Sequence[Words], references: Sequence[Sequence[Words]], documents: Documents
) -> np.ndarray:
    """CIDEr-D of each caption, float `(captions,)` from 0 to 10, with a fixed corpus's weights.

    `clip_statistics` counts documents in the references it is given; a reward to train with must
    not depend on which clips share a batch. On one corpus the two agree.
    """
    return _compare(captions, references, documents)[1]


def _common_lengths(words: Words, references: Sequence[Words]) -> list[int]:
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
    common = _common_lengths(words, references)
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
    table[:, 1:5], table[:, 12] = _compare(captions, references, None)
    pairs = Progress(zip(captions, references, strict=True), "ROUGE-L", clips, unit="clip")
    for row, (words, of_clip) in zip(table, pairs, strict=True):
        length = len(words)
        row[5:9] = np.maximum(0, length - np.arange(LONGEST))
        row[9] = length
        # The reference closest in length; of two equally close, the shorter.
        row[10] = min(map(len, of_clip), key=lambda other: (abs(other - length), other))
        row[11] = rouge_l(words, of_clip)
    return table


def scores(sums: np.ndarray) -> dict[str, np.ndarray]:
    """BLEU-1 to BLEU-4, ROUGE-L and CIDEr `(...)` by name, from 0 to 1, CIDEr from 0 to 10.

    Args:
        sums: float `(..., COLUMNS)`: sums of rows of `clip_statistics`, or the rows themselves
            for the scores of single clips.
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
