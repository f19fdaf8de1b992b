"""Do the time a clip takes and the memory of a process stay as they are when the data grow?

From 1,000 to 100,000 clips of 2 frames of 32 x 32 pixels, so that what grows shows beside the
decoding: packing them with one worker and with two, an epoch of shuffled batches read by one
process and by two hosts that share each batch, and computing the features of a frozen image
network. Each is a process of its own, the hosts two. Beside the time that passes stands the
processors' time, with that of worker processes, which other programs disturb less. The limit is a
flat line: at the largest size a clip's processor time within a quarter of that at 10,000 clips, and
peak memory within a tenth, besides what the list of clips itself takes, `A_CLIP`.

    python benchmarks/growth.py [--largest 100000]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from v2t_lib.captions_file import read_captions
from v2t_lib.specs import CaptionSpec, ClipSpec

DRAWN, SIZES, REFERENCE = 1000, (1000, 10_000, 100_000), 10_000
CLIP, CAPTION, BATCH = ClipSpec(frames=2, height=32, width=32), CaptionSpec(length=6), 32
NETWORK = "mobilenet_v3_small"
STAGES = {
    "pack, 1 worker": ("pack", 1),
    "pack, 2 workers": ("pack", 2),
    "read, 1 host": ("read", 1),
    "read, 2 hosts": ("read", 2),
    "features": ("features", 1),
}
#: Bytes of memory that a clip may take for good: its row, its name, its captions.
A_CLIP = 2000
WHO = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def draw(folder: Path) -> list[Path]:
    """GIFs that all differ."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    paths = [folder / f"{number:03d}.gif" for number in range(DRAWN)]
    for path in paths:
        blocks = rng.integers(0, 256, (2, 4, 4, 3), np.uint8).repeat(8, 1).repeat(8, 2)
        first, second = map(Image.fromarray, blocks)
        first.save(path, save_all=True, append_images=[second], duration=100)
    return paths


def collect(paths: list[Path], clips: int, folder: Path) -> Path:
    """A captions file of the same GIFs again and again, each under a name of its own."""
    rows = []
    for number in range(clips):
        source = f"{number // DRAWN:03d}/{number % DRAWN:03d}.gif"
        if number % DRAWN == 0:
            (folder / source).parent.mkdir(parents=True)
        os.link(paths[number % DRAWN], folder / source)
        rows.append(f"{source}\tclip {number % 97} of {number % 89} squares\n")
    captions = folder / "captions.tsv"
    captions.write_text("".join(rows), encoding="utf-8")
    return captions


def pack(folder: Path, number: int, count: int) -> None:
    from v2t_lib.shards.pack import pack

    captions = folder / "captions.tsv"
    pack(read_captions(captions), captions, folder / f"shards-{count}", CLIP, workers=count)


def read(folder: Path, number: int, count: int) -> None:
    from v2t_lib.shards.reader import ShardDataset
    from v2t_lib.text.vocabulary import Vocabulary

    shards, words = ShardDataset.open(folder / "shards-1"), Vocabulary.from_captions(["clip of"])
    for _ in shards.batches(words, CAPTION, BATCH, seed=0, share=(number, count)):
        pass


def features(folder: Path, number: int, count: int) -> None:
    import keras

    from v2t_lib.models.encoders import registry as encoders
    from v2t_lib.training.feature_cache import cached_features

    keras.utils.set_random_seed(0)
    encoder = encoders.get(NETWORK, weights=None, frozen=True, components=16)
    encoder.build((None, *CLIP.shape))
    cached_features(encoder, folder / "shards-1", folder / "features")


def measure(stage: str, folder: Path, number: int, count: int) -> None:
    """Prints a stage's seconds and processor seconds, and this process's peak MB."""
    import tensorflow  # noqa: F401  (loaded before the clock starts)

    def used() -> float:
        return sum(sum(resource.getrusage(who)[:2]) for who in WHO)

    begun, before = time.perf_counter(), used()
    {"pack": pack, "read": read, "features": features}[stage](folder, number, count)
    seconds, processor = time.perf_counter() - begun, used() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps([seconds, processor, peak]))


def run(name: str, folder: Path, clips: int) -> tuple[float, float, float]:
    """A stage's microseconds and processor microseconds a clip, and its largest process's MB."""
    stage, count = STAGES[name]
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, "--stage", stage, str(folder), str(number), str(count)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for number in range(count if stage == "read" else 1)
    ]
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        sys.exit(f"{name}, {clips} clips: failed")
    found = np.array([json.loads(output.splitlines()[-1]) for output in outputs])
    return 1e6 * found[:, 0].max() / clips, 1e6 * found[:, 1].sum() / clips, found[:, 2].max()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--largest", type=int, default=SIZES[-1], help="clips (default: %(default)s)"
    )
    parser.add_argument("--stage", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.stage:
        stage, folder, number, count = args.stage
        return measure(stage, Path(folder), int(number), int(count))
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = draw(Path(folder) / "drawn")
        for clips in [size for size in SIZES if size <= args.largest]:
            here = Path(folder) / str(clips)
            collect(paths, clips, here)
            for name in STAGES:
                micros, processor, peak = found[name, clips] = run(name, here, clips)
                row = f"{micros:6.0f} us, {processor:6.0f} us of processors, {peak:5.0f} MB"
                print(f"{clips:7,d} clips, {name:15}: {row}", flush=True)
    if args.largest <= REFERENCE:
        return
    grown = []
    for name in STAGES:
        (_, before, memory), (_, after, peak) = found[name, REFERENCE], found[name, clips]
        if after > 1.25 * before or peak > 1.1 * memory + clips * A_CLIP / 2**20:
            grown.append(name)
    print("grows: " + ", ".join(grown) if grown else "flat")
    sys.exit(bool(grown))


if __name__ == "__main__":
    main()
