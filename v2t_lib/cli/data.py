"""`v2t fetch` and `v2t pack`."""

import argparse
import collections
import json
import sys
from pathlib import Path
from typing import Any

from v2t_lib.cli.flags import (
    WrongUsage,
    add_clip_size,
    add_json,
    add_options,
    add_spark,
    check_spark,
    clip_spec,
    given,
    number,
    part,
    place,
)
from v2t_lib.errors import DataError
from v2t_lib.fetching.http import DEFAULT_POLICY


def add_fetch(parser: argparse.ArgumentParser) -> None:
    what, add = parser.add_mutually_exclusive_group(required=True), parser.add_argument
    text = "captions file of URLs or paths; or a published data set: msrvtt, msvd or tgif"
    what.add_argument("captions", nargs="?", help=text)
    what.add_argument("--report", type=Path, metavar="DIR", help="only count what DIR has, draw it")
    text = "where manifest, clips and shards go (default: a published data set's name)"
    add("--out", type=place, metavar="DIR", help=text)
    text = "only the sources of this split list, or published split: train, val or test; repeatable"
    add("--split", action="append", metavar="LIST", help=text)
    add("--limit", type=number(1), metavar="CLIPS", help="only this many clips, the first")
    text = "only every Nth slice of 256 sources, into DIR/part-I-of-N: one part a machine"
    add("--part", type=part, metavar="I/N", help=text)
    add("--shards", action="store_true", help="pack into DIR/SPLIT, and keep no originals")
    add("--keep", action="store_true", help="with --shards: keep originals too")
    add_clip_size(parser)
    add("--workers", type=number(1), help="decoding processes (default: one a core)")
    text = "where a published data set's files are: a URL ending in /, or a folder"
    add("--mirror", metavar="URL|DIR", help=text)
    add_json(parser)
    add_options(parser, "servers", DEFAULT_POLICY)
    add_spark(parser)


def _published() -> list[str]:
    from v2t_lib.datasets.registry import DATASETS

    return [name for name in DATASETS if DATASETS[name].fetchable]


def _wanted(args: argparse.Namespace) -> tuple[Any, Any]:
    """The records asked for, of a published data set or a file, and the captions file."""
    from v2t_lib.captions_file import read_captions, select
    from v2t_lib.datasets.registry import DATASETS

    captions, lists, published = args.captions, args.split or [], _published()
    if captions in published:
        source = DATASETS[captions](mirror=args.mirror or "")
        print(source.licence, file=sys.stderr)
        captions = source.captions(Path(captions) if args.spark else args.out)
        splits = source.split_lists(captions)
        lists = [splits.get(name, name) for name in lists] or splits.values()
    elif not Path(captions).exists():
        raise DataError(
            f"expected a captions file, or a data set among {', '.join(published)}. "
            f"Received: {captions!r}, which is neither"
        )
    records = read_captions(captions)
    if lists:
        records = [record for listed in lists for record in select(records, listed)]
    return records[: args.limit], captions


def run_fetch(args: argparse.Namespace) -> int:
    """Download clips, check each and pack it. Every source gets one verdict in DIR/manifest.tsv.
    After a stop the same command continues; finished clips are not downloaded again."""
    from v2t_lib.fetching.http import RetryPolicy
    from v2t_lib.fetching.report import PICTURE_FILE, picture
    from v2t_lib.shards.pack import WHOLE, coverage, fetch

    folder = args.report
    if folder is None:
        if args.out is None and args.captions in _published():
            args.out = Path(args.captions)
        on_spark = check_spark(args, "part", "workers")
        if args.out is None:
            raise WrongUsage("expected --out DIR")
        wanted = _wanted(args)
        policy = RetryPolicy(**given(args, DEFAULT_POLICY))
        spec = clip_spec(args) if args.shards else None
        options: dict[str, Any] = {"spec": spec, "keep": args.keep, "policy": policy}
        if on_spark:
            from v2t_lib.cluster.tasks import fetch_clips

            return _say(args, args.out, fetch_clips(args.spark, *wanted, args.out, **options))
        folder, part = _part_folder(args), args.part or WHOLE
        fetch(*wanted, folder, workers=args.workers, part=part, **options)
    counted = coverage(folder)
    picture(counted, folder / PICTURE_FILE)
    return _say(args, folder, counted)


def _say(args: argparse.Namespace, folder, counted: dict) -> int:
    """Prints what has been fetched; the exit code."""
    from v2t_lib.fetching.report import table

    print(json.dumps(counted) if args.json else f"{folder}: {table(counted)}")
    if any("unreachable" in split["verdicts"] for split in counted["splits"].values()):
        print("run it again to try unreachable sources once more", file=sys.stderr)
    return 0 if counted["have"] else 1


def _part_folder(args: argparse.Namespace) -> Path:
    """Where a part goes: a folder of its own in `--out`."""
    return args.out / "part-{}-of-{}".format(*args.part) if args.part else args.out


def add_pack(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    text = "captions file, one `source<TAB>caption` a row, paths relative to the file"
    add("captions", type=Path, help=text)
    add("--out", type=place, required=True, metavar="SHARDS", help="folder for the shards")
    add("--split", type=Path, metavar="LIST", help="only the sources in this file, one a line")
    text = "only every Nth slice of 256 clips, into SHARDS/part-I-of-N: one part a machine"
    add("--part", type=part, metavar="I/N", help=text)
    add_clip_size(parser)
    add("--workers", type=number(1), help="decoding processes (default: one a core)")
    add_json(parser)
    add_spark(parser)


def run_pack(args: argparse.Namespace) -> int:
    """Decode clips into shards, which training reads. A clip that can't be decoded is left out and
    named. After a stop the same command continues."""
    from v2t_lib.captions_file import read_captions, select
    from v2t_lib.shards.pack import WHOLE, pack

    on_spark = check_spark(args, "part", "workers")
    records = read_captions(args.captions)
    if args.split:
        records = select(records, args.split)
    if on_spark:
        from v2t_lib.cluster.tasks import pack_clips

        info = pack_clips(args.spark, records, args.captions, args.out, clip_spec(args))
    else:
        out, chosen = _part_folder(args), args.part or WHOLE
        info = pack(records, args.captions, out, clip_spec(args), args.workers, chosen)
    for entry in info.left_out:
        print(f"left out {entry.source}: {entry.kind}: {entry.why}", file=sys.stderr)
    counts = collections.Counter(sorted(entry.kind for entry in info.left_out))
    if args.json:
        names = ("clips", "captions", "bytes")
        print(json.dumps({name: getattr(info, name) for name in names} | {"left_out": counts}))
    else:
        why = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        print(
            f"{args.out}: {info.clips} clips, {info.captions} captions, "
            f"{info.bytes / 2**20:.1f} MB; left out {counts.total()}" + (f" ({why})" if why else "")
        )
    return 0
