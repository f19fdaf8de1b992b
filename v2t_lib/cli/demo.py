"""`v2t demo` and `v2t shapes`."""

import argparse
import contextlib
import json
import sys
from pathlib import Path

from v2t_lib.cli.flags import add_json, number


def add_demo(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--out", type=Path, default="runs/demo", metavar="DIR", help="default: %(default)s")
    add("--seed", type=number(0), default=0, help="of clips and training (default: %(default)s)")
    add("--full", action="store_true", help="three times the clips, a wider model, about an hour")
    add_json(parser)


def run_demo(args: argparse.Namespace) -> int:
    """Run the whole path on drawn clips. Draws, packs, trains, scores and reports in minutes on two
    cores, without a network; what is already there is kept."""
    from v2t_lib.demo import demo
    from v2t_lib.metrics.tables import summary

    with contextlib.redirect_stdout(sys.stderr):
        scores = demo(args.out, args.seed, args.full)
    print(json.dumps(scores) if args.json else summary(scores))
    return 0


def add_shapes(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="DIR", help="where clips and captions go")
    add("--clips", type=number(1), required=True, help="how many, all splits together")
    add("--seed", type=number(0), default=0, help="another seed, other clips (default: 0)")


def run_shapes(args: argparse.Namespace) -> int:
    """Draw captioned GIFs of moving shapes, with split lists and masks. Prints the captions file,
    which `v2t pack` takes."""
    from v2t_lib.datasets.shapes import write_shapes

    print(write_shapes(args.out, args.clips, args.seed))
    return 0
