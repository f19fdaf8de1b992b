import math
import random

import numpy as np
import pytest
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

from v2t_lib.metrics.coco import COLUMNS, Documents, cider, clip_statistics, rouge_l, scores


def split(captions, references):
    return [c.split() for c in captions], [[text.split() for text in of] for of in references]


def test_empty_captions_score_nothing_and_break_nothing():
    table = clip_statistics(*split(["", ""], [["a cat sits", "the cat is here"], ["a dog runs"]]))
    assert table.shape == (2, COLUMNS) and np.isfinite(table).all()
    assert max(scores(table.sum(0)).values()) < 1e-6
    assert all(np.isfinite(value).all() for value in scores(table).values())
    assert rouge_l([], [[]]) == 1  # as COCO has it: one empty word is like the other


def random_captions(rng, count):
    words = ["a", "dog", "cat", "man", "runs", "red", "the", "sees", "ünd"]
    return [" ".join(rng.choices(words, k=rng.choice([0, 1, 2, 5, 9]))) for _ in range(count)]


def test_scores_equal_the_coco_scorers_clip_by_clip():
    rng = random.Random(3)
    captions = random_captions(rng, 200)
    references = [[t or "a" for t in random_captions(rng, rng.randint(1, 4))] for _ in captions]
    table = clip_statistics(*split(captions, references))
    theirs = dict(enumerate(references)), {n: [text] for n, text in enumerate(captions)}
    bleu, per_clip = Bleu(4).compute_score(*theirs, verbose=0)
    official = {f"BLEU-{n}": (bleu[n - 1], per_clip[n - 1]) for n in range(1, 5)}
    official |= {"ROUGE-L": Rouge().compute_score(*theirs), "CIDEr": Cider().compute_score(*theirs)}
    overall, each = scores(table.sum(0)), scores(table)
    for name, (value, values) in official.items():
        assert overall[name] == pytest.approx(value, abs=1e-9)
        np.testing.assert_allclose(each[name], values, atol=1e-9)


def test_cider_of_a_fixed_corpus_by_hand():
    # Two clips. "a" is in both, so it weighs nothing; "red" and "b" are in one each: log 2.
    documents = Documents([[["a", "red"]], [["a", "b"]]])
    captions = [["a", "red"], ["red", "red"], ["a", "red", "a"], []]
    # Right: "red" and (a red). Of "red" said twice one counts: 1 * 1 / (2 * 1); (red red) is in no
    # clip and weighs log 2. One bigram more than the reference: the Gaussian of 1 at sigma 6.
    longer = (1 + 1 / math.sqrt(2)) * math.exp(-1 / 72)
    found = cider(captions, [[["a", "red"]]] * 4, documents)
    np.testing.assert_allclose(found, 2.5 * np.array([2, 0.5, longer, 0]))


def test_over_one_corpus_both_ciders_agree_in_words_and_in_tokens():
    rng = random.Random(5)
    captions, references = split(
        random_captions(rng, 60), [random_captions(rng, rng.randint(1, 4)) for _ in range(60)]
    )
    expected = clip_statistics(captions, references)[:, 12]
    np.testing.assert_allclose(cider(captions, references, Documents(references)), expected)
    numbers = {word: n for n, word in enumerate({w for of in references for t in of for w in t})}

    def tokens(words):
        return [numbers.get(word, -1) for word in words]

    corpus = [[tokens(words) for words in of] for of in references]
    found = cider([tokens(words) for words in captions[:9]], corpus[:9], Documents(corpus))
    np.testing.assert_allclose(found, expected[:9], atol=1e-12)
