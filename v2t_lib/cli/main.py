"""The `v2t` command: its parser, made of one module a command, and its exit codes."""

import argparse
import importlib
import os
import sys

from v2t_lib import __version__
from v2t_lib.cli.flags import WrongUsage
from v2t_lib.errors import V2TError

#: In the order of `v2t --help`; each is a module with `add_arguments` and `run`,
#: whose docstring is its help.
COMMANDS = ("demo", "shapes", "fetch", "pack", "train", "caption", "inspect", "evaluate", "score",
            "encoders", "recipes")  # fmt: skip
EPILOG = """\
from nothing to captions, one step at a time:
  v2t shapes --out data --clips 6400
  v2t pack data/captions.tsv --split data/train.txt --out shards/train --frames 8 --size 48
  v2t pack data/captions.tsv --split data/val.txt --out shards/val --frames 8 --size 48
  v2t pack data/captions.tsv --split data/test.txt --out shards/test --frames 8 --size 48
  v2t train shards/train --val shards/val --out runs/first --recipe shapes
  v2t evaluate shards/test --model runs/first/captioner.keras --out predictions.tsv
  v2t score predictions.tsv data/captions.tsv --split data/test.txt
  v2t caption my.gif --model runs/first/captioner.keras
  v2t inspect my.gif --model runs/first/captioner.keras --out page.html
download and pack the TGIF release; after a stop the same command continues:
  v2t fetch tgif --out tgif --shards
or all of it on drawn clips:
  v2t demo
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="v2t",
        description="Captions for GIFs and short clips, with the attention behind every word.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"v2t {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        command = importlib.import_module(f"v2t_lib.cli.{name}")
        about = " ".join(command.__doc__.split())
        summary = about[0].lower() + about[1 : about.index(".")]
        sub = commands.add_parser(name, help=summary, description=about)
        sub.set_defaults(run=command.run)
        command.add_arguments(sub)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs one command; 0 done, 1 something failed, 2 wrong usage."""
    parser = _parser()
    args = parser.parse_args(argv)
    # TensorFlow's start-up notes would bury what users need to read.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        return args.run(args)
    except WrongUsage as error:
        parser.error(f"{args.command}: {error}")
    except (V2TError, ValueError) as error:
        print(f"v2t {args.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"v2t {args.command}: stopped", file=sys.stderr)
        return 1
