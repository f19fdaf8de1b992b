"""Decode local clips into shards, which training reads. A clip that can't be decoded is left out
and named."""

import collections
import json
import sys
from pathlib import Path

from v2t_lib.cli.flags import add_clip_size, add_json, clip_spec, number
from v2t_lib.cli.spark import add_spark, check_spark, place


def add_arguments(parser):
    what, add = parser.add_mutually_exclusive_group(required=True), parser.add_argument
    text = "captions file, one `source<TAB>caption` a row, paths relative to the file"
    what.add_argument("captions", type=Path, nargs="?", help=text)
    text = "join these folders of shards instead"
    what.add_argument("--merge", type=Path, nargs="+", metavar="SHARDS", help=text)
    add("--out", type=place, required=True, metavar="SHARDS", help="folder for the shards")
    add("--split", type=Path, metavar="LIST", help="only the sources in this file, one a line")
    add_clip_size(parser)
    add("--workers", type=number(1), help="decoding processes (default: one a core)")
    add_json(parser)
    add_spark(parser)


def run(args) -> int:
    from v2t_lib.captions_file import read_captions, select
    from v2t_lib.shards.merge import merge
    from v2t_lib.shards.pack import pack

    if check_spark(args, "merge", "workers"):
        from v2t_lib.cluster.commands import pack_clips

        lists = [args.split] if args.split else []
        joined = pack_clips(args.spark, args.captions, lists, args.out, clip_spec(args))
        return _say(args, joined, joined.left_out)
    if args.merge:
        info = merge(args.merge, args.out)
    else:
        records = read_captions(args.captions)
        if args.split:
            records = select(records, args.split)
        info = pack(records, args.captions, args.out, clip_spec(args), args.workers)
    for entry in info.left_out:
        print(f"left out {entry.source}: {entry.kind}: {entry.why}", file=sys.stderr)
    counts = collections.Counter(sorted(entry.kind for entry in info.left_out))
    return _say(args, info, counts)


def _say(args, info, counts: collections.Counter) -> int:
    """Prints what was packed; the exit code."""
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
