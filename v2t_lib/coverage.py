"""How much of a data set is there: the manifests of a folder counted, as a table and a picture."""

import collections
import json
import os
from pathlib import Path

from v2t_lib.errors import VERDICTS, DataError
from v2t_lib.fetch import NO_SPLIT, SETTINGS_FILE
from v2t_lib.manifest import MANIFEST_FILE, read_rows

#: What no row speaks of yet.
WAITING = "waiting"
PICTURE_FILE = "report.png"
#: Of Okabe and Ito's palette, whose colours most colour-blind readers can tell apart.
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
    """Counts the clips of a fetched folder, all its parts together.

    Returns:
        `have` and `of`, numbers of clips, and `splits`: for each its `of` and its `verdicts`,
        names to numbers, `"waiting"` among them.

    Raises:
        DataError: Nothing was fetched here.
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
    """The verdicts that occur, in their order, "ok" always."""
    there = {name for split in counted["splits"].values() for name in split["verdicts"]}
    return [name for name in (*VERDICTS, WAITING) if name in there | {"ok"}]


def table(counted: dict) -> str:
    """What `coverage` returns, as lines to read."""
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
    """Draws what `coverage` returns: how much is there, and what became of the rest.

    Args:
        counted: What to draw.
        path: The PNG to write, whole or not at all.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    splits = list(counted["splits"].items())[::-1]
    height = 1.4 + 0.75 * len(splits)
    figure, (whole, rest) = pyplot.subplots(1, 2, figsize=(11, height), width_ratios=(2, 3))
    figure.suptitle(f"{counted['have']:,} of {counted['of']:,} clips", x=0.02, ha="left")
    for row, (_, counts) in enumerate(splits):
        have = counts["verdicts"].get("ok", 0)
        whole.barh(row, 100, color="#eeeeee")
        whole.barh(row, 100 * have / counts["of"], color=_COLOURS["ok"])
        text = f"{have:,} of {counts['of']:,} ({100 * have / counts['of']:.1f}%)"
        whole.text(2, row, text, va="center", color="white" if have > counts["of"] / 2 else "black")
        _draw_rest(rest, row, counts["verdicts"])
    whole.set(yticks=range(len(splits)), yticklabels=[name for name, _ in splits], xlim=(0, 100))
    whole.set_xlabel("% of the clips")
    rest.set(yticks=[], xlabel="clips that are not there")
    rest.set_xlim(left=0)
    names = [name for name in _names(counted) if name != "ok"]
    if names:
        handles = [matplotlib.patches.Patch(facecolor=_COLOURS[n], label=n) for n in names]
        figure.legend(handles=handles, loc="upper right", ncols=len(names), frameon=False)
    for axes in (whole, rest):
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(-0.6, len(splits) - 0.4)
    figure.tight_layout(rect=(0, 0, 1, 0.95))
    path = Path(path)
    temporary = path.with_name(f".{path.name}.tmp")
    figure.savefig(temporary, format="png", dpi=120)
    pyplot.close(figure)
    os.replace(temporary, path)


def _draw_rest(axes, row: int, verdicts: dict[str, int]) -> None:
    start = 0
    for name, count in verdicts.items():
        if name != "ok":
            axes.barh(row, count, left=start, color=_COLOURS[name], edgecolor="white")
            start += count
    axes.text(start, row, f" {start:,}", va="center")
