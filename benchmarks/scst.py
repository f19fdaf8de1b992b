"""What does the self-critical stage bring?

    python benchmarks/scst.py [--root runs/demo] [--epochs 4]

The demo's clips, each in training too with all three phrasings of its caption, which score
differently against each other: there is something to choose. Trains the demo's captioner on as many
sentences as the demo does, and that one further for CIDEr, and prints the scores of greedy captions
on held-out clips before and after, with the paired difference and its 95% interval.

Where each clip has a single caption, as in the demo itself, the stage finds nothing to win once
training captions are learnt.
"""

import argparse
import dataclasses
import json
import os
from pathlib import Path

import numpy as np

from v2t_lib.datasets.shapes import PHRASING_SHARES, SPLITS, describe, draw
from v2t_lib.evaluation import predict
from v2t_lib.files import replacing
from v2t_lib.metrics.corpus_scores import CorpusScores, score_corpus
from v2t_lib.metrics.tables import report
from v2t_lib.metrics.texts import exact_match
from v2t_lib.models.saving import load
from v2t_lib.training.recipes import registry as recipes
from v2t_lib.training.run_folder import MODEL_FILE, SCST_FILE
from v2t_lib.training.scst import train_scst
from v2t_lib.workspace import Workspace

DEMO = recipes.get("shapes")


def paraphrased(root: Path) -> Workspace:
    """The demo's clips as a folder of one's own, whose captions file has all phrasings."""
    drawn = Workspace(root=root, recipe=DEMO).captions().parent
    folder = root / "paraphrased"
    folder.mkdir(exist_ok=True)
    away, rows = os.path.relpath(drawn, folder), []
    for split in SPLITS:
        names = (drawn / f"{split}.txt").read_text(encoding="utf-8").split()
        (folder / f"{split}.txt").write_text("".join(f"{away}/{name}\n" for name in names))
        for number, name in enumerate(names):
            rng = np.random.default_rng([0, SPLITS.index(split), number])
            things = draw(rng, unseen=split == "unseen").things
            captions = (describe(things, phrasing) for phrasing in range(len(PHRASING_SHARES)))
            rows += [f"{away}/{name}\t{caption}\n" for caption in captions]
    with replacing(folder / "captions.tsv") as temporary:
        temporary.write_text("".join(rows), encoding="utf-8")
    sentences = len(PHRASING_SHARES)
    training = dataclasses.replace(DEMO.training, epochs=-(-DEMO.training.epochs // sentences))
    recipe = dataclasses.replace(DEMO, training=training)
    return Workspace("my_folder", root=root, folder=folder, recipe=recipe)


def scored(model: Path, shards: Path) -> tuple[CorpusScores, float]:
    """The scores of greedy captions, and the share that equal one of the clip's captions."""
    captions, references = {}, {}
    for example, caption, _ in predict(load(model), shards, 1):
        captions[example.source], references[example.source] = caption.text, example.captions
    exact = exact_match(list(captions.values()), list(references.values()))
    return score_corpus(captions, references), exact


def main() -> None:
    """Prints the scores of both, and the difference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path("runs/demo"))
    parser.add_argument("--epochs", type=int, default=4)
    arguments = parser.parse_args()
    workspace = paraphrased(arguments.root)
    workspace.captioner()
    shards = workspace.shards()
    options = workspace.recipe.training
    train_scst(
        workspace.run, shards["train"], arguments.epochs, shards["val"], options, overwrite=True
    )
    before, exact_before = scored(workspace.run / MODEL_FILE, shards["test"])
    after, exact_after = scored(workspace.run / SCST_FILE, shards["test"])
    print(json.dumps(report(after, before), indent=1))
    print(f"exact match before {exact_before:.1%}, after {exact_after:.1%}")


if __name__ == "__main__":
    main()
