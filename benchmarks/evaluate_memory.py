"""Does evaluation's memory grow with the number of clips?

Drawn clips with masks, under names of their own, are captioned and scored by a small captioner that
hasn't been trained: as many as the demo holds out, and as many as TGIF does, each in a process of
its own. The limit is a flat line: peak memory within a tenth.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from v2t_lib.captions_file import read_captions
from v2t_lib.datasets.shapes import write_shapes
from v2t_lib.shards.example import DRAWN_FILE, MASK_FOLDER
from v2t_lib.shards.pack import pack
from v2t_lib.specs import CaptionSpec, ClipSpec

DRAWN, SIZES = 400, (640, 11_360)
CLIP, CAPTION = ClipSpec(frames=8, height=48, width=48), CaptionSpec(length=14)
ENCODER = {"widths": (8, 12), "strides": ((2, 4, 4), (2, 2, 2)), "residual_from": 2}
DECODER = {"units": 24, "embedding_size": 16, "attention_units": 12}


def repeated(drawn: Path, clips: int, out: Path) -> Path:
    """Shards of the drawn clips again and again, each with a name of its own."""
    masks = {path.name for path in (drawn / MASK_FOLDER).iterdir()}
    records = [r for r in read_captions(drawn / "captions.tsv") if r.source in masks]
    (out / MASK_FOLDER).mkdir(parents=True)
    (out / MASK_FOLDER / DRAWN_FILE).touch()
    rows = []
    for number in range(clips):
        record = records[number % len(records)]
        for folder in (Path(), Path(MASK_FOLDER)):
            os.link(drawn / folder / record.source, out / folder / f"{number}.gif")
        rows += [f"{number}.gif\t{caption}\n" for caption in record.captions]
    captions = out / "captions.tsv"
    captions.write_text("".join(rows), encoding="utf-8")
    pack(read_captions(captions), captions, out / "shards", CLIP)
    return out / "shards"


def run(shards: str) -> None:
    """Prints the scores' number of clips and the peak in MB."""
    from v2t_lib.evaluation import evaluate
    from v2t_lib.models.captioner import Captioner
    from v2t_lib.models.encoders import registry as encoders
    from v2t_lib.shards.reader import ShardDataset
    from v2t_lib.text.vocabulary import Vocabulary

    words = Vocabulary.from_captions(ShardDataset.open(shards).captions())
    captioner, blind = (
        Captioner(CLIP, CAPTION, words, encoder, DECODER)
        for encoder in (encoders.get("conv3d", **ENCODER), encoders.get("blind"))
    )
    scores, _ = evaluate(captioner, shards, blind=blind, training=shards)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps([scores["clips"], peak]))


def main() -> None:
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        drawn = write_shapes(folder / "drawn", DRAWN).parent
        for size in SIZES:
            shards = repeated(drawn, size, folder / str(size))
            command = [sys.executable, __file__, str(shards)]
            printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            clips, peak = json.loads(printed.splitlines()[-1])
            peaks.append(peak)
            print(f"{clips:6d} clips: peak {peak:.0f} MB", flush=True)
    print(f"{peaks[-1] / peaks[0]:.3f} times as much (limit 1.1)")
    sys.exit(peaks[-1] > 1.1 * peaks[0])


if __name__ == "__main__":
    run(sys.argv[1]) if sys.argv[1:] else main()
