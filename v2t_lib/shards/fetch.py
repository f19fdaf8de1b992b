"""Fetching: the slices of a captions file into a folder a split, with a manifest and originals."""

import collections
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from v2t_lib.captions_file import Record
from v2t_lib.errors import DataError, writing
from v2t_lib.fetching.http import DEFAULT_POLICY, RetryPolicy
from v2t_lib.fetching.report import tally
from v2t_lib.files import locked, replacing, write_json
from v2t_lib.shards.format import DatasetInfo
from v2t_lib.shards.pack import Do
from v2t_lib.shards.plan import WHOLE, Folder, cut
from v2t_lib.shards.slices import last_verdicts, sum_up
from v2t_lib.shards.verdicts import MANIFEST_FILE, read_manifest, write_manifest
from v2t_lib.shards.work import CLIP_FOLDER, Task, do_slices
from v2t_lib.shards.workers import require_main_guard
from v2t_lib.specs import ClipSpec

#: How many clips of each split a fetched folder is to have.
SETTINGS_FILE = "fetch.json"
#: The folder of clips that are in no split list.
NO_SPLIT = "all"


def fetch(
    records: Sequence[Record],
    captions_file: str | Path,
    out: str | Path,
    *,
    spec: ClipSpec | None = None,
    keep: bool = False,
    workers: int | None = None,
    policy: RetryPolicy = DEFAULT_POLICY,
    part: tuple[int, int] = WHOLE,
    do: Do = do_slices,
) -> dict[str, DatasetInfo]:
    """Downloads clips, finds their verdicts and, with a `spec`, packs them; run again, it resumes.

    Into `out` go slices in a folder a split, `all/` for clips without one; `manifest.tsv` with a
    row a source; and the originals, if they are kept, in `clips/` with captions files
    `clips/SPLIT.tsv` to pack them by.

    Args:
        records: The clips, or the first of them; sources as for `pack`.
        captions_file: Where the records were read from.
        out: The folder to write.
        spec: The size of the clips in shards; None for no shards.
        keep: Whether to keep originals; without shards they are kept in any case.
        workers: Decoding processes; as many as there are cores when left out.
        policy: Connections, attempts and times.
        part: As for `pack`, and so is `do`.

    Returns:
        What each split's shards hold, also of a split without any clip.

    Raises:
        DataError: The disk is full, a source is in two splits, or `out` holds other clips.
    """
    require_main_guard()
    out = Path(out)
    task = Task(captions_file, out, spec, keep or spec is None, policy)
    with locked(out):
        splits = _by_split(records, _settings(out))
        folders = {split: Folder(out / split, spec) for split in splits}
        todo = []
        for split, of in splits.items():
            if of:
                folders[split].check(of, some=True)
            todo += folders[split].plan(of, task, part)
        _check_names(task, folders)
        _check_apart(splits, folders)
        _save_settings(out, splits, folders, part)
        if todo:
            do(todo, task, sum(map(len, folders.values())), workers)
        return finish(task, list(splits))


def _by_split(records: Sequence[Record], known: dict[str, int]) -> dict[str, list[Record]]:
    """The records by the folder of their split; none for splits of earlier runs.

    Raises:
        DataError: A source is in two splits.
    """
    if twice := [s for s, n in collections.Counter(r.source for r in records).items() if n > 1]:
        raise DataError(
            f"expected every source in one split only. Received: {len(twice)} in two, the first "
            f"{twice[0]!r}; what training has seen, no test can use"
        )
    splits: dict[str, list[Record]] = {}
    for record in records:
        splits.setdefault(record.split or NO_SPLIT, []).append(record)
    return {split: [] for split in known if split not in splits} | splits


def _settings(out: Path) -> dict[str, int]:
    """How many clips of each split earlier runs were to fetch."""
    path = out / SETTINGS_FILE
    try:
        sources = json.loads(path.read_text("utf-8"))["sources"] if path.exists() else {}
        return {split or NO_SPLIT: int(count) for split, count in sources.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: expected what `v2t fetch` writes. Received: {error!r}; name another folder"
        ) from None


def _save_settings(
    out: Path, splits: dict[str, list[Record]], folders: dict[str, Folder], part: tuple[int, int]
) -> None:
    sources = _settings(out)
    for split, of in splits.items():
        if of:
            sources[split] = max(sum(map(len, cut(of, part).values())), len(folders[split]))
    with writing(out / SETTINGS_FILE):
        write_json(out / SETTINGS_FILE, {"sources": sources})


def _check_names(task: Task, folders: dict[str, Folder]) -> None:
    """Refuses to overwrite files that aren't ours, and a source that has moved to another split."""
    names = [] if any(map(len, folders.values())) else [MANIFEST_FILE]
    new = (split for split, folder in folders.items() if not len(folder))
    names += [f"{CLIP_FOLDER}/{split}.tsv" for split in new if task.keep]
    for name in names:
        if (task.out / name).exists():
            raise DataError(
                f"{task.out / name}: expected no file of that name. Received: one of somebody "
                "else's, or of an earlier version; name another folder (--out)"
            )


def _check_apart(splits: dict[str, list[Record]], folders: dict[str, Folder]) -> None:
    for split, of in splits.items():
        others = [folder for name, folder in folders.items() if name != split]
        for record in of:
            if any(record.source in folder for folder in others):
                raise DataError(
                    f"expected every source in one split only. Received: {record.source!r}, now in "
                    f"{split}, which an earlier run has in another; name another folder"
                )


def finish(task: Task, splits: Sequence[str]) -> dict[str, DatasetInfo]:
    """Sums up the slices of these splits: `dataset.json`, `manifest.tsv`, captions of originals.

    Returns:
        What each split's shards hold; none without shards.
    """
    infos = {}
    for split in splits if task.spec else ():
        assert task.spec is not None
        infos[split] = sum_up(task.out / split, task.spec)
    rows = (row for split in splits for row in last_verdicts(task.out / split))
    write_manifest(task.out / MANIFEST_FILE, rows)
    for split in splits if task.keep else ():
        path = task.out / CLIP_FOLDER / f"{split}.tsv"
        with (
            writing(path),
            replacing(path) as temporary,
            open(temporary, "w", encoding="utf-8", newline="\n") as file,
        ):
            for row in filter(lambda row: row.file, last_verdicts(task.out / split)):
                name = os.path.relpath(row.file, CLIP_FOLDER)
                file.writelines(f"{name}\t{caption}\n" for caption in row.captions)
    return infos


def coverage(folder: str | Path) -> dict:
    """Counts the clips of a fetched folder, or else of all parts (`part-I-of-N`) in it together.

    Returns:
        What `fetching.report.tally` does.

    Raises:
        DataError: The folder isn't one that `v2t fetch` wrote.
    """
    folder = Path(folder)
    runs = [path.parent for path in sorted(folder.glob(f"part-*-of-*/{SETTINGS_FILE}"))]
    runs = [folder] if (folder / SETTINGS_FILE).exists() else runs
    if not runs:
        raise DataError(
            f"{folder}: expected a directory that `v2t fetch` wrote. Received: one without "
            f"{SETTINGS_FILE}"
        )
    sources: collections.Counter[str] = collections.Counter()
    verdicts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for run in runs:
        sources.update(_settings(run))
        for split, verdict in _verdicts(run):
            verdicts[split][verdict] += 1
    return tally(sources, verdicts)


def _verdicts(run: Path) -> Iterator[tuple[str, str]]:
    found = False
    for split in _settings(run):
        for row in last_verdicts(run / split):
            found = True
            yield split, row.verdict
    if not found and (run / MANIFEST_FILE).exists():  # of an earlier version
        yield from ((r.split or NO_SPLIT, r.verdict) for r in read_manifest(run / MANIFEST_FILE))
