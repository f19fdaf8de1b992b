"""How long does scoring take beside the official tools, and do both see the same words?

TGIF's test split in size: 11,360 clips, three references each, without METEOR. The limit is half
the time of the official tools (the Java tokeniser and Python scorers of the extra `meteor`, which
also need a Java), in one run on the same sentences.

    python benchmarks/score.py [CAPTIONS.tsv ...]

With captions files the sentences are theirs, each with one word changed so that none comes twice,
and the tokenisers are compared on every caption as typed: at least 99.98% must be cut alike.
Without, the sentences are made up.
"""

import argparse
import contextlib
import io
import os
import shutil
import sys

import numpy as np
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer
from timing import medians

from v2t_lib.captions_file import read_captions
from v2t_lib.metrics.corpus_scores import score_corpus
from v2t_lib.metrics.tables import report
from v2t_lib.text import ptb_tokenizer as ptb

CLIPS, REFERENCES, REPEATS = 11_360, 3, 3
WORDS, LENGTH = 12_228, 11  # of TGIF


def made_up(rng) -> list[str]:
    letters = rng.choice(list("aeiorstnl"), (WORDS, 7))
    words = np.array(["".join(word[: 2 + n % 6]) for n, word in enumerate(letters)])
    ranks = np.arange(1, WORDS + 1)
    draws = rng.choice(words, (5000, LENGTH), p=1 / ranks / np.sum(1 / ranks))
    return [" ".join(draw) + "." for draw in draws]


def sentences(base: list[str], rng) -> list[str]:
    """One for every caption of the benchmark, no two of them alike."""
    vocabulary = sorted({word for text in base for word in text.split()})
    wanted = {}
    while len(wanted) < CLIPS * (1 + REFERENCES):
        words = base[rng.integers(len(base))].split()
        words[rng.integers(len(words))] = vocabulary[rng.integers(len(vocabulary))]
        wanted[" ".join(words)] = None
    return list(wanted)


def tokenised(texts: dict[str, list[str]]) -> dict[str, list[str]]:
    """Sentences as the official tokeniser cuts them."""
    return PTBTokenizer().tokenize(
        {key: [{"caption": text} for text in of] for key, of in texts.items()}
    )


def official(predictions, references) -> dict[str, float]:
    captions = tokenised({source: [text] for source, text in predictions.items()})
    truths = tokenised(references)
    bleu = Bleu(4).compute_score(truths, captions)[0]
    figures = {f"BLEU-{n}": value for n, value in enumerate(bleu, start=1)}
    figures["ROUGE-L"] = Rouge().compute_score(truths, captions)[0]
    figures["CIDEr"] = Cider().compute_score(truths, captions)[0]
    return figures


def compare_tokenisers(paths: list[str]) -> None:
    for path in paths:
        texts = [text for record in read_captions(path) for text in record.captions]
        theirs = tokenised({text: [text] for text in texts})
        alike = sum(" ".join(ptb.words(text)) == theirs[text][0] for text in texts)
        print(f"{path}: {alike / len(texts):.2%} of {len(texts)} captions cut alike (limit 99.98%)")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("captions", nargs="*", metavar="CAPTIONS.tsv")
    paths = parser.parse_args().captions
    if not shutil.which("java"):
        sys.exit("expected a Java on the PATH for the official tools. Received: none")
    os.environ["JAVA_TOOL_OPTIONS"] = "-Dfile.encoding=UTF-8"
    compare_tokenisers(paths)
    rng = np.random.default_rng(0)
    base = [t for path in paths for r in read_captions(path) for t in r.captions] or made_up(rng)
    texts = sentences(base, rng)
    sources = [f"{number}.gif" for number in range(CLIPS)]
    predictions = dict(zip(sources, texts, strict=False))
    references = {s: texts[CLIPS + n :: CLIPS] for n, s in enumerate(sources)}
    results = {}

    def ours():
        ptb.words.cache_clear()
        results["ours"] = report(score_corpus(predictions, references, with_meteor=False))

    def theirs():
        with contextlib.redirect_stdout(io.StringIO()):
            results["theirs"] = official(predictions, references)

    seconds = medians(REPEATS, ours=ours, theirs=theirs)
    gap = max(abs(results["ours"][name] - value) for name, value in results["theirs"].items())
    print(
        f"{CLIPS} clips, {REFERENCES} references: {seconds['ours']:.1f} s with intervals, "
        f"official tools {seconds['theirs']:.1f} s: {seconds['ours'] / seconds['theirs']:.0%} "
        f"(limit 50%); figures differ by {gap:.1g} at most"
    )


if __name__ == "__main__":
    main()
