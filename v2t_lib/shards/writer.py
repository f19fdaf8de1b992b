"""Shards that grow clip by clip, for clips that come in any order and for runs that are killed.

`00003.open` takes examples; once full it becomes `00003.tfrecord`, and then `sealed.json` lists it.
What a kill leaves that isn't listed is gone through example by example, and those that have a row
in the manifest make a shard of their own. So a clip is either in a shard and in the manifest, or
in neither.
"""

import collections
import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from v2t_lib.captions_file import Record
from v2t_lib.errors import writing
from v2t_lib.shards.format import (
    FORMAT,
    PackedClip,
    RecordWriter,
    example,
    whole_examples,
    write_json,
    write_records,
)
from v2t_lib.shards.pack import CLIPS_PER_SHARD
from v2t_lib.specs import ClipSpec

_COUNTS = ("clips", "captions", "masks")


class ShardWriter:
    """The shards of one folder under way.

    Args:
        folder: Where they lie.
        spec: The size of the clips.
        clips: How many make a shard.
    """

    def __init__(self, folder: Path, spec: ClipSpec, clips: int = CLIPS_PER_SHARD):
        self._folder, self._spec, self._clips = folder, spec, clips
        self._writer, self._name = None, ""
        self._counts: collections.Counter = collections.Counter()
        self._sealed: dict[str, dict] = {}

    def recover(self, rows: Mapping[str, set[str]]) -> list[str]:
        """Takes up what an earlier run left.

        Args:
            rows: For every shard's name the sources whose rows say that it holds them.

        Returns:
            Sources of which that isn't true.
        """
        if not self._folder.is_dir():
            return [source for sources in rows.values() for source in sources]
        listed = self._folder / "sealed.json"
        if listed.exists():
            self._sealed = {s["name"]: s for s in json.loads(listed.read_text("utf-8"))["shards"]}
        there = {path.with_suffix(".tfrecord").name for path in self._folder.glob("[0-9]*.open")}
        there |= {path.name for path in self._folder.glob("[0-9]*.tfrecord")}
        lost = []
        for name in sorted(there | rows.keys() | self._sealed.keys()):
            sources = rows.get(name, set())
            if not self._whole(name, len(sources)):
                lost += sources - self._salvage(name, sources)
        for leftover in self._folder.glob("*.tmp"):
            leftover.unlink()
        return lost

    def _whole(self, name: str, rows: int) -> bool:
        shard, path = self._sealed.get(name), self._folder / name
        if shard is None or not path.exists() or shard["clips"] != rows:
            return False
        return shard["bytes"] == path.stat().st_size

    def _salvage(self, name: str, sources: set[str]) -> set[str]:
        """Makes a shard of the examples that have rows; which those are."""
        path = self._folder / name
        under_way = path.with_suffix(".open")
        found, counts = {}, collections.Counter()
        source_file = under_way if under_way.exists() else path
        if sources and source_file.exists():
            for serialised, source, captions, masked in whole_examples(source_file):
                if source in sources and source not in found:
                    found[source] = serialised
                    counts.update(clips=1, captions=captions, masks=masked)
        if found:
            with writing(path):
                write_records(path, found.values())
            self._list(name, counts)
        else:
            if self._sealed.pop(name, None):
                self._write_list()
            path.unlink(missing_ok=True)
        under_way.unlink(missing_ok=True)
        return set(found)

    def _list(self, name: str, counts: Mapping[str, int]) -> None:
        size = (self._folder / name).stat().st_size
        self._sealed[name] = {"name": name} | {c: counts[c] for c in _COUNTS} | {"bytes": size}
        self._write_list()

    def _write_list(self) -> None:
        with writing(self._folder / "sealed.json"):
            write_json(self._folder / "sealed.json", {"shards": list(self._sealed.values())})

    def append(self, record: Record, packed: PackedClip) -> str:
        """Adds a clip; the name of the shard that has it.

        Raises:
            DataError: The disk takes no more.
        """
        if self._writer is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            last = max((int(name.partition(".")[0]) for name in self._sealed), default=-1)
            self._name = f"{last + 1:05d}.tfrecord"
            self._writer = RecordWriter((self._folder / self._name).with_suffix(".open"))
            self._counts.clear()
        self._writer.write(example(record, packed))
        counts = {"clips": 1, "captions": len(record.captions), "masks": bool(packed.masks)}
        self._counts.update(counts)
        return self._name

    @property
    def full(self) -> bool:
        """Whether it's time to `seal`."""
        return self._counts["clips"] >= self._clips

    def seal(self) -> None:
        """Gives the shard under way, if there is one, its name."""
        if self._writer is None:
            return
        path = self._folder / self._name
        writer, self._writer = self._writer, None
        writer.close()
        with writing(path):
            under_way = path.with_suffix(".open")
            with open(under_way, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(under_way, path)
        self._list(self._name, self._counts)
        self._counts.clear()

    def finish(self, left_out: Iterable[Mapping[str, str]]) -> dict | None:
        """Seals, and writes the `dataset.json` without which nobody reads the shards.

        Args:
            left_out: `source`, `kind` and `why` of each clip that gave no frames.

        Returns:
            What `dataset.json` holds; None where there is no clip and so no data set.
        """
        self.seal()
        if not self._sealed:
            return None
        shards = sorted(self._sealed.values(), key=lambda shard: shard["name"])
        described = {
            "format": FORMAT,
            "clip_spec": dataclasses.asdict(self._spec),
            **{name: sum(shard[name] for shard in shards) for name in (*_COUNTS, "bytes")},
            "left_out": list(left_out),
            "shards": [{name: s[name] for name in ("name", "clips", "bytes")} for s in shards],
        }
        with writing(self._folder / "dataset.json"):
            write_json(self._folder / "dataset.json", described)
        return described
