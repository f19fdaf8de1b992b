"""The dataset browser: pages through a data set's clips, with captions, split and verdict."""

import bisect
import dataclasses
import html
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import ipywidgets as widgets

from v2t_lib.captions_file import Record
from v2t_lib.shards.example import Example
from v2t_lib.shards.format import DatasetInfo
from v2t_lib.shards.reader import ShardDataset
from v2t_lib.shards.slices import last_verdicts
from v2t_lib.shards.verdicts import MANIFEST_FILE, read_manifest
from v2t_lib.views.gallery import clip_picture
from v2t_lib.views.pages import framed

_ALL, _PER_PAGE, _MOST_CAPTIONS = "all", 8, 5
#: The verdict on a clip that is in a shard; others are named in `errors.VERDICTS`.
_OK = "ok"
#: The state of a clip that no manifest has a row for yet.
_WAITING = "waiting"


@dataclasses.dataclass(frozen=True)
class Entry:
    """A clip of the data set: its captions, and in which shard it is or why it is in none."""

    record: Record
    split: str
    verdict: str
    why: str = ""
    shard: str = ""

    def matches(self, text: str) -> bool:
        """Whether the source, a caption or the reason has `text`, in capitals or not."""
        searched = (self.record.source, *self.record.captions, self.why)
        return any(text.lower() in one.lower() for one in searched)


def entries(records: Sequence[Record], split: str, folder: str | Path) -> Iterator[Entry]:
    """The clips of one split in order, fetched ones with the manifest's verdict.

    Args:
        records: The split's clips.
        split: Its name.
        folder: Its shards.
    """
    info = DatasetInfo.load(folder)
    rows, manifest = (
        {row.source: row for row in last_verdicts(folder)},
        Path(folder).parent / MANIFEST_FILE,
    )
    if not rows and manifest.exists():  # of an earlier version
        rows = {row.source: row for row in read_manifest(manifest)}
    if rows:
        for record in records:
            if (row := rows.get(record.source)) is None:
                yield Entry(record, split, _WAITING, "not fetched yet")
            else:
                yield Entry(record, split, row.verdict, row.why, Path(row.shard).name)
        return
    left_out = {entry.source: entry for entry in info.left_out}
    ends, packed = list(itertools.accumulate(shard.clips for shard in info.shards)), 0
    for record in records:
        if (missing := left_out.get(record.source)) is not None:
            yield Entry(record, split, missing.kind, missing.why)
            continue
        # Packed clips of an earlier version are in the shards in the records' order.
        yield Entry(record, split, _OK, shard=info.shards[bisect.bisect(ends, packed)].name)
        packed += 1


def _read(folder: str | Path, shard: str, sources: set[str]) -> Iterator[Example]:
    """Yields the clips of these sources from one shard."""
    whole = ShardDataset.open(folder)
    only = tuple(one for one in whole.info.shards if one.name == shard)
    info = dataclasses.replace(whole.info, shards=only, clips=sum(one.clips for one in only))
    wanted = set(sources)
    for example in ShardDataset(whole.folder, info).examples():
        if example.source in wanted:
            yield example
            wanted.remove(example.source)
        if not wanted:
            return


class DatasetBrowser(widgets.VBox):
    """Pages through the clips of a data set; shows each as the model sees it.

    Clips are read from the shards when their page is first shown. A clip that gave no frames says
    why: the manifest's verdict where clips were fetched, else that of packing.

    Args:
        records: The clips of each split, as `Workspace.records` returns them.
        shards: The shards of these splits, as `Workspace.shards` returns them.

    Attributes:
        found: The clips that the fields select.
        page: The page shown, counted from 0.
    """

    def __init__(self, records: Mapping[str, Sequence[Record]], shards: Mapping[str, str | Path]):
        self.shards = dict(shards)
        self.entries = [
            entry for split in shards for entry in entries(records[split], split, shards[split])
        ]
        verdicts = sorted({entry.verdict for entry in self.entries})
        narrow = {"layout": widgets.Layout(width="14rem")}
        self.text = widgets.Text(
            description="search", placeholder="a word, a name", continuous_update=False
        )
        self.split = widgets.Dropdown(options=[_ALL, *shards], description="split", **narrow)
        self.verdict = widgets.Dropdown(options=[_ALL, *verdicts], description="verdict", **narrow)
        small = {"layout": widgets.Layout(width="3rem")}
        self.back = widgets.Button(icon="chevron-left", tooltip="page before", **small)
        self.forward = widgets.Button(icon="chevron-right", tooltip="next page", **small)
        self.position, self.cards = widgets.HTML(), widgets.HTML()
        for field in (self.text, self.split, self.verdict):
            field.observe(lambda _: self.select(), "value")
        self.back.on_click(lambda _: self.show(self.page - 1))
        self.forward.on_click(lambda _: self.show(self.page + 1))
        fields = widgets.HBox(
            [self.text, self.split, self.verdict], layout=widgets.Layout(flex_flow="row wrap")
        )
        super().__init__(
            [fields, widgets.HBox([self.back, self.forward, self.position]), self.cards]
        )
        self.select()

    def select(self) -> None:
        """Finds the clips that the fields ask for, and shows the first page of them."""
        self.found = [
            entry
            for entry in self.entries
            if self.split.value in (_ALL, entry.split)
            and self.verdict.value in (_ALL, entry.verdict)
            and entry.matches(self.text.value.strip())
        ]
        self.show(0)

    def show(self, page: int) -> None:
        """Shows a page; a number beyond the last shows the last."""
        last = max(0, (len(self.found) - 1) // _PER_PAGE)
        self.page = min(max(page, 0), last)
        first = self.page * _PER_PAGE
        shown = self.found[first : first + _PER_PAGE]
        try:
            pictures = self._pictures(shown)
        except Exception as error:
            # Front ends don't show what a callback raises.
            self.position.value = html.escape(f"⚠ {type(error).__name__}: {error}")
            return
        cards = [
            {"entry": entry, "picture": pictures.get(entry.record.source, {})} for entry in shown
        ]
        self.cards.value = framed("dataset.html", title="", cards=cards, most=_MOST_CAPTIONS)
        self.back.disabled, self.forward.disabled = self.page == 0, self.page == last
        self.position.value = (
            f"{first + 1:,} to {first + len(shown):,} of {len(self.found):,} clips"
            if shown
            else "no such clip"
        )

    def _pictures(self, shown: Sequence[Entry]) -> dict[str, dict]:
        """The pictures of the clips on a page by source; each shard is read once."""
        wanted: dict[tuple[str, str], set[str]] = {}
        for entry in shown:
            if entry.verdict == _OK:
                wanted.setdefault((entry.split, entry.shard), set()).add(entry.record.source)
        return {
            example.source: clip_picture(example.frames, example.seconds, 0)
            for (split, shard), sources in wanted.items()
            for example in _read(self.shards[split], shard, sources)
        }
