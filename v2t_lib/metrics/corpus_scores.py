"""Scores of a set of captions, with confidence intervals.

The protocol is TGIF's (`data/eval.py` of github.com/raingo/TGIF-Release), which published scores
follow: the first prediction of a clip counts, a clip without one has an empty caption, all
references count, words are Penn Treebank tokens in lower case without punctuation. Scores over the
clips with a prediction are given separately and don't compare with published ones.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from v2t_lib.captions_file import plain
from v2t_lib.errors import DataError
from v2t_lib.metrics import coco, meteor
from v2t_lib.metrics.bootstrap import bootstrap, interval
from v2t_lib.progress import Progress
from v2t_lib.text import ptb_tokenizer, vocabulary

NAMES = (*coco.NAMES, "METEOR")
#: Too few to know which words are rare, as CIDEr has to.
FEW_CLIPS = 10


def scores_of(sums: np.ndarray) -> dict[str, np.ndarray]:
    """The scores by name, from sums of rows of `CorpusScores.table`; METEOR if that has it."""
    own, rest = np.split(sums, [coco.COLUMNS], axis=-1)
    return coco.scores(own) | ({"METEOR": meteor.score(rest)} if rest.shape[-1] else {})


@dataclasses.dataclass(frozen=True)
class CorpusScores:
    """The statistics of every clip that the scores are computed from; clips sorted by source."""

    sources: tuple[str, ...]
    captions: tuple[str, ...]  # the predictions, "" for a clip without one
    references: tuple[Sequence[str], ...]
    missing: np.ndarray  # bool (clips,), True for a clip without a prediction
    table: np.ndarray  # float (clips, columns): those of `coco`, then of `meteor` if available
    no_meteor: str | None  # why METEOR is not available, in one line
    without_references: tuple[str, ...] = ()  # predictions for these don't count
    unit: str = "word"

    def scores(self) -> dict[str, float | None]:
        """The scores over all clips; METEOR is None where it isn't available."""
        values = scores_of(self.table.sum(0))
        return {name: float(values[name]) if name in values else None for name in NAMES}

    def doubts(self) -> list[str]:
        """What scores of these clips can't say whatever is predicted, in sentences.

        CIDEr weighs words by how few of the clips have them, so that words that all have are worth
        nothing; BLEU-4 counts runs of four words.
        """
        found, clips, sums = [], len(self.sources), self.table.sum(0)
        if clips >= FEW_CLIPS and coco.scores(sums[: coco.COLUMNS])["CIDEr"] and sums[4]:
            return []
        firsts = [texts[0] for texts in self.references]
        best = coco.clip_statistics(*_tokenise(firsts, self.references, self.unit)).sum(0)
        if not coco.scores(best)["CIDEr"]:
            what = "of one clip" if clips == 1 else f"of {clips} clips whose words are the same"
            found.append(
                f"CIDEr {what} is 0 whatever is predicted, as it weighs words by how few of the "
                "clips have them."
            )
        elif clips < FEW_CLIPS:
            found.append(f"CIDEr of {clips} clips says little: which words are rare is unknown.")
        if not best[4]:
            found.append("BLEU-4 is 0 whatever is predicted: no first reference has four words.")
        return found

    def available(self) -> "CorpusScores":
        """The same without the clips that have no prediction."""
        if not self.missing.any():
            return self
        kept = np.flatnonzero(~self.missing)
        captions = tuple(self.captions[i] for i in kept)
        references = tuple(self.references[i] for i in kept)
        # CIDEr weighs n-grams by their rarity in the clips scored, so its column changes.
        rows = coco.clip_statistics(*_tokenise(captions, references, self.unit))
        return dataclasses.replace(
            self,
            sources=tuple(self.sources[i] for i in kept),
            captions=captions,
            references=references,
            missing=self.missing[kept],
            table=np.hstack([rows, self.table[kept, coco.COLUMNS :]]),
        )

    def resampled(self) -> dict[str, np.ndarray]:
        """The scores of samples of the clips by `bootstrap`, the same samples for equal clips.

        CIDEr's n-gram weights stay those of all clips.
        """
        return scores_of(bootstrap(lambda weights: weights @ self.table, self.sources))


def _tokenise(
    captions: Sequence[str], references: Sequence[Sequence[str]], unit: str
) -> tuple[list, list]:
    def words(text: str) -> tuple[str, ...]:
        text = vocabulary.one_form(text)
        if unit == "word":
            return ptb_tokenizer.words(text)
        # The Penn Treebank's list of punctuation has none of these scripts' own.
        parts = ptb_tokenizer.words(vocabulary.cut(text))
        return tuple(part for part in parts if any(map(str.isalnum, part)))

    each = Progress(references, "words", len(captions), unit="clip")
    return list(map(words, captions)), [list(map(words, texts)) for texts in each]


def score_corpus(
    predictions: Mapping[str, str],
    references: Mapping[str, Sequence[str]],
    with_meteor: bool = True,
    unit: str = "word",
) -> CorpusScores:
    """Scores predictions on every clip that has references; both by source.

    Args:
        predictions: Captions; those of clips without references don't count. Sources are compared
            as `captions_file.plain` spells them, texts as `vocabulary.one_form` does.
        references: The reference captions of every clip to score.
        with_meteor: Whether to compute METEOR, if possible here.
        unit: What captions are cut into: "word", or "character", which also cuts scripts without
            spaces, such as Chinese, instead of taking every phrase for one word.

    Raises:
        DataError: No prediction is for a clip that has references.
    """
    first = reversed(list(predictions.items()))  # what is first counts
    predictions = {plain(source): text for source, text in first}
    names = set(map(plain, references))
    if not predictions.keys() & names:
        raise DataError(
            f"expected predictions for the {len(references)} clips with references. Received: "
            f"{len(predictions)} for others, {min(predictions, default='')!r} for one; write "
            "sources alike in both files"
        )
    sources = tuple(sorted(references))
    captions = tuple(predictions.get(plain(source), "") for source in sources)
    texts = tuple(references[source] for source in sources)
    words = _tokenise(captions, texts, unit)
    table, no_meteor = coco.clip_statistics(*words), "not asked for"
    if with_meteor:
        try:
            table, no_meteor = np.hstack([table, meteor.clip_statistics(*words)]), None
        except meteor.NoMeteor as reason:
            no_meteor = str(reason)
    missing = np.array([plain(source) not in predictions for source in sources])
    others = tuple(sorted(predictions.keys() - names))
    return CorpusScores(sources, captions, texts, missing, table, no_meteor, others, unit)


def intervals(scored: CorpusScores) -> dict[str, list[float] | None]:
    """95% bootstrap intervals over clips, `[low, high]` by name; None without that score."""
    samples = scored.resampled()
    return {name: interval(samples[name]) if name in samples else None for name in NAMES}


def difference(scored: CorpusScores, other: CorpusScores) -> dict[str, dict | None]:
    """How much higher `scored` is than `other` on the same clips.

    Returns:
        By name, `{"difference": …, "interval": [low, high]}` with the paired 95% bootstrap
        interval; if it contains 0, the difference is not significant. None without that score.
    """
    first, second = (scores_of(of.table.sum(0)) for of in (scored, other))
    samples, others = scored.resampled(), other.resampled()
    found: dict[str, dict | None] = dict.fromkeys(NAMES)
    for name in first.keys() & second.keys():
        value = float(first[name] - second[name])
        found[name] = {"difference": value, "interval": interval(samples[name] - others[name])}
    return found
