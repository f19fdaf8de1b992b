"""Run the whole path on drawn clips. Draws, packs, trains, scores and reports in minutes on two
cores, without a network; what is already there is kept."""

import contextlib
import json
import sys
from pathlib import Path

from v2t_lib.cli.flags import add_json, number


def add_arguments(parser):
    add = parser.add_argument
    add("--out", type=Path, default="runs/demo", metavar="DIR", help="default: %(default)s")
    add("--seed", type=number(0), default=0, help="of clips and training (default: %(default)s)")
    add("--full", action="store_true", help="three times the clips, a wider model, about an hour")
    add_json(parser)


def run(args) -> int:
    from v2t_lib.demo import demo
    from v2t_lib.metrics.tables import summary

    with contextlib.redirect_stdout(sys.stderr):
        scores = demo(args.out, args.seed, args.full)
    print(json.dumps(scores) if args.json else summary(scores))
    return 0
