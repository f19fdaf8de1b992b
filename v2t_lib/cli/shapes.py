"""`v2t shapes`: draws the embedded data."""

from pathlib import Path

from v2t_lib.cli.flags import number

HELP = (
    "Draw captioned GIFs of moving shapes, with split lists and masks. Prints the captions file, "
    "which `v2t pack` takes."
)


def add_arguments(parser):
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="where clips and captions go"
    )
    parser.add_argument(
        "--clips", type=number(1), required=True, help="how many to draw, all splits together"
    )
    parser.add_argument(
        "--seed",
        type=number(0),
        default=0,
        help="another seed, other clips (default: %(default)s)",
    )


def run(args) -> int:
    from v2t_lib.datasets.shapes import write_shapes

    print(write_shapes(args.out, args.clips, args.seed))
    return 0
