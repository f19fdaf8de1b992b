"""The files of a fetched folder: settings, partial downloads, recovery after a kill, captions."""

import collections
import dataclasses
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from v2t_lib.captions_file import Record
from v2t_lib.errors import DataError, writing
from v2t_lib.fetching.manifest import Manifest
from v2t_lib.files import replacing, write_json
from v2t_lib.shards.writer import ShardWriter
from v2t_lib.specs import ClipSpec

SETTINGS_FILE = "fetch.json"
CLIP_FOLDER = "clips"
#: The folder of clips that are in no split list.
NO_SPLIT = "all"
_RESERVED = (CLIP_FOLDER, NO_SPLIT, "tgif", "_spark")


@dataclasses.dataclass
class PartialFile:
    """The file `KEY.TAG.part` of a download under way.

    Attributes:
        folder: Where it lies.
        key: The clip's name, fit for files.
        tag: Version and size of the whole clip, by which another request, of this run or the next,
            can resume it. It is "" where the server names no version; then no request can.
    """

    folder: Path
    key: str
    tag: str = ""

    @classmethod
    def found(cls, folder: Path, key: str, name: str) -> "PartialFile":
        """The partial file that an earlier run left as `name`; a new one if it can't be resumed."""
        match = re.fullmatch(re.escape(key) + r"\.([0-9a-f]{12}-\d+)\.part", name)
        return cls(folder, key, match[1] if match else "")

    @property
    def path(self) -> Path:
        return self.folder / ".".join(filter(None, (self.key, self.tag, "part")))

    @property
    def size(self) -> int:
        """Bytes received so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def total(self) -> int:
        """Bytes of the whole clip; 0 without a tag."""
        return int(self.tag.rpartition("-")[2] or 0)

    def clear(self, tag: str = "") -> None:
        """Deletes what was received; what comes next has the tag `tag`."""
        self.path.unlink(missing_ok=True)
        self.tag = tag


def check_splits(records: Sequence[Record], taken: Sequence[str] = ()) -> None:
    """Refuses a source in two splits, and splits whose folders hold other files.

    Args:
        records: The clips.
        taken: Names that can't be a split's, beside those that a fetched folder needs itself.

    Raises:
        DataError: Names the source or the split.
    """
    if twice := [s for s, n in collections.Counter(r.source for r in records).items() if n > 1]:
        raise DataError(
            f"expected every source in one split only. Received: {len(twice)} in two, the first "
            f"{twice[0]!r}; what training has seen, no test can use"
        )
    for split in dict.fromkeys(record.split for record in records):
        if split in (*_RESERVED, *taken) or split.startswith("part-"):
            raise DataError(
                f"expected a split list of another name than {split!r}. Received: {split}.txt; "
                "its clips would lie where other files do"
            )


def settle_settings(
    out: Path,
    captions_file: str | Path,
    spec: ClipSpec | None,
    keep: bool,
    records: Sequence[Record],
) -> None:
    """Writes the settings that decide the folder's content, or compares them with earlier ones.

    Raises:
        DataError: The folder was begun with another captions file or other settings, a source is
            in two splits, or a split has a name that the folder needs itself.
    """
    path, sources = out / SETTINGS_FILE, collections.Counter(r.split for r in records)
    settings = {
        "captions_sha256": hashlib.sha256(Path(captions_file).read_bytes()).hexdigest(),
        "shards": dataclasses.asdict(spec) if spec else None,
        "keep": keep,
    }
    begun = json.loads(path.read_text("utf-8")) if path.exists() else settings
    for name, value in settings.items():
        if begun.get(name) != value:
            raise DataError(
                f"{out}: expected the {name.replace('_', ' ')} it was begun with, "
                f"{begun.get(name)}. Received: {value}; name another directory for it"
            )
    beside = Path(captions_file).resolve().parent
    check_splits(records, [split for split in sources if beside == (out / split).resolve()])
    with writing(path):
        out.mkdir(parents=True, exist_ok=True)
        write_json(path, settings | {"sources": begun.get("sources", {}) | sources})


def scratch(out: Path) -> Path:
    """A temporary folder on this machine for clips on their way to `out`, the same in each run."""
    name = hashlib.sha256(str(out.resolve()).encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"v2t-fetch-{name}"
    with writing(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
        if hasattr(os, "getuid") and folder.lstat().st_uid != os.getuid():
            raise PermissionError(f"{folder} belongs to somebody else")
    return folder


def recover_shards(logs: Mapping[str, ShardWriter], manifest: Manifest) -> None:
    """Makes shards and manifest agree: drops the rows of clips that are in no shard.

    Args:
        logs: The shards of each split, by its name.
        manifest: Its rows say which shard each clip is in.
    """
    shards = collections.defaultdict(lambda: collections.defaultdict(set))
    for source, row in manifest.known.items():
        if row.shard:
            split, _, name = row.shard.partition("/")
            shards[split][name].add(source)
    for split, log in logs.items():
        manifest.forget(log.recover(shards[split]))


def recover_files(folder: Path, manifest: Manifest) -> dict[str, str]:
    """Finds what an earlier run left in a folder of clips.

    Drops the rows whose original is missing or cut off, and deletes such an original.

    Returns:
        Clip keys to names of files that have no row: downloads whole or begun.
    """
    with os.scandir(folder) as entries:
        sizes = {f"{CLIP_FOLDER}/{entry.name}": entry.stat().st_size for entry in entries}
    rows = {s: row for s, row in manifest.known.items() if row.file.startswith(f"{CLIP_FOLDER}/")}
    cut = {source: row.file for source, row in rows.items() if sizes.get(row.file) != row.bytes}
    manifest.forget(cut)
    for file in cut.values():
        (folder / Path(file).name).unlink(missing_ok=True)
    others = (Path(file).name for file in sizes.keys() - {row.file for row in rows.values()})
    matches = (re.fullmatch(r"(.+-[0-9a-f]{16})\..+", name) for name in others)
    return {match[1]: match[0] for match in matches if match}


def write_captions(out: Path, records: Sequence[Record], kept: Mapping[str, str]) -> None:
    """Writes `clips/SPLIT.tsv`, the captions file of the originals kept for a split.

    Args:
        out: The fetched folder.
        records: The clips.
        kept: Sources to the originals' paths, relative to `out`.
    """
    rows = collections.defaultdict(list)
    for record in records:
        if record.source in kept:
            file = os.path.relpath(kept[record.source], CLIP_FOLDER)
            rows[record.split] += [f"{file}\t{caption}\n" for caption in record.captions]
    for split, lines in rows.items():
        path = out / CLIP_FOLDER / f"{split or NO_SPLIT}.tsv"
        with writing(path), replacing(path) as temporary:
            temporary.write_text("".join(lines), encoding="utf-8")
