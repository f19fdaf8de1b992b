"""The dataset browser: pages through a data set's clips, with captions, split and verdict."""

import dataclasses
import html
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import ipywidgets as widgets

from v2t_lib.captions_file import Record
from v2t_lib.shards.example import Example
from v2t_lib.shards.format import Verdict
from v2t_lib.shards.reader import ShardDataset
from v2t_lib.shards.slices import last_verdicts
from v2t_lib.text.vocabulary import one_form
from v2t_lib.views.gallery import clip_picture
from v2t_lib.views.pages import framed

_ALL, _PER_PAGE, _MOST_CAPTIONS = "all", 8, 5
#: The verdict on a clip that is in a shard; others are named in `errors.VERDICTS`.
_OK = "ok"


def _entries(records: Sequence[Record], split: str, folder: str | Path) -> Iterator[Verdict]:
    """The verdicts on a split's clips, in order, with their captions."""
    rows = list(last_verdicts(folder))
    other, why = ("waiting", "not fetched yet") if rows else (_OK, "")
    if not rows:  # of an earlier version
        left_out = ShardDataset.open(folder).info.left_out
        rows = [Verdict(one.source, split, one.kind, why=one.why) for one in left_out]
    known = {row.source: row for row in rows}
    for record in records:
        row = known.get(record.source) or Verdict(record.source, split, other, why=why)
        yield dataclasses.replace(row, split=split, captions=record.captions)


def _plain(text: str) -> str:
    return one_form(text).lower()


def _read(folder: str | Path, wanted: Mapping[str, str]) -> Iterator[Example]:
    """The clips of the sources that are `wanted`, each with its shard or "" where that isn't known,
    as in folders of earlier versions."""
    whole, names = ShardDataset.open(folder), {Path(shard).name for shard in wanted.values()}
    shards = tuple(one for one in whole.info.shards if one.name in names or "" in names)
    part = ShardDataset(whole.folder, dataclasses.replace(whole.info, shards=shards))
    found = (example for example in part.examples() if example.source in wanted)
    return itertools.islice(found, len(wanted))


class DatasetBrowser(widgets.VBox):
    """Pages through the clips of a data set; shows each as the model sees it, or why it can't.

    Args:
        records: The clips of each split, as `Workspace.records` returns them.
        shards: The shards of these splits, as `Workspace.shards` returns them.
    """

    def __init__(self, records: Mapping[str, Sequence[Record]], shards: Mapping[str, str | Path]):
        self.shards = dict(shards)
        self.entries = [
            entry for split in shards for entry in _entries(records[split], split, shards[split])
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
        sought = _plain(self.text.value.strip())
        self.found = [
            entry
            for entry in self.entries
            if self.split.value in (_ALL, entry.split)
            and self.verdict.value in (_ALL, entry.verdict)
            and any(sought in _plain(one) for one in (entry.source, *entry.captions, entry.why))
        ]
        self.show(0)

    def show(self, page: int) -> None:
        """Shows a page; a number beyond the last shows the last."""
        last = max(0, (len(self.found) - 1) // _PER_PAGE)
        self.page = min(max(page, 0), last)  # counted from 0
        first = self.page * _PER_PAGE
        shown = self.found[first : first + _PER_PAGE]
        try:
            pictures = self._pictures(shown)
        except Exception as error:
            # Front ends don't show what a callback raises.
            self.position.value = html.escape(f"⚠ {type(error).__name__}: {error}")
            return
        cards = [(entry, pictures.get(entry.source)) for entry in shown]
        self.cards.value = framed("dataset.html", title="", cards=cards, most=_MOST_CAPTIONS)
        self.back.disabled, self.forward.disabled = self.page == 0, self.page == last
        self.position.value = (
            f"{first + 1:,} to {first + len(shown):,} of {len(self.found):,} clips"
            if shown
            else "no such clip"
        )

    def _pictures(self, shown: Sequence[Verdict]) -> dict[str, dict]:
        """The pictures of the clips on a page, by source."""
        pictures = {}
        for split, folder in self.shards.items():
            ours = [entry for entry in shown if entry.split == split and entry.verdict == _OK]
            for example in _read(folder, {entry.source: entry.shard for entry in ours}):
                pictures[example.source] = clip_picture(example.frames, example.seconds, 0)
        return pictures
