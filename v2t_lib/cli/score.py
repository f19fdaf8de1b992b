"""Score any predictions by TGIF's official protocol. Both files are UTF-8 TSV, one
`source<TAB>caption` a row. The first prediction a clip counts; a clip without one has an empty
caption, and the figures over the others are printed beside. METEOR needs a Java and the package
pycocoevalcap."""

import json
import sys
from pathlib import Path

from v2t_lib.cli.flags import add_json, add_published
from v2t_lib.specs import CaptionSpec


def add_arguments(parser):
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


def say_why_no_meteor(scores: dict) -> None:
    if scores["no_meteor"]:
        print(f"no METEOR: {scores['no_meteor']}", file=sys.stderr)


def run(args) -> int:
    from v2t_lib.captions_file import plain, read_captions, read_predictions, select
    from v2t_lib.datasets.published import beside_published
    from v2t_lib.metrics.corpus_scores import score_corpus
    from v2t_lib.metrics.tables import published_table, report, score_table, write_clips
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
    say_why_no_meteor(result)
    if args.published:
        rows, why = beside_published(args.published, result, references)
        result["published"] = {"rows": rows, "why_not": why}
    print(json.dumps(result) if args.json else score_table(result), flush=True)
    if args.published and not args.json:
        print(published_table(rows, why), flush=True)
    if args.per_clip:
        write_clips(scored, args.per_clip)
    return 0
