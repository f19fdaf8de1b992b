"""The scores of a corpus for people and programs: JSON, a text table, a CSV of clips."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from v2t_lib.files import replacing
from v2t_lib.metrics.corpus_scores import NAMES, CorpusScores, difference, intervals, scores_of


def report(scored: CorpusScores, against: CorpusScores | None = None) -> dict:
    """What `v2t score --json` prints."""
    available = scored.available()
    result = {
        **scored.scores(),
        "no_meteor": scored.no_meteor,
        "clips": len(scored.sources),
        "missing": int(scored.missing.sum()),
        "without_references": len(scored.without_references),
        "available_only": {**available.scores(), "clips": len(available.sources)},
        "intervals": intervals(scored),
    }
    return result | ({"against": difference(scored, against)} if against else {})


def summary(result: dict) -> str:
    """The result of `report` as a text table."""

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


def published_table(rows: Sequence[dict], why: str) -> str:
    """The result of `baselines.beside_published` as a text table."""
    names = ("BLEU-4", "ROUGE-L", "CIDEr", "METEOR")
    lines = [f"{'':56s}" + "".join(f"{name:>8s}" for name in names)]
    for row in rows:
        system = f"{row['system']}, {row['year']}" if row["year"] else row["system"]
        figures = (f"{row[name]:8.3f}" if row[name] is not None else f"{'':8s}" for name in names)
        lines.append(f"{system[:55]:56s}" + "".join(figures).rstrip())
        lines += [f"  {row['clips']:,} clips; {row['protocol']}"] if row["protocol"] else []
    return "\n".join([*lines, f"Yours is not among them: {why}."] if why else lines)


def write_clips(scored: CorpusScores, path: str | Path) -> None:
    """Writes a CSV with a row a clip: the best, the worst, the second best, the second worst, ...

    Clips are ranked by CIDEr, then by ROUGE-L; rank 1 is the best.
    """
    values = scores_of(scored.table)
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
