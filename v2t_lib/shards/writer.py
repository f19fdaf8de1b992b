"""Writing shards so that a kill at any point loses nothing finished.

`00003.open` takes examples; sealing it renames it to `00003.tfrecord` and adds it to `sealed.json`;
finishing writes `dataset.json`. After a kill, `recover` keeps what was sealed. What happens to the
rest depends on the kind of data set:

- With a `plan` (packed clips, features, merged shards) the content is known in advance: whatever is
  not sealed is deleted and made again, and a finished folder never changes.
- Without one (fetched clips, in the order they arrive) a manifest says which clips are in which
  shard: of a shard that isn't sealed, the examples that have a row there are saved. So a clip is
  either in a shard and in the manifest or in neither, and a finished folder can grow.
"""

import collections
import dataclasses
import itertools
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from v2t_lib.errors import DataError, writing
from v2t_lib.files import replacing, write_json
from v2t_lib.shards.example import RecordWriter, StoredExample, whole_examples
from v2t_lib.shards.format import DatasetInfo, Features, LeftOut, Shard, is_finished
from v2t_lib.specs import ClipSpec

_COUNTS = ("clips", "captions", "masks")


@dataclasses.dataclass(frozen=True)
class _Sealed(Shard):
    """An entry of `sealed.json`."""

    captions: int
    masks: int
    left_out: tuple[LeftOut, ...] = ()


def _shard_name(number: int) -> str:
    return f"{number:05d}.tfrecord"


class ShardWriter:
    """Writes the shards of one folder and, at the end, its `dataset.json`.

    Args:
        folder: Made when the first shard is begun.
        spec: The size of the clips.
        plan: A digest of all that decides the content, where that is known in advance.
        features: Given for shards of features.

    Attributes:
        clips_per_shard: After how many clips a shard is `full`.
    """

    clips_per_shard = 256

    def __init__(
        self, folder: Path, spec: ClipSpec, plan: str = "", features: Features | None = None
    ):
        self._folder, self._spec, self._plan, self._features = folder, spec, plan, features
        self._list = folder / "sealed.json"
        self._file: RecordWriter | None = None
        self._name, self._counts = "", collections.Counter()
        self._sealed: dict[str, _Sealed] = {}

    def recover(self, rows: Mapping[str, set[str]] | None = None) -> list[str]:
        """Keeps what an earlier run left, where it is whole, and deletes the rest.

        Args:
            rows: Without a plan: for every shard's name the sources that the manifest has in it.

        Returns:
            The sources that `rows` names but no shard holds.

        Raises:
            DataError: The folder holds another data set.
        """
        rows = rows or {}
        self._read_list(rows)
        there = {
            path.with_suffix(".tfrecord").name
            for ending in ("open", "tfrecord")
            for path in self._folder.glob(f"[0-9]*.{ending}")
        }
        lost = []
        for name in sorted(there | rows.keys() | self._sealed.keys()):
            sources = rows.get(name, set())
            if not self._is_whole(name, sources):
                lost += sources - self._salvage(name, sources)
        for leftover in self._folder.glob("*.tmp"):
            leftover.unlink()
        return lost

    def _read_list(self, rows: Mapping[str, set[str]]) -> None:
        listed = json.loads(self._list.read_text("utf-8")) if self._list.exists() else {}
        plan = listed.get("plan", "")
        foreign = is_finished(self._folder) and (self._plan or not (listed or rows))
        if foreign or (listed and bool(plan) != bool(self._plan)):
            raise DataError(
                f"{self._folder}: expected an empty directory. Received: another data set's "
                "shards; name another directory or remove this one"
            )
        if plan == self._plan:
            for shard in listed.get("shards", ()):
                left_out = tuple(LeftOut(**entry) for entry in shard.get("left_out", ()))
                self._sealed[shard["name"]] = _Sealed(**shard | {"left_out": left_out})

    def _is_whole(self, name: str, sources: set[str]) -> bool:
        shard, path = self._sealed.get(name), self._folder / name
        if shard is None or not path.exists() or path.stat().st_size != shard.bytes:
            return False
        return bool(self._plan) or shard.clips == len(sources)

    def _salvage(self, name: str, sources: set[str]) -> set[str]:
        """Rewrites a shard with just the examples of these sources; returns those it had."""
        path = self._folder / name
        under_way = path.with_suffix(".open")
        found, counts = {}, collections.Counter()
        damaged = under_way if under_way.exists() else path
        if sources and damaged.exists():
            for example in whole_examples(damaged):
                if example.source in sources and example.source not in found:
                    found[example.source] = example.serialised
                    counts.update(example.counts)
        if found:
            with writing(path), replacing(path) as temporary:
                file = RecordWriter(temporary)
                for serialised in found.values():
                    file.write(serialised)
                file.close()
            self._add(name, counts)
        else:
            if self._sealed.pop(name, None):
                self._write_list()
            path.unlink(missing_ok=True)
        under_way.unlink(missing_ok=True)
        return set(found)

    def _add(self, name: str, counts: Mapping[str, int], left_out: Iterable[LeftOut] = ()) -> None:
        size = (self._folder / name).stat().st_size
        counted = {count: counts[count] for count in _COUNTS}
        self._sealed[name] = _Sealed(name, bytes=size, left_out=tuple(left_out), **counted)
        self._write_list()

    def _write_list(self) -> None:
        shards = [dataclasses.asdict(shard) for shard in self._sealed.values()]
        with writing(self._list):
            write_json(self._list, {"plan": self._plan, "shards": shards})

    def has(self, number: int) -> bool:
        """Whether the shard of this number, counted from 0, is sealed."""
        return _shard_name(number) in self._sealed

    def left_out(self) -> dict[int, tuple[LeftOut, ...]]:
        """The clips left out of each sealed shard, by its number."""
        return {int(Path(name).stem): shard.left_out for name, shard in self._sealed.items()}

    def drop(self, number: int) -> None:
        """Deletes a sealed shard, which is then to be written again."""
        name = _shard_name(number)
        self._sealed.pop(name)
        self._write_list()
        (self._folder / name).unlink(missing_ok=True)

    def _next_name(self) -> str:
        self._folder.mkdir(parents=True, exist_ok=True)
        return next(_shard_name(n) for n in itertools.count() if not self.has(n))

    def _open(self) -> RecordWriter:
        if self._file is None:
            self._name = self._next_name()
            self._file = RecordWriter((self._folder / self._name).with_suffix(".open"))
        return self._file

    def append(self, example: StoredExample) -> str:
        """Adds an example to the shard being written; returns that shard's name.

        Raises:
            DataError: The disk is full.
        """
        self._open().write(example.serialised)
        self._counts.update(example.counts)
        return self._name

    @property
    def full(self) -> bool:
        """Whether it's time to `seal`."""
        return self._counts["clips"] >= self.clips_per_shard

    def seal(self, left_out: Iterable[LeftOut] = ()) -> None:
        """Finishes the shard being written, which is empty where nothing was appended.

        `left_out` are the clips that were meant for it and gave no frames.
        """
        self._open().close()
        self._file = None
        path = self._folder / self._name
        with writing(path):
            under_way = path.with_suffix(".open")
            with open(under_way, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(under_way, path)
        self._add(self._name, self._counts, left_out)
        self._counts.clear()

    def adopt(self, shard: Path, counts: Mapping[str, int]) -> None:
        """Adds another folder's shard that holds so many clips, captions and masks.

        It is linked where the file system can do that, and copied where it can't.
        """
        name = self._next_name()
        target = self._folder / name
        with writing(target), replacing(target) as temporary:
            temporary.unlink(missing_ok=True)
            try:
                os.link(shard, temporary)
            except OSError:
                shutil.copyfile(shard, temporary)
        self._add(name, counts)

    def finish(self, left_out: Iterable[LeftOut] = ()) -> DatasetInfo:
        """Seals the shard being written, if any, and writes `dataset.json` if there is any clip.

        `left_out` are clips that gave no frames, beyond those that `seal` was told of.
        """
        if self._file is not None:
            self.seal()
        shards = [self._sealed[name] for name in sorted(self._sealed)]
        info = DatasetInfo(
            digest=self._plan,
            clip_spec=self._spec,
            **{n: sum(getattr(s, n) for s in shards) for n in (*_COUNTS, "bytes")},
            left_out=(*(entry for shard in shards for entry in shard.left_out), *left_out),
            shards=tuple(Shard(s.name, s.clips, s.bytes) for s in shards),
            features=self._features,
        )
        if info.clips:
            info.save(self._folder)
            if self._plan:
                self._list.unlink(missing_ok=True)
        return info
