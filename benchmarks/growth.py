"""Do the time a clip takes to read and the memory that reading needs stay as they are when the data
grow?

One epoch of shuffled batches out of 1,000 to 30,000 clips of the demo's size, each size in a
process of its own. The limit is a flat line: a clip's time within a tenth and peak memory within a
tenth of those at 10,000 clips, where every buffer is full.
"""

import dataclasses
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from v2t_lib.captions_file import read_captions
from v2t_lib.datasets.shapes import write_shapes
from v2t_lib.shards.format import DatasetInfo
from v2t_lib.shards.pack import pack
from v2t_lib.training.recipes import registry as recipes

DEMO = recipes.get("shapes")
CAPTION, CLIP = DEMO.caption, DEMO.clip
CLIPS, SIZES, BATCH = 1000, (1000, 3000, 10_000, 30_000), 32


def repeat(shards: Path, times: int, out: Path) -> None:
    """The same clips again and again, in shards of their own."""
    info = DatasetInfo.load(shards)
    copies = []
    out.mkdir()
    for copy in range(times):
        for shard in info.shards:
            copies.append(dataclasses.replace(shard, name=f"{copy:03d}-{shard.name}"))
            os.link(shards / shard.name, out / copies[-1].name)
    counts = {"clips": info.clips * times, "captions": info.captions * times}
    dataclasses.replace(info, shards=tuple(copies), **counts).save(out)


def read(shards: str) -> None:
    from v2t_lib.shards.reader import ShardDataset
    from v2t_lib.text.vocabulary import Vocabulary

    dataset = ShardDataset.open(shards)
    words = Vocabulary.from_captions(dataset.captions())
    data = dataset.batches(words, CAPTION, BATCH, seed=0)
    begun = time.perf_counter()
    steps = sum(1 for _ in data)
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps([1e6 * seconds / (steps * BATCH), peak]))


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        captions = write_shapes(folder / "drawn", CLIPS)
        records = [r for r in read_captions(captions) if len(r.captions) == 1]
        pack(records, captions, folder / "shards", CLIP)
        for size in SIZES:
            repeat(folder / "shards", size // CLIPS, folder / str(size))
            command = [sys.executable, __file__, str(folder / str(size))]
            printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            micros, peak = json.loads(printed)
            print(f"{size:6d} clips: {micros:.0f} us a clip, peak {peak:.0f} MB", flush=True)


if __name__ == "__main__":
    read(sys.argv[1]) if sys.argv[1:] else main()
