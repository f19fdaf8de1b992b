"""The whole path on embedded data, in one go: `v2t demo`."""

import time
from pathlib import Path

from v2t_lib.evaluation import Prediction, evaluate, write_predictions
from v2t_lib.files import write_json
from v2t_lib.metrics.evaluation_summary import summary
from v2t_lib.progress import log
from v2t_lib.training.recipes import registry as recipes
from v2t_lib.views.inspector import save_page
from v2t_lib.workspace import Workspace

SHOWN = 24
FULL_CLIPS = 24_000


def _say(started: float, text: str) -> None:
    log.info("[%4.0f s] %s", time.monotonic() - started, text)


def _report(out: Path, scores: dict, predictions: list[Prediction]) -> None:
    """`report.html` with the first held-out clips, and a few of them as GIFs."""
    shown = [prediction for prediction in predictions if prediction.shown]
    save_page(
        out / "report.html",
        [p.shown for p in shown],
        names=[p.source for p in shown],
        truths=[" | ".join(p.references) for p in shown],
        title="Video-to-Text on held-out clips",
        summary=summary(scores),
    )
    for prediction in shown[:12]:
        caption = prediction.shown
        if caption.words:
            word = caption.sharpest_word()
            name = f"{Path(prediction.source).stem}-{caption.words[word]}.gif"
            caption.save_gif(out / "attention" / name, word)


def demo(out: str | Path, seed: int = 0, full: bool = False) -> dict:
    """Draws, packs, trains, scores and reports; what is already there is kept.

    Writes `captioner.keras`, `blind.keras`, `scores.json`, `history.csv`, `predictions.tsv`,
    `attention/*.gif` and `report.html` into `out`, data into `out/data`.

    Returns:
        What `scores.json` holds.
    """
    started, out = time.monotonic(), Path(out)
    size = {"recipe": recipes.get("shapes_full"), "clips": FULL_CLIPS} if full else {}
    workspace = Workspace("shapes", root=out, out=out, seed=seed, **size)
    _say(started, f"drawing {workspace.clips} captioned GIFs")
    workspace.captions()
    _say(started, "packing")
    shards = workspace.shards()
    _say(started, "training, first the blind twin")
    captioner = workspace.captioner()
    _say(started, "scoring held-out clips")
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
    _report(out, scores, predictions)
    _say(started, f"done: open {out / 'report.html'}")
    return scores
