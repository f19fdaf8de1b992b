"""A slice's two files, and what is summed up from them.

A slice is some of the sources of a captions file, in its order: `00012.tfrecord` has their clips,
and `00012.json`, written last, says that it is done and what became of each source.
"""

import collections
import contextlib
import dataclasses
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from v2t_lib.captions_file import without_password
from v2t_lib.errors import writing
from v2t_lib.files import replacing
from v2t_lib.progress import log
from v2t_lib.shards.example import StoredExample, writing_records
from v2t_lib.shards.format import (
    COUNTS,
    FORMAT,
    DatasetInfo,
    Features,
    LeftOut,
    Shard,
    Verdict,
    digest_of,
    parsed,
)
from v2t_lib.specs import ClipSpec

MANIFEST_FILE = "manifest.tsv"
#: Characters that would end a column or a row.
_BLANKS = str.maketrans(dict.fromkeys("\t\n\r", " "))


@dataclasses.dataclass(frozen=True, kw_only=True)
class SliceInfo:
    """The content of a slice's JSON."""

    number: int  # which its files are named after
    digest: str  # of the rows and the clip spec that it is made of
    clip_spec: ClipSpec | None  # None where only originals are kept
    clips: int
    captions: int
    masks: int  # number of clips that have object masks
    bytes: int  # of its shard, which is missing where no clip decoded
    verdicts: tuple[Verdict, ...] = ()  # one a source, in order; none in a slice of features

    def is_whole(self, folder: Path) -> bool:
        """Whether its shard is there, as large as it should be."""
        path = folder / shard_name(self.number)
        return not self.clips or (path.exists() and path.stat().st_size == self.bytes)

    def save(self, folder: Path) -> None:
        """Writes the JSON, whole or not at all, a line a verdict."""
        value = vars(self) | {"clip_spec": self.clip_spec and dataclasses.asdict(self.clip_spec)}
        del value["verdicts"]
        rows = ({k: cell for k, cell in vars(v).items() if cell} for v in self.verdicts)
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        path = folder / slice_name(self.number)
        with writing(path), replacing(path) as temporary:
            text = json.dumps(value, indent=1).removesuffix("\n}")
            temporary.write_text(f'{text},\n "verdicts": [\n{lines}\n]}}\n', encoding="utf-8")

    @classmethod
    def from_json(cls, described: dict) -> "SliceInfo":
        # Earlier versions wrote passwords, too.
        spec, rows = described["clip_spec"], described["verdicts"]
        verdicts = []
        for row in rows:
            urls = {k: without_password(row[k]) for k in ("source", "final_url") if k in row}
            captions = tuple(row.get("captions", ()))
            verdicts.append(Verdict(**row | urls | {"captions": captions}))
        spec = spec and ClipSpec(**spec)
        return cls(**described | {"clip_spec": spec, "verdicts": tuple(verdicts)})


def shard_name(number: int) -> str:
    return f"{number:05d}.tfrecord"


def slice_name(number: int) -> str:
    return f"{number:05d}.json"


def slices_in(folder: str | Path) -> Iterator[SliceInfo]:
    """Yields the slices of a folder that are done, by number, one in memory at a time."""
    folder = Path(folder)
    paths = folder.iterdir() if folder.is_dir() else ()
    numbers = (re.fullmatch(r"(\d{5,})\.json", path.name) for path in paths)
    for number in sorted(int(match[1]) for match in numbers if match):
        yield parsed(SliceInfo.from_json, folder / slice_name(number), "a slice's description")


def last_verdicts(folder: str | Path) -> Iterator[Verdict]:
    """Yields the last verdict of every source in a folder's slices."""
    last = {row.source: one.number for one in slices_in(folder) for row in one.verdicts}
    for one in slices_in(folder):
        yield from (row for row in one.verdicts if last[row.source] == one.number)


def warn_of_copies(train: str | Path, held_out: str | Path) -> None:
    """Says which clips of a folder have the same bytes as one in the folder that is trained on."""
    known = {row.sha256: row.source for row in last_verdicts(train) if row.verdict == "ok"}
    copies = [row for row in last_verdicts(held_out) if row.sha256 and row.sha256 in known]
    if copies and Path(train).resolve() != Path(held_out).resolve():
        log.warning(
            "%s: %d clips have the same bytes as one in %s, %r as %r for one; every score of them "
            "is flattered",
            *(held_out, len(copies), train, copies[0].source, known[copies[0].sha256]),
        )


def write_manifest(path: Path, verdicts: Iterable[Verdict]) -> None:
    """Writes `manifest.tsv`, a row a verdict, whole or not at all."""
    names = [field.name for field in dataclasses.fields(Verdict)[:-2]]
    with (
        writing(path),
        replacing(path) as temporary,
        open(temporary, "w", encoding="utf-8", errors="replace", newline="\n") as file,
    ):
        file.write("\t".join(names) + "\n")
        for row in verdicts:
            cells = (str(getattr(row, name)).translate(_BLANKS) for name in names)
            file.write("\t".join(cells) + "\n")


def sum_up(
    folder: Path, spec: ClipSpec, digest: str = "", features: Features | None = None
) -> DatasetInfo:
    """Writes a folder's `dataset.json` if there is any clip; a source's last verdict counts.

    `digest` is that of what the content is made of, the slices' when left out.
    """
    counts: collections.Counter[str] = collections.Counter()
    left_out: dict[str, LeftOut] = {}
    shards, digests = [], []
    for one in slices_in(folder):
        counts.update({name: getattr(one, name) for name in COUNTS})
        digests.append([one.digest, one.clips, one.bytes])
        shards += [Shard(shard_name(one.number), one.clips, one.bytes)] if one.clips else []
        for row in one.verdicts:
            left_out.pop(row.source, None)
            if row.verdict != "ok":
                left_out[row.source] = LeftOut(row.source, row.verdict, row.why)
    info = DatasetInfo(
        digest=digest or digest_of(FORMAT, spec.shape, digests),
        clip_spec=spec,
        **{name: counts[name] for name in COUNTS},
        left_out=tuple(left_out.values()),
        shards=tuple(shards),
        features=features,
    )
    if info.clips:
        info.save(folder)
    return info


class SliceWriter:
    """Writes the two files of a slice; a kill leaves a slice that isn't done and is written again.

    Example:
        >>> with contextlib.closing(SliceWriter(folder, 12)) as writer:
        ...     for example in examples:
        ...         writer.add(example)
        ...     writer.finish(spec, digest)
        >>> sum_up(folder, spec)
    """

    def __init__(self, folder: Path, number: int):
        self._folder, self._number = folder, number
        self._temporary = folder / f"{shard_name(number)}.tmp"
        self._counts: dict[str, Any] = dict.fromkeys(COUNTS, 0)
        self._file: Any = None

    def add(self, example: StoredExample) -> None:
        """Adds an example to the shard."""
        with writing(self._folder), writing_records(self._temporary) as tf:
            if self._file is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._file = tf.io.TFRecordWriter(str(self._temporary))
            self._file.write(example.serialised)
        self._counts["clips"] += 1
        self._counts["captions"] += example.captions
        self._counts["masks"] += example.masked

    def finish(
        self, spec: ClipSpec | None, digest: str, verdicts: tuple[Verdict, ...] = ()
    ) -> None:
        """Names the shard, if there is any example, and writes the JSON: the slice is done."""
        path = self._folder / shard_name(self._number)
        if self._file is not None:
            with writing(path), writing_records(path):
                self._file.close()
                with open(self._temporary, "rb+") as file:
                    os.fsync(file.fileno())
                os.replace(self._temporary, path)
                self._counts["bytes"] = path.stat().st_size
        info: dict[str, Any] = {"digest": digest, "clip_spec": spec, "verdicts": verdicts}
        SliceInfo(number=self._number, **info, **self._counts).save(self._folder)

    def close(self) -> None:
        """Drops what was added, unless the slice is finished."""
        if self._file is not None:
            with contextlib.suppress(Exception):
                self._file.close()
            self._temporary.unlink(missing_ok=True)
