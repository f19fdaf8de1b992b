"""`v2t fetch`: downloads clips and gives every source a verdict."""

import argparse
import json
import sys
from pathlib import Path

from v2t_lib.cli.flags import WrongUsage, add_clip_size, add_json, clip_spec, number

HELP = (
    "Download clips, check each and pack it. Every source gets one verdict in DIR/manifest.tsv. "
    "After a stop the same command continues; finished clips are not downloaded again."
)


def _share(text: str) -> tuple[int, int]:
    part, _, parts = text.partition("/")
    if not (part.isdigit() and parts.isdigit() and 1 <= int(part) <= int(parts)):
        raise argparse.ArgumentTypeError(f"expected I/N with I from 1 to N. Received: {text!r}")
    return int(part), int(parts)


def add_arguments(parser):
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "captions",
        nargs="?",
        help="captions file, one `source<TAB>caption` a row, sources being URLs or paths; or the "
        "name of a published data set: tgif",
    )
    what.add_argument(
        "--report", type=Path, metavar="DIR", help="only count what DIR has, and draw it"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="where clips or shards go")
    parser.add_argument(
        "--split",
        action="append",
        metavar="LIST",
        help="only the sources in this file, one a line, or in a published split: train, val or "
        "test; give it again for another one",
    )
    parser.add_argument(
        "--limit", type=number(1), metavar="CLIPS", help="only the first clips of all"
    )
    parser.add_argument(
        "--part",
        type=_share,
        metavar="I/N",
        help="only the Ith of N equal shares of the sources, into DIR/part-I-of-N: one a machine",
    )
    parser.add_argument(
        "--shards", action="store_true", help="pack clips into DIR/SPLIT, and keep no originals"
    )
    add_clip_size(parser)
    parser.add_argument("--keep", action="store_true", help="with --shards: keep originals too")
    parser.add_argument(
        "--workers", type=number(1), help="decoding processes (default: one a core)"
    )
    parser.add_argument(
        "--connections",
        type=number(1),
        default=32,
        help="downloads at a time (default: %(default)s)",
    )
    parser.add_argument(
        "--per-host",
        type=number(1),
        default=8,
        help="downloads at a time from one host (default: %(default)s)",
    )
    parser.add_argument(
        "--mirror", metavar="URL", help="where a published data set's files are, ending in a slash"
    )
    add_json(parser)


def _plan(args):
    """The captions file and the records asked for, of a published data set or a file."""
    from v2t_lib.captions_file import read_captions, select
    from v2t_lib.datasets.registry import DATASETS

    captions, lists = args.captions, args.split or []
    if captions in DATASETS and DATASETS[captions].fetchable:
        source = DATASETS[captions](mirror=args.mirror or "")
        print(source.licence, file=sys.stderr)
        captions = source.captions(args.out)
        splits = source.split_lists(captions)
        lists = [splits.get(name, name) for name in lists] or splits.values()
    records = read_captions(captions)
    if lists:
        records = [record for listed in lists for record in select(records, listed)]
    return captions, records[: args.limit]


def run(args) -> int:
    from v2t_lib.fetching.downloader import RetryPolicy
    from v2t_lib.fetching.fetch import fetch, part_of
    from v2t_lib.fetching.report import PICTURE_FILE, coverage, picture, table

    folder = args.report
    if folder is None:
        if args.out is None:
            raise WrongUsage("expected --out DIR")
        captions, records = _plan(args)
        folder = args.out
        if args.part:
            part, parts = args.part
            records, folder = part_of(records, part, parts), folder / f"part-{part}-of-{parts}"
        spec = clip_spec(args) if args.shards else None
        policy = RetryPolicy(connections=args.connections, per_host=args.per_host)
        options = {"spec": spec, "keep": args.keep, "workers": args.workers, "policy": policy}
        fetch(records, captions, folder, **options)
    counted = coverage(folder)
    picture(counted, folder / PICTURE_FILE)
    print(json.dumps(counted) if args.json else f"{folder}: {table(counted)}")
    if any("unreachable" in split["verdicts"] for split in counted["splits"].values()):
        print("run it again to try unreachable sources once more", file=sys.stderr)
    return 0 if counted["have"] else 1
