"""How well are real clips described, what brings it, and what does it take?

    python benchmarks/real_clips.py DATA [--out runs/real_clips] [--rows lite0 conv3d ...]

DATA is a folder with `captions.tsv` and split lists, as `v2t fetch msrvtt` makes. Trains each row
with the recipe `msrvtt` but for what the row says, all with the same number of steps, and prints
one table: losses beside the blind twin's, scores of greedy and beam captions with their 95%
intervals, distinct captions, the deletion test, minutes from packing on, and bytes a clip of the
features kept. Row `blind` is the first row's twin.

Rows are chosen by `--split val`; `--split test` is for the figures that are reported, once.
"""

import argparse
import dataclasses
import json
import time
from pathlib import Path

from v2t_lib.captions_file import read_captions, select
from v2t_lib.evaluation import evaluate
from v2t_lib.files import replacing
from v2t_lib.metrics.corpus_scores import score_corpus
from v2t_lib.models.saving import load
from v2t_lib.shards.format import is_finished
from v2t_lib.shards.pack import pack
from v2t_lib.specs import ClipSpec
from v2t_lib.training.recipe import Recipe
from v2t_lib.training.recipes import registry as recipes
from v2t_lib.training.run_folder import BLIND_FILE, MODEL_FILE, SCST_FILE
from v2t_lib.training.scst import train_scst
from v2t_lib.training.train import train

BASE = recipes.get("msrvtt")


def _training(**changes) -> Recipe:
    return dataclasses.replace(BASE, training=dataclasses.replace(BASE.training, **changes))


def _encoder(name: str, **options) -> Recipe:
    return dataclasses.replace(BASE, encoder=name, encoder_options=options)


#: From scratch at the size that it is made for; at the recipe's a step takes four times as long.
SCRATCH = dataclasses.replace(_encoder("conv3d"), clip=ClipSpec(frames=8, height=112, width=112))
SMALL = dataclasses.replace(SCRATCH, clip=ClipSpec(frames=8, height=64, width=64))


#: What each row trains; a row differs from the first in one thing.
ROWS = {
    "lite0": BASE,
    "lite2": dataclasses.replace(BASE, encoder="efficientnet_lite2"),
    "conv3d": SCRATCH,
    "conv3d_64": SMALL,
    "no_projection": _encoder(BASE.encoder, weights="imagenet", frozen=True),
    "stride16": _encoder(BASE.encoder, **BASE.encoder_options | {"stride": 16}),
    "temporal3": _encoder(BASE.encoder, **BASE.encoder_options | {"temporal": 3}),
    "no_ema": _training(ema=0.0),
    "no_smoothing": _training(label_smoothing=0.0),
    "one_caption": _training(
        captions_per_clip=1, epochs=BASE.training.epochs * BASE.training.captions_per_clip
    ),
}


def shards_of(data: Path, out: Path, spec: ClipSpec) -> dict[str, Path]:
    """Every split's shards of clips like `spec`, packed where they aren't yet."""
    captions, found = data / "captions.tsv", {}
    records = read_captions(captions)
    for split in ("train", "val", "test"):
        found[split] = out / f"shards-{spec.frames}x{spec.height}x{spec.width}" / split
        if not is_finished(found[split]):
            pack(select(records, data / f"{split}.txt"), captions, found[split], spec)
    return found


def bytes_a_clip(cache: Path) -> float | None:
    """Of the features kept in `cache`; None where there are none."""
    files = list(cache.rglob("dataset.json"))
    about = [json.loads(path.read_text()) for path in files]
    clips = sum(info["clips"] for info in about)
    return sum(info["bytes"] for info in about) / clips if clips else None


def row(name: str, model: Path, blind: Path, shards: Path, minutes: float | None, size) -> dict:
    """A row of the table: the model's figures on `shards`."""
    scores, predictions = evaluate(load(model), shards, blind=load(blind), beam=5, shown=0)
    references = {prediction.source: prediction.references for prediction in predictions}
    greedy = {prediction.source: prediction.greedy for prediction in predictions}
    figures = score_corpus(greedy, references, with_meteor=False).scores()
    return {"row": name, **scores, "greedy": figures["CIDEr"], "minutes": minutes, "bytes": size}


HEADER = (
    "row | loss | blind | BLEU-4 | METEOR | ROUGE-L | CIDEr, 5 beams (95%) | greedy | distinct | "
    "deletion: attended / random | minutes | kB a clip"
)


def line(found: dict) -> str:
    """One row of the printed table."""

    def text(value, form):
        return "-" if value is None else format(value, form)

    low, high = found["intervals"]["CIDEr"]
    deleted = found["deletion"]
    cells = [
        f"{found['row']:14s}",
        f"{found['loss']:5.2f}",
        text(found["blind_loss"], "5.2f"),
        f"{found['BLEU-4']:.3f}",
        text(found["METEOR"], ".3f"),
        f"{found['ROUGE-L']:.3f}",
        f"{found['CIDEr']:.3f} ({low:.3f} to {high:.3f})",
        f"{found['greedy']:.3f}",
        f"{found['distinct_captions']:4.0%}",
        "-" if deleted is None else f"{deleted['drop']:.3f} / {deleted['random']:.3f}",
        text(found["minutes"], "5.1f"),
        text(found["bytes"] and found["bytes"] / 1000, "5.0f"),
    ]
    return " | ".join(cells)


def main() -> None:
    """Trains the rows that are asked for and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/real_clips"))
    parser.add_argument("--rows", nargs="+", choices=[*ROWS], default=["lite0", "lite2", "conv3d"])
    parser.add_argument("--split", choices=("val", "test"), default="val")
    parser.add_argument("--scst", type=int, default=3, help="epochs of the first row's last stage")
    args = parser.parse_args()
    print(HEADER)
    for number, name in enumerate(args.rows):
        run, cache, start = args.out / name, args.out / f"features-{name}", time.monotonic()
        shards = shards_of(args.data, args.out, ROWS[name].clip)
        train(shards["train"], run, ROWS[name], val=shards["val"], cache=cache, resume=True)
        stages = {name: (MODEL_FILE, (time.monotonic() - start) / 60)}
        if number == 0:
            stages["blind"] = (BLIND_FILE, None)
        if number == 0 and args.scst:
            options = dataclasses.replace(ROWS[name].training, batch_size=32)
            places = {"cache": cache, "resume": True}
            train_scst(run, shards["train"], args.scst, shards["val"], options, **places)
            stages[f"{name} + SCST"] = (SCST_FILE, (time.monotonic() - start) / 60)
        for stage, (file, minutes) in stages.items():
            size = bytes_a_clip(cache)
            found = row(stage, run / file, run / BLIND_FILE, shards[args.split], minutes, size)
            with replacing(args.out / f"{stage}-{args.split}.json") as temporary:
                temporary.write_text(json.dumps(found))
            print(line(found), flush=True)


if __name__ == "__main__":
    main()
