"""Caption held-out shards and score the captions. The figures are over the clips in the shards; to
count clips that could not be fetched, as TGIF's protocol does, give what --out writes to
`v2t score`."""

import json
from pathlib import Path

from v2t_lib.cli.flags import add_json, add_model, add_published
from v2t_lib.cli.score import say_why_no_meteor


def add_arguments(parser):
    add = parser.add_argument
    add("shards", type=Path, help="held-out shards")
    add("--out", type=Path, metavar="predictions.tsv", help="where the captions go")
    text = "a page: what the figures mean, the learning curves, the first clips and the worst"
    add("--html", type=Path, metavar="report.html", help=text)
    text = "drawn clips of combinations that training never showed, scored apart"
    add("--unseen", type=Path, metavar="SHARDS", help=text)
    text = "training shards: counts captions that are copied from them"
    add("--training", type=Path, metavar="SHARDS", help=text)
    add_published(parser)
    add_model(parser, beam=4)
    add_json(parser)


def run(args) -> int:
    from v2t_lib.datasets.published import beside_published
    from v2t_lib.evaluation import evaluate, write_predictions
    from v2t_lib.metrics.tables import published_table, summary
    from v2t_lib.models.saving import load
    from v2t_lib.training.run_folder import BLIND_FILE

    twin = args.model.with_name(BLIND_FILE)
    captioner = load(args.model)
    scores, predictions = evaluate(
        captioner,
        args.shards,
        blind=load(twin) if twin.exists() else None,
        unseen=args.unseen,
        training=args.training,
        beam=args.beam,
    )
    say_why_no_meteor(scores)
    if args.published:
        references = {p.source: p.references for p in predictions}
        rows, why = beside_published(args.published, scores, references)
        scores["published"] = {"rows": rows, "why_not": why}
    print(json.dumps(scores) if args.json else summary(scores), flush=True)
    if args.published and not args.json:
        print(published_table(rows, why), flush=True)
    if args.out:
        write_predictions(predictions, args.out)
    if args.html:
        from v2t_lib.report import save_report  # with matplotlib

        run = args.model.parent
        save_report(args.html, captioner, args.shards, scores, predictions, run)
    return 0
