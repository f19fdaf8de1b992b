"""BLEU, ROUGE-L and CIDEr as the COCO caption scorers compute them, from sums over clips.

Every clip adds one row of numbers; every figure is a function of the rows' sum. So a clip's own
figures, a corpus's, and those of a thousand resampled corpora all come from one formula.

Sources: BLEU, Papineni et al. 2002; ROUGE-L, Lin 2004; CIDEr-D, arXiv 1411.5726; their versions in
the COCO caption evaluation (arXiv 1504.00325), which fix what the papers leave open.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from tqdm import tqdm

Words = Sequence[str]
LONGEST = 4
NAMES = (*(f"BLEU-{n}" for n in range(1, LONGEST + 1)), "ROUGE-L", "CIDEr")
#: A row: one clip; n-grams that are right, and written; lengths of the caption and of its nearest
#: reference; ROUGE-L; CIDEr.
COLUMNS = 1 + 2 * LONGEST + 2 + 2

ROUGE_BETA = 1.2  # recall counts this much more than precision
CIDER_SIGMA = 6.0  # captions shorter or longer than the reference lose weight with this width
_TINY, _SMALL = 1e-15, 1e-9  # keep a caption without words from dividing by zero, as COCO does


def _ngrams(sentences: Sequence[Words]) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """For n from 1 to 4: each n-gram's sentence `(N,)`, its number `(N,)`, how many there are."""
    numbers: dict[str, int] = {}
    tokens = [numbers.setdefault(word, len(numbers)) for words in sentences for word in words]
    tokens, kinds = np.array(tokens, np.int64), max(1, len(numbers))
    owners = np.repeat(np.arange(len(sentences)), [len(words) for words in sentences])
    grams, distinct = tokens, kinds
    for n in range(1, LONGEST + 1):
        starts = owners[: len(grams)]
        inside = starts == owners[n - 1 :]
        yield starts[inside], grams[inside], distinct
        pairs, grams = np.unique(grams[:-1] * kinds + tokens[n:], return_inverse=True)
        distinct = max(1, len(pairs))


def _matches(owners, grams, distinct, clip_of, clips: int):
    """What captions share with references, for one n.

    Args:
        owners, grams, distinct: From `_ngrams`, captions before references.
        clip_of: int `(references,)`, sorted.
        clips: Number of clips, so of captions.

    Returns:
        The caption's n-grams that some reference has, each as often as there `(clips,)`; and the
        cosine of caption and reference, weighted by rarity, `(references,)`.
    """
    keys, counts = np.unique(owners * distinct + grams, return_counts=True)
    owners, grams = np.divmod(keys, distinct)
    ours = owners < clips
    caption, caption_count = np.append(keys[ours], -1), np.append(counts[ours], 0)
    reference, gram, count = owners[~ours] - clips, grams[~ours], counts[~ours]
    key = clip_of[reference] * distinct + gram
    documents = np.bincount(np.unique(key) % distinct, minlength=distinct)
    weights = np.square(np.log(clips) - np.log(np.maximum(1, documents)))

    place = np.searchsorted(caption[:-1], key)
    place = np.where(caption[place] == key, place, -1)  # the last one occurs 0 times
    best = np.zeros_like(caption_count)
    np.maximum.at(best, place, count)
    right = np.bincount(owners[ours], np.minimum(best, caption_count)[:-1], clips)

    def norms(owner, count, gram, size):
        return np.sqrt(np.bincount(owner, count**2 * weights[gram], size))

    shared = np.minimum(caption_count[place], count) * count * weights[gram]
    products = np.bincount(reference, shared, len(clip_of))
    sizes = norms(reference, count, gram, len(clip_of))
    sizes *= norms(owners[ours], counts[ours], grams[ours], clips)[clip_of]
    return right, np.divide(products, sizes, out=np.zeros_like(sizes), where=sizes > 0)


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


def rows(captions: Sequence[Words], references: Sequence[Sequence[Words]]) -> np.ndarray:
    """What each clip adds: float `(clips, COLUMNS)`.

    Args:
        captions: The words of each clip's caption; none for a clip without one.
        references: For each clip, the words of its references, at least one.
    """
    clips, table = len(captions), np.ones((len(captions), COLUMNS))
    flat = [words for of_clip in references for words in of_clip]
    clip_of = np.repeat(np.arange(clips), [len(of_clip) for of_clip in references])
    length = np.array([len(words) for words in captions])
    lengths = np.array([len(words) for words in flat])
    cosines = np.zeros(len(flat))
    for n, grams in enumerate(_ngrams([*captions, *flat])):
        table[:, 1 + n], cosine = _matches(*grams, clip_of, clips)
        table[:, 5 + n] = np.maximum(0, length - n)
        cosines += cosine
    table[:, 9] = length
    # The nearest in length, the shorter of two as near.
    order = np.lexsort((lengths, abs(lengths - length[clip_of]), clip_of))
    table[:, 10] = lengths[order][np.searchsorted(clip_of, np.arange(clips))]
    pairs = tqdm(zip(captions, references, strict=True), "ROUGE-L", clips, unit="clip")
    table[:, 11] = [rouge_l(*pair) for pair in pairs]
    # COCO takes the number of bigrams for the length.
    shift = np.maximum(0, length - 1)[clip_of] - np.maximum(0, lengths - 1)
    cosines *= np.exp(-np.square(shift) / (2 * CIDER_SIGMA**2))
    table[:, 12] = 10 / LONGEST * np.bincount(clip_of, cosines) / np.bincount(clip_of)
    return table


def figures(sums: np.ndarray) -> dict[str, np.ndarray]:
    """BLEU-1 to BLEU-4, ROUGE-L and CIDEr.

    Args:
        sums: float `(..., COLUMNS)`: sums of rows, or a row itself for a clip's own figures.

    Returns:
        Arrays `(...)` by name: fractions, CIDEr from 0 to 10.
    """
    sums = np.asarray(sums, float)
    clips, right, written = sums[..., 0], sums[..., 1:5], sums[..., 5:9]
    length, nearest, rouge, cider = np.moveaxis(sums[..., 9:], -1, 0)
    precisions = (right + _TINY) / (written + _SMALL)
    ratio = (length + _TINY) / (nearest + _SMALL)
    brevity = np.exp(np.minimum(0.0, 1 - 1 / ratio))[..., None]
    bleu = brevity * np.cumprod(precisions, axis=-1) ** (1 / np.arange(1, LONGEST + 1))
    values = (*np.moveaxis(bleu, -1, 0), rouge / clips, cider / clips)
    return dict(zip(NAMES, values, strict=True))
