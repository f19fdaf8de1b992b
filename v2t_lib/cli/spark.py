"""`--part`, `--spark` and what goes with them, for the commands that run on many machines."""

import argparse
from pathlib import Path

from v2t_lib.cli.flags import WrongUsage


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
    text += (
        "all machines share or a URL, s3://, gs:// or hdfs://; needs pip install 'v2t_lib[spark]'"
    )
    group.add_argument("--spark", metavar="MASTER", help=text)
    if table:
        text = "with --spark: write the results there, as JSON lines"
        group.add_argument("--out", type=place, metavar="DIR", help=text)
        text = "with --spark: as a Parquet file rather than JSON lines"
        group.add_argument("--parquet", action="store_true", help=text)


def check_spark(args: argparse.Namespace, *refused: str) -> bool:
    """Whether to run on a cluster; `refused` are arguments that don't go with that."""
    if not args.spark:
        if isinstance(args.out, str):
            raise WrongUsage(f"expected --spark MASTER to write to a URL. Received: {args.out}")
        if getattr(args, "parquet", False) or (hasattr(args, "parquet") and args.out):
            raise WrongUsage("expected --spark MASTER with --out and --parquet")
        return False
    if args.out is None:
        raise WrongUsage("expected --out DIR with --spark")
    given = [name for name in refused if getattr(args, name) not in (None, False)]
    if given:
        names = ", ".join(f"--{name}" if name != "sentence" else "SENTENCE" for name in given)
        raise WrongUsage(f"expected none of {names} with --spark")
    return True


def say_table(args: argparse.Namespace, name: str, rows: int, failed: int, what: str) -> int:
    """Prints where a table is and how many of its rows are errors; the exit code."""
    import json
    import sys

    table = f"{args.out}/{name}.{'parquet' if args.parquet else 'jsonl'}"
    found = {"table": table, "rows": rows, "failed": failed}
    print(json.dumps(found) if args.json else f"{table}: {rows} rows")
    if failed:
        print(f"{failed} of {rows} {what}; their rows say why", file=sys.stderr)
    return 1 if failed else 0
