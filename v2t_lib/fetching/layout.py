"""A fetched folder: what lies where, and what it was begun for."""

import collections
import dataclasses
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from v2t_lib.captions_file import Record
from v2t_lib.errors import DataError, writing
from v2t_lib.files import replacing
from v2t_lib.shards.format import write_json
from v2t_lib.specs import ClipSpec

SETTINGS_FILE = "fetch.json"
CLIP_FOLDER = "clips"
#: Where the clips lie that no split list names.
NO_SPLIT = "all"
_RESERVED = (CLIP_FOLDER, NO_SPLIT, "tgif")


def settle_settings(
    out: Path,
    captions_file: str | Path,
    spec: ClipSpec | None,
    keep: bool,
    records: Sequence[Record],
) -> None:
    """Writes what decides the folder's content, or checks that it is what it was.

    Raises:
        DataError: The folder was begun with another captions file or for another content.
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
    if twice := [s for s, n in collections.Counter(r.source for r in records).items() if n > 1]:
        raise DataError(
            f"expected every source in one split only. Received: {len(twice)} in two, the first "
            f"{twice[0]!r}; what training has seen, no test can use"
        )
    for split in sources:
        if split in _RESERVED or split.startswith("part-"):
            raise DataError(
                f"expected a split list of another name than {split!r}. Received: {split}.txt; "
                "its clips would lie where other files do"
            )
    with writing(path):
        out.mkdir(parents=True, exist_ok=True)
        write_json(path, settings | {"sources": begun.get("sources", {}) | sources})


def scratch(out: Path) -> Path:
    """This machine's folder for what is on its way to `out`; the next run finds it again."""
    name = hashlib.sha256(str(out.resolve()).encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"v2t-fetch-{name}"
    with writing(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
        if hasattr(os, "getuid") and folder.lstat().st_uid != os.getuid():
            raise PermissionError(f"{folder} belongs to somebody else")
    return folder


def write_captions(out: Path, records: Sequence[Record], kept: Mapping[str, str]) -> None:
    """Writes `clips/SPLIT.tsv`, the captions file of a split's originals.

    Args:
        out: The folder.
        records: The clips.
        kept: Sources to files, seen from `out`, where an original is kept.
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
