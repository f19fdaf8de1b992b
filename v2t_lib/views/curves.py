"""Plots: loss and accuracy by epoch, and how reliable verdicts are."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure


def plot_history(history: pd.DataFrame, blind: pd.DataFrame | None = None) -> Figure:
    """Plots loss and accuracy by epoch, from the rows of `history.csv`.

    The lowest loss of `blind.csv`, of the same decoder trained without the clips, is drawn as a
    line: what the sentences alone allow.
    """
    figure = Figure(figsize=(9, 3.2), dpi=80, layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, name, title in (
        (left, "loss", "sequence loss, nats a token"),
        (right, "sequence_accuracy", "next-word accuracy (teacher forcing)"),
    ):
        columns = {name: "training", f"val_{name}": "validation"}
        known = history[[column for column in columns if column in history]]
        labels = {column: f"{columns[column]}: {known[column].iloc[-1]:.3f}" for column in known}
        lines = known.rename(columns=labels).set_index(history["epoch"] + 1)
        lines.plot(ax=axes, title=title, xlabel="epoch", marker="o", markersize=3)
        axes.locator_params(axis="x", integer=True)
    if blind is not None and len(blind):
        lowest = blind["val_loss" if "val_loss" in blind else "loss"].min()
        left.axhline(lowest, color="black", linestyle="--", label=f"blind: {lowest:.3f}")
        left.legend()
    left.set_ylim(bottom=0)
    right.set_ylim(0, 1)
    return figure


def curves(run: str | Path, history: pd.DataFrame | None = None) -> bytes:
    """The learning curves of a run's folder, or of this `history`, as the bytes of a PNG."""
    run = Path(run)
    blind = pd.read_csv(run / "blind.csv") if (run / "blind.csv").exists() else None
    history = pd.read_csv(run / "history.csv") if history is None else history
    return _png(plot_history(history, blind))


def reliability_picture(bins: Sequence[dict[str, Any]]) -> bytes:
    """The reliability diagram as the bytes of a PNG: of sentences with a probability of p, is a
    share of p true? Each point has its number of sentences, and an area in proportion.

    `bins` are `Calibration.figures["reliability"]`, from `metrics.claims.reliability`.
    """
    table = pd.DataFrame(bins)
    figure = Figure(figsize=(4.2, 4), dpi=80, layout="constrained")
    axes = figure.subplots()
    axes.axline((0, 0), slope=1, color="grey", linestyle="--", label="calibrated")
    axes.plot(table["probability"], table["share"], color="tab:blue")
    axes.scatter(table["probability"], table["share"], 20 + 600 * table["weight"], alpha=0.6)
    for row in table.itertuples():
        axes.annotate(str(row.claims), (row.probability, row.share), ha="center")
    gap = np.sum(table["weight"] * np.abs(table["probability"] - table["share"]))
    axes.set(
        xlabel="probability that a sentence is true",
        ylabel="share that is true",
        xlim=(-0.08, 1.08),
        ylim=(-0.08, 1.08),
        title=f"expected calibration error {gap:.3f}",
    )
    axes.legend(loc="upper left")
    return _png(figure)


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
