"""`v2t inspect`."""

import argparse
import dataclasses
import sys

from v2t_lib.captions_file import cell, without_password
from v2t_lib.cli.flags import add_model, load_to_write, new_file
from v2t_lib.errors import V2TError
from v2t_lib.fetching.download import read_source


def add_inspect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="a clip: a path or URL")
    parser.add_argument("--out", type=new_file, required=True, metavar="page.html", help="the page")
    text = "also check whether each clip supports this sentence; may be given several times"
    parser.add_argument("--claim", action="append", default=[], metavar="SENTENCE", help=text)
    add_model(parser, beam=1)


def _cards(captioner, file: str, args: argparse.Namespace) -> list[tuple]:
    """A clip's caption and claims, each with its heading; the clip is fetched once."""
    name, source = without_password(file), read_source(file)
    cards = [(captioner.caption(source, beam=args.beam), name)]
    for claim in args.claim:
        found = captioner.verify(source, claim)
        cards.append((dataclasses.replace(found, source=name), f"claim about {name}"))
    return cards


def run_inspect(args: argparse.Namespace) -> int:
    """Write one HTML page with each word's attention over the clip. It opens in any browser and
    needs nothing beside it. Claims stand beside the caption, their words marked by whether the
    clip supports or contradicts them."""
    from v2t_lib.models.verification import words_of
    from v2t_lib.views.inspector import save_page

    captioner, cards, failed = load_to_write(args), [], 0
    if args.claim:
        captioner.require_null_memory()
    for claim in args.claim:
        words_of(claim, captioner.caption_spec)  # refuses what can't be judged of any clip
    for file in args.files:
        try:
            cards += _cards(captioner, file, args)
        except V2TError as error:
            failed += 1
            print(f"{cell(without_password(file))}: {error}", file=sys.stderr)
    if cards:
        shown, names = zip(*cards, strict=True)
        save_page(args.out, shown, names, calibration=captioner.verifier.calibration)
        print(args.out)
    if failed:
        print(f"{failed} of {len(args.files)} files are not on the page", file=sys.stderr)
    return 1 if failed else 0
