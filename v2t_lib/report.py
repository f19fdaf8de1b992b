"""The page of an evaluation: its figures, the learning curves, the first clips and the worst."""

import dataclasses
import html
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from v2t_lib.evaluation import Prediction
from v2t_lib.metrics.tables import Figure, figures, headline
from v2t_lib.models.captioner import Captioner
from v2t_lib.shards.reader import ShardDataset, Shards
from v2t_lib.views.curves import curves
from v2t_lib.views.inspector import fragment, write_page
from v2t_lib.views.templates import data_url, filled

#: How many of the worst captions are shown.
WORST = 6


def worst(
    captioner: Captioner,
    shards: Shards,
    predictions: Sequence[Prediction],
    beam: int,
    count: int = WORST,
) -> list[Prediction]:
    """The predictions with the lowest CIDEr, the worst first, captioned again for their attention.

    Args:
        captioner: The model.
        shards: The clips that `predictions` are of.
        predictions: What `evaluate` returned.
        beam: The number of beams that `evaluate` scored.
        count: How many.
    """
    places = sorted(range(len(predictions)), key=lambda place: predictions[place].cider)[:count]
    examples = itertools.islice(ShardDataset.open(shards).examples(), max(places) + 1)
    clips = {place: example for place, example in enumerate(examples) if place in places}
    frames = np.stack([clips[place].frames for place in places])
    seconds = np.stack([clips[place].seconds for place in places])
    captions = captioner.caption_frames(frames, beam, seconds)
    pairs = zip(places, captions, strict=True)
    return [dataclasses.replace(predictions[place], shown=caption) for place, caption in pairs]


def _row(figure: Figure) -> str:
    name, value, meaning = map(html.escape, (figure.name, figure.value, figure.meaning))
    mark = f'<span class="{figure.mark}">{figure.mark}</span>' if figure.mark else ""
    return (
        f'<tr><th scope="row">{name}</th><td class="value">{value}</td>'
        f"<td>{mark}</td><td>{meaning}</td></tr>"
    )


def _inspector(predictions: Sequence[Prediction]) -> str:
    return fragment(
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

    Args:
        path: The file to write.
        captioner: The model.
        shards: The clips it was scored on.
        scores: What `evaluate` returned.
        predictions: Likewise.
        run: The run whose learning curves are shown, where it has any.
    """
    plotted = ""
    history = Path(run) / "history.csv"
    if history.exists() and history.stat().st_size:
        picture = data_url(curves(run), "png")
        alt = "sequence loss and next-word accuracy by epoch, in training and validation"
        plotted = f'<h2>Learning curves</h2>\n<img class="curves" src="{picture}" alt="{alt}">'
    doubts = (f'<p class="careful">Careful: {html.escape(d)}</p>' for d in scores["doubts"])
    above = filled(
        "report.html",
        HEADLINE=html.escape(headline(scores)),
        DOUBTS="\n".join(doubts),
        ROWS="\n".join(map(_row, figures(scores))),
        CURVES=plotted,
    )
    first = [prediction for prediction in predictions if prediction.shown]
    lowest = worst(captioner, shards, predictions, scores["beam"])
    inspectors = (
        f"<h2>The worst {len(lowest)}, by CIDEr, with {scores['beam']} beams</h2>\n"
        f"{_inspector(lowest)}\n"
        f"<h2>The first {len(first)}, greedily</h2>\n{_inspector(first)}"
    )
    write_page(path, "Video-to-Text on held-out clips", above, inspectors)
