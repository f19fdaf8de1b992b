"""`v2t demo`: the whole path on drawn clips."""

import contextlib
import json
import sys
from pathlib import Path

from v2t_lib.cli.flags import add_json, number

HELP = (
    "Run the whole path on drawn clips. Draws, packs, trains, scores and reports in minutes on two "
    "cores, without a network; what is already there is kept."
)


def add_arguments(parser):
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/demo"),
        metavar="DIR",
        help="where report, model, scores and data go (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=number(0),
        default=0,
        help="seed of the clips and of training (default: %(default)s)",
    )
    parser.add_argument(
        "--full", action="store_true", help="three times the clips, a wider model, about an hour"
    )
    add_json(parser)


def run(args) -> int:
    from v2t_lib.demo import demo
    from v2t_lib.evaluation import summary

    with contextlib.redirect_stdout(sys.stderr):
        scores = demo(args.out, args.seed, args.full)
    print(json.dumps(scores) if args.json else summary(scores))
    return 0
