"""What does a cluster cost: how much more do two workers do than one, and how much memory does the
driver need for more rows?

Efficiency: the same GIFs, of about TGIF's size and length, are packed by one worker of one core and
by two, on this machine's loopback; the share of the ideal, half the time, should be 85% or more.
Spark's start isn't counted. It needs two cores that have nothing else to do.

Rates: what a clip costs in CPU time and bytes, for `docs/scale.md`; a busy machine
hardly changes that.

Memory: the driver plans 10,000 and 100,000 rows, and sums up the results of as many; nothing is
downloaded.
"""

import argparse
import functools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fetch import draw
from spark_cluster import running

from v2t_lib.captions_file import read_captions
from v2t_lib.cluster import session, tasks
from v2t_lib.cluster.storage import Storage
from v2t_lib.shards.format import Verdict
from v2t_lib.shards.pack import fetch, pack
from v2t_lib.shards.slices import SliceWriter
from v2t_lib.specs import ClipSpec

SPEC = ClipSpec()
SIZES = (10_000, 100_000)


def packing_seconds(folder: Path, captions: Path, workers: int) -> float:
    """How long the tasks of `v2t pack` take."""
    home = folder / f"cluster-{workers}"
    home.mkdir()
    with running(home, workers) as cluster, session.session(cluster.url) as application:
        seconds = []
        for number in range(2):  # the first one loads TensorFlow
            out = Storage.of(folder / f"packed-{workers}-{number}")
            application.check(out)
            do, begun = functools.partial(tasks._do_slices, application, out), time.monotonic()
            pack(read_captions(captions), captions, out.local, SPEC, do=do)
            seconds.append(time.monotonic() - begun)
        return seconds[-1]


def rates() -> None:
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "clips").mkdir()
        drawn = draw(folder / "clips")
        captions, spent = folder / "clips" / "captions.tsv", []
        for count in (10, len(drawn)):  # the difference is free of what starting costs
            captions.write_text("".join(f"{path.name}\ta caption\n" for path in drawn[:count]))
            begun = sum(os.times()[:4])
            info = pack(read_captions(captions), captions, folder / str(count), SPEC, 1)
            spent.append(sum(os.times()[:4]) - begun)
        size = sum(path.stat().st_size for path in drawn) / len(drawn)
        print(
            f"a GIF of {size / 1e6:.2f} MB: {(spent[1] - spent[0]) / (len(drawn) - 10):.4f} s of "
            f"CPU to decode and pack, {info.bytes / info.clips / 1e3:.1f} kB in a shard",
            flush=True,
        )


def efficiency(clips: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "clips").mkdir()
        drawn = draw(folder / "clips")
        for number in range(clips):
            os.link(drawn[number % len(drawn)], folder / "clips" / f"row-{number}.gif")
        captions = folder / "clips" / "captions.tsv"
        captions.write_text("".join(f"row-{number}.gif\ta caption\n" for number in range(clips)))
        one, two = (packing_seconds(folder, captions, workers) for workers in (1, 2))
        print(
            f"{clips} clips: one worker {clips / one:.1f} clips/s, two {clips / two:.1f} clips/s, "
            f"efficiency {one / two / 2:.0%} (at least 85%)",
            flush=True,
        )


def drive(rows: int) -> None:
    """All that the driver does for so many rows but to wait for Spark; prints its peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        captions = Path(folder) / "captions.tsv"
        with open(captions, "w") as file:
            for number in range(rows):
                file.write(f"https://127.0.0.1/clips/{number:08d}.gif\ta caption of {number}\n")

        def do(slices, task, done, workers):
            """What tasks leave whose sources are all gone."""
            for one in slices:
                gone = (Verdict(r.source, "", "gone", digest="0" * 16) for r in one.records)
                SliceWriter(one.folder, one.number).finish(SPEC, "0" * 64, tuple(gone))

        fetch(read_captions(captions), captions, Path(folder) / "out", spec=SPEC, do=do)
    print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def memory() -> None:
    for rows in SIZES:
        command = [sys.executable, __file__, "--drive", str(rows)]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        print(f"{rows:9,d} rows: peak {json.loads(printed.splitlines()[-1]):.0f} MB", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--only", choices=("rates", "efficiency", "memory"))
    parser.add_argument("--drive", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.drive:
        return drive(args.drive)
    parts = {"rates": rates, "efficiency": lambda: efficiency(args.clips), "memory": memory}
    for part in [args.only] if args.only else parts:
        parts[part]()


if __name__ == "__main__":
    main()
