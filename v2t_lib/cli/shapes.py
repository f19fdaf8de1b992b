"""Draw captioned GIFs of moving shapes, with split lists and masks. Prints the captions file, which
`v2t pack` takes."""

from pathlib import Path

from v2t_lib.cli.flags import number


def add_arguments(parser):
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="DIR", help="where clips and captions go")
    add("--clips", type=number(1), required=True, help="how many, all splits together")
    add("--seed", type=number(0), default=0, help="another seed, other clips (default: 0)")


def run(args) -> int:
    from v2t_lib.datasets.shapes import write_shapes

    print(write_shapes(args.out, args.clips, args.seed))
    return 0
