"""The page of an evaluation: its figures, the learning curves, the first clips and the worst."""

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from v2t_lib.evaluation import Prediction
from v2t_lib.metrics.tables import figures, headline
from v2t_lib.models.captioner import Captioner
from v2t_lib.shards.reader import ShardDataset, Shards
from v2t_lib.views.curves import curves
from v2t_lib.views.inspector import cards
from v2t_lib.views.pages import data_url, write_page

#: How many of the worst captions are shown.
WORST = 6


def worst(
    captioner: Captioner, shards: Shards, predictions: Sequence[Prediction], beam: int
) -> list[Prediction]:
    """The `WORST` predictions by CIDEr, the lowest first, captioned again for their attention."""
    places = sorted(range(len(predictions)), key=lambda place: predictions[place].cider)[:WORST]
    examples = itertools.islice(ShardDataset.open(shards).examples(), max(places) + 1)
    clips = {place: example for place, example in enumerate(examples) if place in places}
    frames = np.stack([clips[place].frames for place in places])
    seconds = np.stack([clips[place].seconds for place in places])
    captions = captioner.caption_frames(frames, beam, seconds)
    pairs = zip(places, captions, strict=True)
    return [dataclasses.replace(predictions[place], shown=caption) for place, caption in pairs]


def _cards(predictions: Sequence[Prediction]) -> list[dict]:
    return cards(
        [p.shown for p in predictions if p.shown],
        [p.source for p in predictions],
        [" | ".join(p.references) for p in predictions],
    )


def save_report(
    path: str | Path,
    captioner: Captioner,
    shards: Shards,
    scores: dict,
    predictions: Sequence[Prediction],
    run: str | Path,
) -> None:
    """Writes the page as one HTML file that works offline.

    It shows the scores and predictions that `evaluate` returned of `shards`, and the learning
    curves of `run`, where it has any.
    """
    history = Path(run) / "history.csv"
    trained = history.exists() and history.stat().st_size
    lowest = worst(captioner, shards, predictions, scores["beam"])
    first = [prediction for prediction in predictions if prediction.shown]
    write_page(
        path,
        "report.html",
        title="Video-to-Text on held-out clips",
        headline=headline(scores),
        doubts=scores["doubts"],
        figures=figures(scores),
        curves=data_url(curves(run), "png") if trained else "",
        groups=[
            (f"The worst {len(lowest)}, by CIDEr, with {scores['beam']} beams", _cards(lowest)),
            (f"The first {len(first)}, greedily", _cards(first)),
        ],
    )
