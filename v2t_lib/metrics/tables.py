"""Scores for people and programs: text tables, JSON, a CSV of clips, and what there is to doubt."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from v2t_lib.files import write_table
from v2t_lib.metrics.corpus_scores import NAMES, CorpusScores, difference, intervals, scores_of
from v2t_lib.metrics.texts import COLLAPSE_SHARE

#: A clip that lowers the loss by less than this, in nats a token, is hardly used; by the second, it
#: clearly is.
SMALL_GAP, CLEAR_GAP = 0.05, 0.25


@dataclasses.dataclass(frozen=True)
class Figure:
    """One figure of an evaluation, as text with its unit, and what it says.

    `mark` is "good" or "poor", by a control that it stands beside; "" where nothing but another
    model's figure on the same clips could tell.
    """

    name: str
    value: str
    meaning: str
    mark: str = ""


def _percent(share: float | None) -> str:
    return "not measured" if share is None else f"{100 * share:.1f}%"


def _mark(good: bool, poor: bool) -> str:
    return "good" if good else "poor" if poor else ""


def _exact(scores: dict) -> Iterator[Figure]:
    greedy, unseen = scores["exact_match"], scores["unseen_combinations"]
    # Only of drawn clips is everything known that may be said about them.
    drawn = bool(scores["exact_match_by"])
    meaning = "captions that are, word for word, one of the clip's own"
    mark = _mark(drawn and greedy >= 0.9, drawn and greedy < 0.5)
    yield Figure("exact match", _percent(greedy), meaning, mark)
    name = f"with {scores['beam']} beams"
    yield Figure(name, _percent(scores["exact_match_beam"]), "the same, by beam search")
    if unseen is not None:
        meaning = "the same, for colour, shape and behaviour never together in training"
        mark = _mark(unseen >= 0.9 * greedy > 0, unseen < 0.5 * greedy)
        yield Figure("unseen combinations", _percent(unseen), meaning, mark)


def _losses(scores: dict) -> Iterator[Figure]:
    loss = scores["loss"]
    yield Figure("loss", f"{loss:.3f} nats", "a token; lower is better, but see the next two lines")
    for name, label, meaning in (
        ("blind_loss", "loss when blind", "the same decoder trained without seeing the clip"),
        ("shuffled_loss", "loss on wrong clips", "this model, shown other clips"),
    ):
        if (other := scores[name]) is not None:
            mark = _mark(other - loss >= CLEAR_GAP, other - loss < SMALL_GAP)
            yield Figure(label, f"{other:.3f} nats", f"{meaning}; has to be higher", mark)


def _texts(scores: dict) -> Iterator[Figure]:
    for name, meaning in (
        ("BLEU-4", "runs of up to four words found in the references"),
        ("ROUGE-L", "longest common subsequence with a reference"),
        ("METEOR", "words in common, stems and synonyms too"),
        ("CIDEr", "of 10: words in common, rare ones weigh more"),
    ):
        if (value := scores[name]) is not None:
            low, high = scores["intervals"][name]
            yield Figure(name, f"{value:.3f}", f"{meaning} (95%: {low:.3f} to {high:.3f})")
    distinct, copied = scores["distinct_captions"], scores["seen_in_training"]
    meaning = "different captions, a clip; few mean that it writes the same for many"
    mark = _mark(False, distinct < COLLAPSE_SHARE)
    yield Figure("distinct captions", _percent(distinct), meaning, mark)
    if copied is not None:
        meaning = "captions that are in the training data word for word"
        yield Figure("seen in training", _percent(copied), meaning)
    half = next(row for row in scores["risk_coverage"] if row["coverage"] == 0.5)
    meaning = "CIDEr of the half that the model is surest of; exact match "
    mark = _mark(half["CIDEr"] > scores["CIDEr"], half["CIDEr"] < scores["CIDEr"])
    meaning += _percent(half["exact_match"])
    yield Figure("surest half", f"{half['CIDEr']:.3f}", meaning, mark)


def _attention(scores: dict) -> Iterator[Figure]:
    for name, label, where in (
        ("pointing", "pointing", "colour and shape words whose peak of attention is on the object"),
        ("pointing_behaviour", "pointing, behaviour", "behaviour words, peak on the object's way"),
    ):
        if (value := scores[name]) is not None:
            chance = scores[f"{name}_chance"]
            mark = _mark(value >= (1 + chance) / 2, value < chance + 0.05)
            yield Figure(label, _percent(value), f"{where}; {_percent(chance)} by chance", mark)
    if (mass := scores["mass_on_object"]) is not None:
        yield Figure("attention on object", _percent(mass), "of it, for the same words")
    if deleted := scores["deletion"]:
        low, high = deleted["interval"]
        meaning = (
            f"fall of a word's probability without its most attended tenth of the clip; "
            f"{deleted['random']:.3f} without a random tenth (difference {low:.3f} to {high:.3f})"
        )
        yield Figure("deletion", f"{deleted['drop']:.3f}", meaning, _mark(low > 0, low < 0))


def _groups(scores: dict) -> Iterator[Figure]:
    for kind, groups in (scores["exact_match_by"] or {}).items():
        for name, group in groups.items():
            value = _percent(group["exact_match"])
            yield Figure(f"{kind}: {name}", value, "exact match of such clips")


def figures(scores: dict) -> list[Figure]:
    """What `evaluate` returns as a table's rows; what was not measured is left out."""
    parts = (_exact, _losses, _texts, _attention, _groups)
    return [figure for part in parts for figure in part(scores)]


def headline(scores: dict) -> str:
    """What was scored, in a few words."""
    return f"{scores['clips']:,} held-out clips, captioned greedily and with {scores['beam']} beams"


def summary(scores: dict) -> str:
    """The scores that `evaluate` returns as a text table, and what there is to doubt."""
    rows = figures(scores)
    name, value = (max(len(getattr(row, part)) for row in rows) for part in ("name", "value"))
    lines = [
        f"{row.name:{name}}  {row.value:>{value}}  {row.mark:4}  {row.meaning}" for row in rows
    ]
    doubts = [f"Careful: {doubt}" for doubt in scores["doubts"]]
    return "\n".join([headline(scores), *lines, *doubts])


def diagnose(scores: dict) -> list[str]:
    """Signs in the scores that a model ignores the clips, in sentences; none if all is well."""
    doubts = []
    for name, when in (
        ("blind_loss", "for the same decoder when it sees nothing"),
        ("shuffled_loss", "when it is shown other clips"),
    ):
        if scores[name] is not None and scores[name] - scores["loss"] < SMALL_GAP:
            doubts.append(
                f"The model hardly uses the clip: its loss is {scores['loss']:.3f} nats a token, "
                f"and {scores[name]:.3f} {when}. Train longer, or with another encoder, before you "
                "trust its captions."
            )
    distinct = round(scores["distinct_captions"] * scores["clips"])
    if scores["clips"] > 1 and (distinct == 1 or scores["distinct_captions"] < COLLAPSE_SHARE):
        doubts.append(
            f"The captions have collapsed: {distinct} distinct for {scores['clips']} clips. The "
            "model writes nearly the same for every clip: train longer, or lower the learning rate."
        )
    return doubts


def report(scored: CorpusScores, against: CorpusScores | None = None) -> dict:
    """What `v2t score --json` prints."""
    available, doubts = scored.available(), scored.doubts()
    if scored.missing.any():
        doubts += [f"Available only: {doubt}" for doubt in available.doubts()]
    result = {
        **scored.scores(),
        "no_meteor": scored.no_meteor,
        "clips": len(scored.sources),
        "missing": int(scored.missing.sum()),
        "without_references": len(scored.without_references),
        "available_only": {**available.scores(), "clips": len(available.sources)},
        "intervals": intervals(scored),
        "doubts": doubts,
    }
    return result | ({"against": difference(scored, against)} if against else {})


def score_table(result: dict) -> str:
    """The result of `report` as a text table."""

    def span(pair: Sequence[float]) -> str:
        return f"{pair[0]:.4f} to {pair[1]:.4f}"

    rows = {}
    for name in NAMES:
        if result[name] is not None:
            rows[name] = {"all": result[name], "95% interval": span(result["intervals"][name])}
            rows[name]["available only"] = result["available_only"][name]
            if other := result.get("against", {}).get(name):
                rows[name]["difference"] = f"{other['difference']:+.4f}"
                rows[name]["its 95% interval"] = span(other["interval"])
    count = f"{result['clips']} clips, {result['missing']} of them without a prediction"
    table = pd.DataFrame.from_dict(rows, orient="index").to_string(float_format="%.4f")
    doubts = [f"Careful: {doubt}" for doubt in result["doubts"]]
    return "\n".join([f"{count}, which count as empty captions", table, *doubts])


def published_table(rows: Sequence[dict], why: str) -> str:
    """The result of `published.beside_published` as a text table."""
    names = ("BLEU-4", "ROUGE-L", "CIDEr", "METEOR")
    lines = [f"{'':56s}" + "".join(f"{name:>8s}" for name in names)]
    for row in rows:
        system = f"{row['system']}, {row['year']}" if row["year"] else row["system"]
        values = (f"{row[name]:8.3f}" if row[name] is not None else f"{'':8s}" for name in names)
        lines.append(f"{system[:55]:56s}" + "".join(values).rstrip())
        lines += [f"  {row['clips']:,} clips; {row['protocol']}"] if row["protocol"] else []
    return "\n".join([*lines, f"Yours is not among them: {why}."] if why else lines)


def write_clips(scored: CorpusScores, path: str | Path) -> None:
    """Writes a CSV with a row a clip: the best, the worst, the second best, the second worst, ...

    Clips are ranked by CIDEr, then by ROUGE-L; rank 1 is the best. See `files.write_table`.
    """
    texts = {"source": scored.sources, "prediction": scored.captions}
    texts["references"] = tuple(map(" | ".join, scored.references))
    table = pd.DataFrame(texts | scores_of(scored.table))
    table = table.sort_values(["CIDEr", "ROUGE-L"], ascending=False, kind="stable")
    table.insert(0, "rank", range(1, len(table) + 1))
    order = sorted(range(len(table)), key=lambda place: min(place, len(table) - 1 - place))
    write_table(path, table.iloc[order].to_dict("list"))
