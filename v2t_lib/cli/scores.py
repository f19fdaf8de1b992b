"""`v2t evaluate` and `v2t score`."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from v2t_lib.cli.flags import add_json, add_model, add_published, load_to_write, new_file
from v2t_lib.specs import CaptionSpec


def _print_scores(
    args: argparse.Namespace,
    scores: dict,
    references: Mapping[str, Sequence[str]],
    table: Callable[[dict], str],
) -> None:
    """Prints scores as JSON or as a table, beside published ones where these are asked for."""
    from v2t_lib.datasets.published import beside_published
    from v2t_lib.metrics.tables import published_table

    if scores["no_meteor"]:
        print(f"no METEOR: {scores['no_meteor']}", file=sys.stderr)
    if args.published:
        rows, why = beside_published(args.published, scores, references)
        scores["published"] = {"rows": rows, "why_not": why}
    print(json.dumps(scores) if args.json else table(scores), flush=True)
    if args.published and not args.json:
        print(published_table(rows, why), flush=True)


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("shards", type=Path, help="held-out shards")
    add("--out", type=new_file, metavar="predictions.tsv", help="where the captions go")
    text = "a page: what the figures mean, the learning curves, the first clips and the worst"
    add("--html", type=new_file, metavar="report.html", help=text)
    text = "drawn clips of combinations that training never showed, scored apart"
    add("--unseen", type=Path, metavar="SHARDS", help=text)
    text = "training shards: counts captions that are copied from them"
    add("--training", type=Path, metavar="SHARDS", help=text)
    add_published(parser)
    add_model(parser, beam=4)
    add_json(parser)


def run_evaluate(args: argparse.Namespace) -> int:
    """Caption held-out shards and score the captions. The figures are over the clips in the shards;
    to count clips that could not be fetched, as TGIF's protocol does, give what --out writes to
    `v2t score`."""
    from v2t_lib.evaluation import evaluate, write_predictions
    from v2t_lib.metrics.tables import summary
    from v2t_lib.models.saving import load
    from v2t_lib.training.run_folder import BLIND_FILE

    twin = args.model.with_name(BLIND_FILE)
    captioner = load_to_write(args)
    scores, predictions = evaluate(
        captioner,
        args.shards,
        blind=load(twin) if twin.exists() else None,
        unseen=args.unseen,
        training=args.training,
        beam=args.beam,
    )
    try:
        _print_scores(args, scores, {p.source: p.references for p in predictions}, summary)
    finally:  # also where nobody reads on: `| head -1`
        if args.out:
            write_predictions(predictions, args.out)
        if args.html:
            from v2t_lib.report import save_report  # with matplotlib

            run = args.model.parent
            save_report(args.html, captioner, args.shards, scores, predictions, run)
    return 0


def add_score(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("predictions", type=Path, metavar="PREDICTIONS.tsv")
    add("references", type=Path, metavar="REFERENCES.tsv")
    add("--split", type=Path, metavar="LIST", help="only the sources in this file, one a line")
    unit = CaptionSpec.about()["unit"]
    add("--unit", choices=unit.choices, default=unit.default, help=f"{unit.help} (default: word)")
    text = "other predictions: prints how far PREDICTIONS is above them, paired by clip"
    add("--against", type=Path, metavar="B.tsv", help=text)
    text = "where a table of every clip goes, best and worst in turn"
    add("--per-clip", type=Path, metavar="OUT.csv", help=text)
    add_published(parser)
    add_json(parser)


def run_score(args: argparse.Namespace) -> int:
    """Score any predictions by TGIF's official protocol. Both files are UTF-8 TSV, one
    `source<TAB>caption` a row. The first prediction a clip counts; a clip without one has an
    empty caption, and the figures over the others are printed beside. METEOR needs a Java and
    the package pycocoevalcap."""
    from v2t_lib.captions_file import plain, read_captions, read_predictions, select
    from v2t_lib.metrics.corpus_scores import score_corpus
    from v2t_lib.metrics.tables import report, score_table, write_clips
    from v2t_lib.text import checks

    records = read_captions(args.references, keep_repeats=True)
    if args.split:
        records = select(records, args.split)
    references = {plain(record.source): record.captions for record in records}
    checks.warn([caption for record in records for caption in record.captions], unit=args.unit)

    def count(path):
        counted = score_corpus(read_predictions(path), references, unit=args.unit)
        if counted.without_references:
            print(
                f"{path}: predictions for clips without references don't count: "
                f"{len(counted.without_references)}, {counted.without_references[0]!r} for one",
                file=sys.stderr,
            )
        return counted

    scored = count(args.predictions)
    result = report(scored, count(args.against) if args.against else None)
    try:
        _print_scores(args, result, references, score_table)
    finally:
        if args.per_clip:
            write_clips(scored, args.per_clip)
    return 0
