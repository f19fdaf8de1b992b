"""The whole path on embedded data, in one go: `v2t demo`."""

import time
from pathlib import Path
from typing import Any

from v2t_lib.evaluation import Prediction, evaluate, write_predictions
from v2t_lib.files import write_json
from v2t_lib.progress import log
from v2t_lib.report import save_report
from v2t_lib.training.recipes import registry as recipes
from v2t_lib.workspace import Workspace

SHOWN, GIFS = 24, 12
FULL_CLIPS = 24_000
#: What each step takes on two cores: of the demo, and of the full one.
TAKES = {
    "drawing": ("20 seconds", "a minute"),
    "packing": ("15 seconds", "a minute"),
    "training": ("six minutes", "half an hour"),
    "scoring": ("half a minute", "two minutes"),
}


def _attention_gifs(folder: Path, predictions: list[Prediction]) -> None:
    for prediction in predictions:
        caption = prediction.shown
        if caption is not None and caption.words:
            word = caption.sharpest_word()
            name = f"{Path(prediction.source).stem}-{caption.words[word]}.gif"
            caption.save_gif(folder / name, word)


def demo(out: str | Path, seed: int = 0, full: bool = False) -> dict:
    """Draws, packs, trains, scores and reports; what is already there is kept.

    Writes `captioner.keras`, `blind.keras`, `scores.json`, `history.csv`, `predictions.tsv`,
    `attention/*.gif` and `report.html` into `out`, data into `out/data`.

    Returns:
        What `scores.json` holds.
    """
    started, out = time.monotonic(), Path(out)

    def say(step: str, what: str) -> None:
        seconds = time.monotonic() - started
        log.info("[%4.0f s] %s %s: about %s on two cores", seconds, step, what, TAKES[step][full])

    size: dict[str, Any] = {}
    if full:
        size = {"recipe": recipes.get("shapes_full"), "clips": FULL_CLIPS}
    workspace = Workspace("shapes", root=out, out=out, seed=seed, **size)
    say("drawing", f"{workspace.clips:,} captioned GIFs")
    workspace.captions()
    say("packing", "them into shards of tensors")
    shards = workspace.shards()
    say("training", "the blind twin, which sees no clip, then the captioner")
    captioner = workspace.captioner()
    say("scoring", "held-out clips")
    scores, predictions = evaluate(
        captioner,
        shards["test"],
        blind=workspace.blind(),
        unseen=shards["unseen"],
        training=shards["train"],
        shown=SHOWN,
    )
    write_predictions(predictions, out / "predictions.tsv")
    write_json(out / "scores.json", scores)
    report = out / "report.html"
    save_report(report, captioner, shards["test"], scores, predictions, workspace.run)
    _attention_gifs(out / "attention", predictions[:GIFS])
    log.info("[%4.0f s] done: open %s", time.monotonic() - started, report)
    return scores
