"""What does the self-critical stage bring?

    python benchmarks/self_critical.py [--root runs/demo] [--epochs 4]

Trains the demo's captioner, and that one further for CIDEr, both on the demo's own data, whose
held-out clips have three phrasings each. Prints the scores of greedy captions before and after,
with the paired difference and its 95% interval.
"""

import argparse
import json
from pathlib import Path

from v2t_lib.captioner import load
from v2t_lib.evaluation import predict
from v2t_lib.scoring import Tally, report, tally
from v2t_lib.self_critical import SELF_CRITICAL_FILE, self_critical
from v2t_lib.training import MODEL_FILE
from v2t_lib.workspace import RECIPES, Workspace


def scored(model: Path, shards: Path) -> tuple[Tally, float]:
    """The tally of greedy captions, and the share that are one of the clip's own, word for word."""
    predictions = predict(load(model), shards, 1)
    captions = {p.example.source: p.greedy.text for p in predictions}
    exact = sum(p.matches(p.greedy, p.example) for p in predictions) / len(predictions)
    return tally(captions, {p.example.source: p.example.captions for p in predictions}), exact


def main() -> None:
    """Prints the scores of both, and the difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("runs/demo"))
    parser.add_argument("--epochs", type=int, default=4)
    arguments = parser.parse_args()
    workspace = Workspace(root=arguments.root, out=arguments.root, recipe=RECIPES["shapes"])
    workspace.captioner()
    shards = workspace.shards()
    options = workspace.recipe.training
    self_critical(workspace.run, shards["train"], arguments.epochs, shards["val"], options)
    before, exact_before = scored(workspace.run / MODEL_FILE, shards["test"])
    after, exact_after = scored(workspace.run / SELF_CRITICAL_FILE, shards["test"])
    result = report(after, before)
    print(json.dumps(result, indent=1))
    print(f"exact match before {exact_before:.1%}, after {exact_after:.1%}")


if __name__ == "__main__":
    main()
