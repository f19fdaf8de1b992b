"""Flags that several commands share, and flags made from the fields of options classes."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from v2t_lib.datasets.published import TEST_SPLITS
from v2t_lib.errors import DataError
from v2t_lib.files import check_output
from v2t_lib.options import Option, Options
from v2t_lib.specs import CaptionSpec, ClipSpec

#: Fields of `CaptionSpec` that say how captions are generated.
WRITING = ("length", "fewest_words", "length_exponent")


class WrongUsage(Exception):
    """Arguments that don't fit together; `main` exits with 2."""


def about(thing) -> str:
    """The first paragraph of a docstring, on one line; "" under `python -OO`, which strips them."""
    return " ".join((thing.__doc__ or "").partition("\n\n")[0].split())


def number(at_least: int) -> Callable[[str], int]:
    """An argument's type: whole numbers from `at_least` on."""
    return _parser_of(Option(at_least, "", "", at_least=at_least))


def _parser_of(option: Option) -> Callable[[str], Any]:
    def parse(text: str):
        try:
            return option.parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse


#: An argument's type: numbers above 0, up to 1.
share = _parser_of(Option(1.0, "", "", above=0, at_most=1))


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def add_published(parser: argparse.ArgumentParser) -> None:
    """`--published`, whose result `published_table` shows."""
    text = "show published scores of this data set, and these beside them if they compare"
    names = tuple(TEST_SPLITS)
    parser.add_argument("--published", choices=names, help=text)


def add_model(
    parser: argparse.ArgumentParser, beam: int | None = None, towers: bool = False
) -> None:
    """`--model`; for a command that generates captions, with this default for `--beam`, also flags
    for the options of that, which `load_to_write` reads; with `towers` also `--towers`, instead of
    `--model` or beside it."""
    add = parser.add_argument
    add("--model", type=Path, required=not towers, metavar="M.keras", help="a trained captioner")
    if towers:
        text = "two pretrained towers: siglip2_b16, clip_b16, videoprism_lvt_b, or another preset "
        text += "of keras-hub by its name or folder; needs 'v2t_lib[hub]'"
        add("--towers", metavar="NAME", help=text)
    if beam is None:
        return
    text = f"captions that beam search keeps at each word, 1 for greedy search (default: {beam})"
    add("--beam", type=number(1), default=beam, metavar="BEAMS", help=text)
    for name in WRITING:
        option = CaptionSpec.about()[name]
        add(flag(name, option), **_argument(option, "the model's") | {"default": None})


def load_to_write(args: argparse.Namespace):
    """The model, which generates captions as the flags say."""
    from v2t_lib.models.saving import load

    captioner = load(args.model)
    asked = {name: getattr(args, name) for name in WRITING if getattr(args, name) is not None}
    captioner.writing = dataclasses.replace(captioner.writing, **asked)
    return captioner


def add_clip_size(parser: argparse.ArgumentParser) -> None:
    """`--frames` and `--size`, which `clip_spec` reads."""
    frames, size = ClipSpec.about()["frames"], ClipSpec.about()["height"]
    parser.add_argument("--frames", **_argument(frames, frames.default))
    square = dataclasses.replace(size, help="height and width of a frame")
    parser.add_argument("--size", **_argument(square, size.default))


def clip_spec(args: argparse.Namespace) -> ClipSpec:
    return ClipSpec(args.frames, args.size, args.size)


def flag(name: str, option: Option) -> str:
    """The flag of a field: `--learning-rate` for `learning_rate`."""
    return "--" + (option.flag or name.replace("_", "-"))


def add_options(parser: argparse.ArgumentParser, title: str, options: Options):
    """A group with a flag for each field of an options class; `options` has the defaults shown."""
    group = parser.add_argument_group(title)
    for name, option in options.about().items():
        argument = _argument(option, getattr(options, name)) | {"default": None, "dest": name}
        group.add_argument(flag(name, option), **argument)
    return group


def given(args: argparse.Namespace, options: Options) -> dict:
    """The fields of an options class whose flags were given."""
    values = {name: getattr(args, name) for name in options.about()}
    return {name: value for name, value in values.items() if value is not None}


def _argument(option: Option, default) -> dict:
    limits = f"; {option.range}" if option.range else ""
    shown = f"{default:g}" if isinstance(default, float) else default
    return {
        "type": _parser_of(option),
        "default": default,
        "metavar": f"{{{','.join(option.choices)}}}" if option.choices else option.unit.upper(),
        "help": f"{option.help}{limits} (default: {shown})".replace("%", "%%"),
    }


def load_models(args: argparse.Namespace):
    """The captioner and the towers that `add_model` lets ask for; None for what isn't."""
    if not (args.model or args.towers):
        raise WrongUsage("expected --towers NAME, --model M.keras or both. Received: neither")
    from v2t_lib.models.saving import load
    from v2t_lib.models.towers.registry import load_towers

    captioner = load(args.model) if args.model else None
    return captioner, load_towers(args.towers) if args.towers else None


def new_file(text: str) -> Path:
    """An argument's type: a file to write; what can't be written is refused before any work."""
    path = Path(text).expanduser()
    try:
        check_output(path)
    except DataError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return path


def place(text: str) -> str | Path:
    """An argument's type: a path, or a URL such as `s3://bucket/folder`."""
    return text if "://" in text else Path(text)


def part(text: str) -> tuple[int, int]:
    """An argument's type: `I/N`, one of N parts."""
    number, _, parts = text.partition("/")
    if not (number.isdigit() and parts.isdigit() and 1 <= int(number) <= int(parts)):
        raise argparse.ArgumentTypeError(f"expected I/N with I from 1 to N. Received: {text!r}")
    return int(number), int(parts)


def add_spark(parser: argparse.ArgumentParser, table: bool = False) -> None:
    """`--spark`; with `table` also where the results go, and as what."""
    group = parser.add_argument_group("Apache Spark")
    text = "run on this cluster, spark://HOST:PORT, local[2] or yarn say; DIR is then a path that "
    text += "all machines share or a URL, s3://, gs:// or hdfs://; needs 'v2t_lib[spark]'"
    group.add_argument("--spark", metavar="MASTER", help=text)
    if table:
        text = "with --spark: write the results there, as JSON lines"
        group.add_argument("--out", type=place, metavar="DIR", help=text)
        text = "with --spark: as a Parquet file rather than JSON lines"
        group.add_argument("--parquet", action="store_true", help=text)


def check_spark(args: argparse.Namespace, *refused: str) -> bool:
    """Whether to run on a cluster; `refused` are arguments that don't go with that."""
    if not args.spark:
        table = hasattr(args, "parquet")  # whose --out and --parquet are for a cluster alone
        if isinstance(args.out, str) or (table and (args.out or args.parquet)):
            raise WrongUsage(
                "expected --spark MASTER with --parquet, or to write to a URL or table"
            )
        return False
    if args.out is None:
        raise WrongUsage("expected --out DIR with --spark")
    given = [name for name in refused if getattr(args, name) not in (None, False)]
    if given:
        flags = (f"--{name.replace('_', '-')}" for name in given)
        names = ", ".join(flags).replace("--sentence", "SENTENCE")
        raise WrongUsage(f"expected none of {names} with --spark")
    return True


def say_table(args: argparse.Namespace, name: str, rows: int, failed: int, what: str) -> int:
    """Prints where a table is and how many of its rows are errors; the exit code."""
    table = f"{args.out}/{name}.{'parquet' if args.parquet else 'jsonl'}"
    found = {"table": table, "rows": rows, "failed": failed}
    print(json.dumps(found) if args.json else f"{table}: {rows} rows")
    if failed:
        print(f"{failed} of {rows} {what}; their rows say why", file=sys.stderr)
    return 1 if failed else 0
