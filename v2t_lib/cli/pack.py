"""Decode clips into shards, which training reads. A clip that can't be decoded is left out and
named. After a stop the same command continues."""

import collections
import json
import sys
from pathlib import Path

from v2t_lib.cli.flags import add_clip_size, add_json, clip_spec, number
from v2t_lib.cli.spark import add_spark, check_spark, part, place


def add_arguments(parser):
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


def run(args) -> int:
    from v2t_lib.captions_file import read_captions, select
    from v2t_lib.shards.pack import WHOLE, pack, part_folder

    on_spark = check_spark(args, "part", "workers")
    records = read_captions(args.captions)
    if args.split:
        records = select(records, args.split)
    if on_spark:
        from v2t_lib.cluster.tasks import pack_clips

        info = pack_clips(args.spark, records, args.captions, args.out, clip_spec(args))
    else:
        out, chosen = part_folder(args.out, args.part), args.part or WHOLE
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
