"""Write one HTML page with each word's attention over the clip. It opens in any browser and needs
nothing beside it."""

import sys
from pathlib import Path

from v2t_lib.cli.flags import add_model
from v2t_lib.errors import V2TError
from v2t_lib.tsv import cell, without_password


def add_arguments(parser):
    parser.add_argument("files", nargs="+", metavar="FILE", help="a clip: a path or URL")
    parser.add_argument("--out", type=Path, required=True, metavar="page.html", help="the page")
    add_model(parser, beam=1)


def run(args) -> int:
    from v2t_lib.models.saving import load
    from v2t_lib.views.inspector import save_page

    captioner, captions, names = load(args.model), [], []
    for file in args.files:
        try:
            captions.append(captioner.caption(file, beam=args.beam))
            names.append(without_password(file))
        except V2TError as error:
            print(f"{cell(without_password(file))}: {error}", file=sys.stderr)
    failed = len(args.files) - len(captions)
    if captions:
        save_page(args.out, captions, names)
        print(args.out)
    if failed:
        print(f"{failed} of {len(args.files)} files are not on the page", file=sys.stderr)
    return 1 if failed else 0
