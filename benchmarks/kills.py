"""Does a run that is killed again and again end as one that never was?

Trains a small captioner on drawn clips once in peace; then the same run is killed outright
(SIGKILL) at ten random moments and taken up each time by a new process. The limit is no difference
at all: the last states and the histories must be equal to the bit.
"""

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from v2t_lib.captions_file import read_captions, select
from v2t_lib.datasets.shapes import write_shapes
from v2t_lib.shards.pack import pack
from v2t_lib.specs import CaptionSpec, ClipSpec
from v2t_lib.training.recipe import DecoderOptions, Recipe, TrainingOptions
from v2t_lib.training.train import train

KILLS, CLIPS = 10, 400
OPTIONS = TrainingOptions(epochs=3, batch_size=8, checkpoint_steps=7)
ENCODER = {"widths": (8, 12), "strides": ((1, 2, 2), (2, 2, 2)), "residual_from": 1}
DECODER = DecoderOptions(units=24, embedding_size=16, attention_units=12, dropout=0.2)
RECIPE = Recipe(
    caption=CaptionSpec(length=8), encoder_options=ENCODER, decoder=DECODER, training=OPTIONS
)


def run(data: str, out: str) -> None:
    train(f"{data}/train", out, RECIPE, val=f"{data}/val", resume=True)


def start(data: Path, out: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, __file__, data, out],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def newest(out: Path) -> str:
    """The last checkpoint written, as `model/steps`."""
    try:
        last = max(out.rglob("*.npz"), key=lambda path: path.stat().st_mtime)
    except (ValueError, FileNotFoundError):  # none yet, or one that has just been dropped
        return ""
    return f"{last.parent.name[1:-12]}/{int(last.stem)}"


def end_of(out: Path) -> dict:
    """Every array and text that the run left."""
    end = {}
    for path in sorted(out.rglob("*")):
        name = str(path.relative_to(out))
        if path.suffix == ".csv":
            end[name] = np.array(path.read_text())
        elif path.suffix == ".npz":
            with np.load(path) as parts:
                end |= {f"{name} {key}": parts[key] for key in parts.files}
    return end


def main():
    random.seed(0)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        captions = write_shapes(folder / "drawn", CLIPS)
        for split in ("train", "val"):
            records = select(read_captions(captions), folder / "drawn" / f"{split}.txt")
            pack(records, captions, folder / "shards" / split, ClipSpec(4, 16, 16))
        start(folder / "shards", folder / "peace").wait()
        moments = []
        while len(moments) < KILLS:
            process = start(folder / "shards", folder / "killed")
            before, wanted = newest(folder / "killed"), random.randrange(3)
            while process.poll() is None and wanted:
                time.sleep(0.01)
                if (now := newest(folder / "killed")) != before:
                    before, wanted = now, wanted - 1
            time.sleep(random.uniform(0, 0.3) if before else random.uniform(0, 20))
            if process.poll() is not None:
                break
            process.kill()
            process.wait()
            moments.append(newest(folder / "killed") or "none")
        start(folder / "shards", folder / "killed").wait()
        one, other = end_of(folder / "peace"), end_of(folder / "killed")
        names = one.keys() | other.keys()
        differ = [name for name in names if not np.array_equal(one.get(name), other.get(name))]
        print(
            f"{len(moments)} kills after the checkpoints {', '.join(moments)}: {len(differ)} of "
            f"{len(names)} arrays of states and histories differ (limit 0)"
        )
        sys.exit(bool(differ) or len(moments) < KILLS)


if __name__ == "__main__":
    run(*sys.argv[1:]) if sys.argv[1:] else main()
