"""How much of a data set has been fetched: verdicts counted, as table and chart."""

from pathlib import Path

import pandas as pd

from v2t_lib.errors import VERDICTS
from v2t_lib.files import replacing

#: The count of clips without a verdict yet.
WAITING = "waiting"
PICTURE_FILE = "report.png"
#: Mostly Okabe and Ito's palette, which colour-blind readers can tell apart.
_COLOURS = {
    "ok": "#009e73",
    "gone": "#000000",
    "forbidden": "#d55e00",
    "still": "#f0e442",
    "placeholder": "#e69f00",
    "not-a-clip": "#cc79a7",
    "corrupt": "#8c564b",
    "too-big": "#56b4e9",
    "unreachable": "#0072b2",
    WAITING: "#cccccc",
}
_LABEL = {"facecolor": "white", "linewidth": 0, "pad": 1.5}


def _frame(counted: dict) -> pd.DataFrame:
    """A row a split and a column for "ok" and every other verdict that occurs."""
    rows = [split["verdicts"] for split in counted["splits"].values()]
    frame = pd.DataFrame(rows, list(counted["splits"]), [*VERDICTS, WAITING])
    frame = frame.fillna(0).astype(int)
    return frame[[name for name in frame if name == "ok" or frame[name].any()]]


def table(counted: dict) -> str:
    """Formats what `shards.pack.coverage` returns as a table of text."""
    frame = _frame(counted)
    frame.insert(0, "of", [split["of"] for split in counted["splits"].values()])
    frame = frame.rename_axis("split").reset_index()
    text = frame.to_string(index=False, formatters=dict.fromkeys(frame.columns[1:], "{:,}".format))
    return f"you have {counted['have']:,} of {counted['of']:,}\n{text}"


def picture(counted: dict, path: str | Path) -> None:
    """Draws what `coverage` returns, as a PNG: the part fetched, and the verdicts of the rest."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    frame = _frame(counted)[::-1]
    figure = Figure(figsize=(11, 2.1 + 0.6 * len(frame)))
    FigureCanvasAgg(figure)
    whole, rest = figure.subplots(1, 2, width_ratios=(1, 1))
    figure.suptitle(f"{counted['have']:,} of {counted['of']:,} clips", x=0.02, ha="left")
    lost = frame.drop(columns=["ok", WAITING], errors="ignore")
    titles = {"% of the clips": (whole, frame), "% of those that gave none": (rest, lost)}
    for title, (axes, counts) in titles.items():
        shares = counts.div(counts.sum(axis=1).clip(lower=1), axis=0) * 100
        if len(shares.columns):
            colours = [_COLOURS[name] for name in shares]
            shares.plot.barh(stacked=True, ax=axes, color=colours, legend=False, width=0.8)
        for bars, name in zip(axes.containers, counts, strict=True):
            labels = [
                f"{n:,}" if share >= 5 else ""
                for n, share in zip(counts[name], shares[name], strict=True)
            ]
            axes.bar_label(bars, labels, label_type="center", bbox=_LABEL)
        axes.set(xlim=(0, 100), xlabel=title)
        axes.spines[["top", "right", "left"]].set_visible(False)
    rest.set_yticks([])
    handles = [Patch(facecolor=_COLOURS[name], label=name) for name in frame]
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False,
                  fontsize="small", columnspacing=1.2, handlelength=1.2)  # fmt: skip
    figure.tight_layout(rect=(0, 0.25 / figure.get_figheight(), 1, 1))
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
