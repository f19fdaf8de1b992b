"""How much of a data set has been fetched: its manifests' verdicts counted, as table and chart."""

import collections
import json
from collections.abc import Mapping
from pathlib import Path

from v2t_lib.errors import VERDICTS, DataError
from v2t_lib.fetching.layout import NO_SPLIT, SETTINGS_FILE
from v2t_lib.fetching.manifest import MANIFEST_FILE, read_rows
from v2t_lib.files import replacing

#: The count of clips that have no row yet.
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


def coverage(folder: str | Path) -> dict:
    """Counts the clips of a fetched folder, or of all shares (`part-I-of-N`) in it together.

    Returns:
        `have` and `of`, the numbers of clips fetched and asked for, and `splits`: for each split
        its `of` and its `verdicts`, which map a verdict, or `"waiting"`, to a number of clips.

    Raises:
        DataError: The folder isn't one that `v2t fetch` wrote.
    """
    folder = Path(folder)
    runs = [path.parent for path in sorted(folder.glob("part-*-of-*/" + SETTINGS_FILE))]
    runs += [folder] if (folder / SETTINGS_FILE).exists() else []
    if not runs:
        raise DataError(
            f"{folder}: expected a directory that `v2t fetch` wrote. Received: one without "
            f"{SETTINGS_FILE}"
        )
    sources, verdicts = collections.Counter(), collections.defaultdict(collections.Counter)
    for run in runs:
        sources.update(json.loads((run / SETTINGS_FILE).read_text("utf-8"))["sources"])
        last = {row.source: (row.split, row.verdict) for row in read_rows(run / MANIFEST_FILE)}
        for split, verdict in last.values():
            verdicts[split][verdict] += 1
    return tally(sources, verdicts)


def tally(sources: Mapping[str, int], verdicts: Mapping[str, collections.Counter]) -> dict:
    """What `coverage` returns, from each split's number of clips and its verdicts."""
    splits = {}
    for split, count in sources.items():
        counts = verdicts[split]
        waiting = {WAITING: max(0, count - counts.total())}
        found = {name: counts[name] for name in VERDICTS} | waiting
        splits[split or NO_SPLIT] = {
            "of": count,
            "verdicts": {name: number for name, number in found.items() if number},
        }
    have = sum(split["verdicts"].get("ok", 0) for split in splits.values())
    return {"have": have, "of": sum(sources.values()), "splits": splits}


def _names(counted: dict) -> list[str]:
    """The verdicts to show: "ok", and all others that occur."""
    there = {name for split in counted["splits"].values() for name in split["verdicts"]}
    return [name for name in (*VERDICTS, WAITING) if name in there | {"ok"}]


def table(counted: dict) -> str:
    """Formats what `coverage` returns as a table of text."""
    names = _names(counted)
    rows = [["split", "of", *names]]
    for split, counts in counted["splits"].items():
        numbers = [counts["of"], *(counts["verdicts"].get(name, 0) for name in names)]
        rows.append([split, *(f"{number:,}" for number in numbers)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"you have {counted['have']:,} of {counted['of']:,}"]
    for first, *rest in rows:
        cells = [text.rjust(width) for text, width in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]))
    return "\n".join(lines)


def picture(counted: dict, path: str | Path) -> None:
    """Draws what `coverage` returns: the fraction fetched, and the verdicts of the rest.

    Args:
        counted: What `coverage` returned.
        path: The PNG file to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    splits = list(counted["splits"].items())[::-1]
    figure = Figure(figsize=(11, 2.1 + 0.6 * len(splits)))
    FigureCanvasAgg(figure)
    whole, rest = figure.subplots(1, 2, width_ratios=(1, 1))
    for row, (_, counts) in enumerate(splits):
        _draw_whole(whole, row, counts)
        _draw_rest(rest, row, counts["verdicts"])
    figure.suptitle(f"{counted['have']:,} of {counted['of']:,} clips", x=0.02, ha="left")
    whole.set(yticks=range(len(splits)), yticklabels=[name for name, _ in splits])
    whole.set_xlabel("% of the clips")
    rest.set(yticks=[], xlabel="% of those that gave none, and their number")
    for axes in (whole, rest):
        axes.set(xlim=(0, 100), ylim=(-0.6, len(splits) - 0.4))
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
    names = _names(counted)
    handles = [Patch(facecolor=_COLOURS[name], label=name) for name in names]
    figure.legend(handles=handles, loc="lower center", ncols=len(names), frameon=False,
                  fontsize="small", columnspacing=1.2, handlelength=1.2)  # fmt: skip
    figure.tight_layout(rect=(0, 0.25 / figure.get_figheight(), 1, 1))
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def _draw_whole(axes, row: int, counts: dict) -> None:
    have, waiting = (100 * counts["verdicts"].get(n, 0) / counts["of"] for n in ("ok", WAITING))
    axes.barh(row, 100, color="#555555")
    axes.barh(row, have + waiting, color=_COLOURS[WAITING])
    axes.barh(row, have, color=_COLOURS["ok"])
    text = f"{counts['verdicts'].get('ok', 0):,} of {counts['of']:,} ({have:.1f}%)"
    axes.text(2, row, text, va="center", color="white" if have > 50 or not waiting else "black")


def _draw_rest(axes, row: int, verdicts: dict[str, int]) -> None:
    lost = {name: n for name, n in verdicts.items() if name not in ("ok", WAITING)}
    start, total = 0.0, sum(lost.values())
    for name, count in lost.items():
        width = 100 * count / total
        axes.barh(row, width, left=start, color=_COLOURS[name], edgecolor="white")
        if width >= 5:
            colour = "black" if name in ("still", "placeholder", "too-big") else "white"
            axes.text(start + width / 2, row, f"{count:,}", va="center", ha="center", color=colour)
        start += width
