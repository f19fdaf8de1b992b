"""Learning curves: loss and accuracy by epoch, of a finished run or while a model trains."""

import io
from pathlib import Path

import keras
import pandas as pd
from matplotlib.figure import Figure


def plot_history(history: pd.DataFrame, blind: pd.DataFrame | None = None) -> Figure:
    """Plots loss and accuracy by epoch.

    Args:
        history: The rows of `history.csv`.
        blind: The rows of `blind.csv`, of the same decoder trained without seeing the clips. Its
            lowest loss is drawn as a line: what the sentences alone allow.
    """
    figure = Figure(figsize=(9, 3.2), dpi=80, layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = history["epoch"] + 1
    for axes, name, title in (
        (left, "loss", "sequence loss, nats a token"),
        (right, "sequence_accuracy", "next-word accuracy (teacher forcing)"),
    ):
        for column, label in ((name, "training"), (f"val_{name}", "validation")):
            if column in history:
                label = f"{label}: {history[column].iloc[-1]:.3f}"
                axes.plot(epochs, history[column], marker="o", markersize=3, label=label)
        axes.set(title=title, xlabel="epoch")
    if blind is not None and len(blind):
        column = "val_loss" if "val_loss" in blind else "loss"
        lowest = blind[column].min()
        left.axhline(lowest, color="black", linestyle="--", label=f"blind: {lowest:.3f}")
    left.set_ylim(bottom=0)
    right.set_ylim(0, 1)
    for axes in (left, right):
        axes.legend()
    return figure


def _png(run: Path, history: pd.DataFrame) -> bytes:
    blind, file = run / "blind.csv", io.BytesIO()
    plot_history(history, pd.read_csv(blind) if blind.exists() else None).savefig(file)
    return file.getvalue()


def curves(run: str | Path) -> bytes:
    """The learning curves of a run, from `history.csv` and `blind.csv`, as the bytes of a PNG."""
    return _png(Path(run), pd.read_csv(Path(run) / "history.csv"))


class LiveCurves(keras.callbacks.Callback):
    """Shows the learning curves in a notebook cell and updates them after every epoch.

    Args:
        run: The run's directory, with `history.csv` if the run is resumed.
    """

    def __init__(self, run: str | Path):
        super().__init__()
        self.run, self.rows, self._display = Path(run), [], None

    def on_train_begin(self, logs=None):
        history = self.run / "history.csv"
        if history.exists() and history.stat().st_size:
            self.rows = pd.read_csv(history).to_dict("records")

    def on_epoch_end(self, epoch, logs=None):
        self.rows.append({"epoch": epoch} | {k: float(v) for k, v in (logs or {}).items()})
        self.show(_png(self.run, pd.DataFrame(self.rows)))

    def show(self, picture: bytes) -> None:
        """Shows the curves, a PNG, in place of those of the epoch before."""
        from IPython.display import Image, display

        if self._display is None:
            self._display = display(Image(data=picture), display_id=True)
        else:
            self._display.update(Image(data=picture))
