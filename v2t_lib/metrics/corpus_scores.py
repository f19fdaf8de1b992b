"""Scores of a whole set of captions, how sure they are, and how each clip did.

TGIF's protocol (`data/eval.py` of github.com/raingo/TGIF-Release), which the published figures
follow: the first prediction a clip counts, a clip without one has an empty caption, all references
count, words are those of the Penn Treebank in lower case without punctuation. Figures over the
clips that have a caption stand apart: they say how good the captions are, not how many clips could
still be fetched, and compare with nothing published.
"""

import csv
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from v2t_lib.errors import DataError
from v2t_lib.files import replacing
from v2t_lib.metrics import coco as metrics
from v2t_lib.metrics import meteor
from v2t_lib.text import ptb_tokenizer as ptb

NAMES = (*metrics.NAMES, "METEOR")
RESAMPLES = 1000


def figures(sums: np.ndarray) -> dict[str, np.ndarray | None]:
    """Every figure by name, METEOR None where its columns are missing; see `Tally.table`."""
    own, rest = np.split(sums, [metrics.COLUMNS], axis=-1)
    return metrics.figures(own) | {"METEOR": meteor.figure(rest) if rest.shape[-1] else None}


@dataclasses.dataclass(frozen=True)
class Tally:
    """What every clip adds to the scores, clips sorted by source.

    Attributes:
        sources: The clips.
        captions: What was predicted, "" for a clip without a prediction.
        references: Each clip's references.
        missing: bool `(clips,)`, True for a clip without a prediction.
        table: float `(clips, columns)`: rows of `metrics`, then rows of `meteor` if there are any.
        no_meteor: Why there are none, in one line; None where there are.
        strangers: Sources with a prediction and no references; they don't count.
    """

    sources: tuple[str, ...]
    captions: tuple[str, ...]
    references: tuple[Sequence[str], ...]
    missing: np.ndarray
    table: np.ndarray
    no_meteor: str | None
    strangers: tuple[str, ...] = ()

    def figures(self) -> dict[str, float | None]:
        """The figures over all clips."""
        return {name: _plain(value) for name, value in figures(self.table.sum(0)).items()}

    def available(self) -> "Tally":
        """The same without the clips that have no prediction."""
        if not self.missing.any():
            return self
        kept = np.flatnonzero(~self.missing)
        captions, references = (
            tuple(values[i] for i in kept) for values in (self.captions, self.references)
        )
        # CIDEr's weights are of the clips scored, so the rows change.
        rows = metrics.rows(*_words(captions, references))
        table = np.hstack([rows, self.table[kept, metrics.COLUMNS :]])
        return dataclasses.replace(
            self,
            sources=tuple(self.sources[i] for i in kept),
            captions=captions,
            references=references,
            missing=self.missing[kept],
            table=table,
        )

    def resampled(self, seed: int = 0) -> dict[str, np.ndarray | None]:
        """The figures of `RESAMPLES` corpora drawn from the clips, with replacement.

        One seed draws the same clips from every tally of as many: two of them are a pair.
        """
        rng, clips = np.random.default_rng(seed), len(self.sources)
        draws = (rng.integers(clips, size=clips) for _ in range(RESAMPLES))
        return figures(np.stack([np.bincount(d, minlength=clips) @ self.table for d in draws]))


def _plain(value: np.ndarray | None) -> float | None:
    return None if value is None else float(value)


def _words(captions: Sequence[str], references: Sequence[Sequence[str]]):
    pairs = tqdm(zip(captions, references, strict=True), "words", len(captions), unit="clip")
    both = [(ptb.words(caption), [ptb.words(text) for text in of]) for caption, of in pairs]
    return [words for words, _ in both], [words for _, words in both]


def tally(
    predictions: Mapping[str, str],
    references: Mapping[str, Sequence[str]],
    with_meteor: bool = True,
) -> Tally:
    """Counts what `figures` needs, for every clip that has references.

    Args:
        predictions: Captions by source; those of clips without references don't count.
        references: The sentences of every clip to score, by source.
        with_meteor: Whether to run METEOR, where that's possible.

    Raises:
        DataError: Not one prediction is for a clip that has references.
    """
    if not predictions.keys() & references.keys():
        raise DataError(
            f"expected predictions for the {len(references)} clips with references. Received: "
            f"{len(predictions)} for others, {min(predictions, default='')!r} for one; write "
            "sources alike in both files"
        )
    sources = tuple(sorted(references))
    captions = tuple(predictions.get(source, "") for source in sources)
    texts = tuple(references[source] for source in sources)
    words, reference_words = _words(captions, texts)
    table, no_meteor = metrics.rows(words, reference_words), "not asked for"
    if with_meteor:
        try:
            table, no_meteor = np.hstack([table, meteor.rows(words, reference_words)]), None
        except meteor.NoMeteor as reason:
            no_meteor = str(reason)
    missing = np.array([source not in predictions for source in sources])
    strangers = tuple(sorted(predictions.keys() - references.keys()))
    return Tally(sources, captions, texts, missing, table, no_meteor, strangers)


def _interval(values: np.ndarray | None) -> list[float] | None:
    return None if values is None else [float(v) for v in np.percentile(values, [2.5, 97.5])]


def intervals(scored: Tally) -> dict[str, list[float] | None]:
    """95% bootstrap intervals by clip, `[low, high]` by name (Efron and Tibshirani 1993).

    CIDEr's weights stay those of all clips.
    """
    return {name: _interval(values) for name, values in scored.resampled().items()}


def difference(scored: Tally, other: Tally) -> dict[str, dict | None]:
    """How far `scored` is above `other`, on the same clips.

    Returns:
        By name, `{"difference": …, "interval": [low, high]}`: a paired 95% bootstrap interval. One
        that holds 0 is no difference to speak of. None where one has no such figure.
    """
    first, second = scored.figures(), other.figures()
    draws, others = scored.resampled(), other.resampled()
    return {
        name: None
        if first[name] is None or second[name] is None
        else {
            "difference": first[name] - second[name],
            "interval": _interval(draws[name] - others[name]),
        }
        for name in NAMES
    }


def report(scored: Tally, against: Tally | None = None) -> dict:
    """What `v2t score --json` prints."""
    available = scored.available()
    result = {
        **scored.figures(),
        "no_meteor": scored.no_meteor,
        "clips": len(scored.sources),
        "missing": int(scored.missing.sum()),
        "without_references": len(scored.strangers),
        "available_only": {**available.figures(), "clips": len(available.sources)},
        "intervals": intervals(scored),
    }
    return result | ({"against": difference(scored, against)} if against else {})


def summary(result: dict) -> str:
    """`report` as a table to read."""

    def span(pair: list[float]) -> str:
        return f"{pair[0]:.4f} to {pair[1]:.4f}"

    lines = [
        f"{result['clips']} clips, {result['missing']} of them without a prediction, which count "
        "as empty captions",
        f"{'':8s} {'all':>7s}   {'95% interval':16s}   {'available only':>14s}",
    ]
    if "against" in result:
        lines[-1] += f"   {'difference':>10s}   95% interval"
    for name in NAMES:
        if result[name] is None:
            continue
        line = f"{name:8s} {result[name]:7.4f}   {span(result['intervals'][name])}"
        line += f"   {result['available_only'][name]:14.4f}"
        if "against" in result:
            pair = result["against"][name]
            line += f"   {pair['difference']:+10.4f}   {span(pair['interval'])}"
        lines.append(line)
    return "\n".join(lines)


def write_clips(scored: Tally, path: str | Path) -> None:
    """Writes a table a clip: the best, the worst, the second best, the second worst, and so on.

    Clips are ranked by CIDEr, then by ROUGE-L; rank 1 is the best.
    """
    values = figures(scored.table)
    names = [name for name in NAMES if values[name] is not None]
    ranked = np.lexsort((-values["ROUGE-L"], -values["CIDEr"]))
    half = (len(ranked) + 1) // 2
    ranks = np.column_stack([np.arange(half), len(ranked) - 1 - np.arange(half)]).ravel()
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["rank", "source", "prediction", "references", *names])
        for rank in ranks[: len(ranked)]:
            clip = ranked[rank]
            texts = (scored.sources[clip], scored.captions[clip])
            shown = (f"{values[name][clip]:.4f}" for name in names)
            writer.writerow([rank + 1, *texts, " | ".join(scored.references[clip]), *shown])
