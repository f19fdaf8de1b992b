"""Packing, into one folder of shards, and fetching, into a folder a split, with a manifest and
originals: check a folder, plan its slices, do them, sum them up."""

import collections
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from v2t_lib.captions_file import Record
from v2t_lib.errors import VERDICTS, DataError, writing
from v2t_lib.fetching.http import DEFAULT_POLICY, RetryPolicy
from v2t_lib.fetching.report import WAITING
from v2t_lib.files import locked, relative, replacing, write_json
from v2t_lib.progress import log
from v2t_lib.shards.format import DATASET_FILE, DatasetInfo, LeftOut, parsed
from v2t_lib.shards.plan import WHOLE, Folder, cut
from v2t_lib.shards.slices import (
    MANIFEST_FILE,
    last_verdicts,
    sum_up,
    warn_of_copies,
    write_manifest,
)
from v2t_lib.shards.work import CLIP_FOLDER, Slice, Task, do_slices
from v2t_lib.shards.workers import require_main_guard
from v2t_lib.specs import ClipSpec
from v2t_lib.text import checks

#: As `do_slices`: the slices, how, sources done before, and processes.
Do = Callable[[Sequence[Slice], Task, int, int | None], None]
#: How many clips of each split a fetched folder is to have.
SETTINGS_FILE = "fetch.json"
#: The folder of fetched clips that are in no split list.
NO_SPLIT = "all"


def pack(
    records: Sequence[Record],
    captions_file: str | Path,
    out: str | Path,
    spec: ClipSpec,
    workers: int | None = None,
    part: tuple[int, int] = WHOLE,
    do: Do = do_slices,
) -> DatasetInfo:
    """Decodes clips and writes shards; run again, it does what is missing, and nothing twice.

    Args:
        records: The clips; sources are URLs, or paths relative to `captions_file`.
        captions_file: Where the records were read from.
        out: The folder to write.
        spec: The size to decode to.
        workers: Decoding processes; as many as there are cores when left out.
        part: `(I, N)`: every Nth slice only, from the Ith on. The files of all parts, copied into
            one folder, are a whole.
        do: Does the slices, instead of this machine's processes.

    Raises:
        DataError: No clip at all could be packed, or `out` holds other clips or captions.
    """
    require_main_guard()
    task = Task(captions_file, Path(out), spec)
    with locked(out):
        folder = Folder(task.out, spec)
        folder.check(records, some=False)
        if todo := folder.plan(records, task, part):
            checks.warn([caption for record in records for caption in record.captions])
            do(todo, task, len(folder), workers)
        info = sum_up(task.out, spec)
        if info.clips and not todo:
            warn_of_newer(task.out, records, captions_file)
    warn_of_copies(task.out.with_name("train"), task.out)
    if not info.clips and part == WHOLE:
        first = info.left_out[0] if info.left_out else LeftOut("no clips", "empty", "")
        raise DataError(
            f"expected at least one clip that decodes. Received: {len(info.left_out)} left out, "
            f"the first {first.source} ({first.kind}: {first.why})"
        )
    return info


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

    Args, besides those of `pack`:
        records: The clips, or the first of them.
        spec: The size of the clips in shards; None for no shards.
        keep: Whether to keep originals; without shards they are kept in any case.

    Returns:
        What each split's shards hold, also of a split without any clip.

    Raises:
        DataError: The disk is full, a source is in two splits, or `out` holds other clips.
    """
    require_main_guard()
    task = Task(captions_file, Path(out), spec, keep or spec is None, policy)
    with locked(out):
        sources = _settings(task.out)
        splits: dict[str, list[Record]] = {split: [] for split in sources}
        for record in dict.fromkeys(records):
            splits.setdefault(record.split or NO_SPLIT, []).append(record)
        folders = {split: Folder(task.out / split, spec) for split in splits}
        _check(task, splits, folders)
        todo = []
        for split, of in splits.items():
            folders[split].check(of, some=True)
            todo += folders[split].plan(of, task, part)
            count = sum(map(len, cut(of, part).values()))
            sources[split] = max(sources.get(split, 0), count, len(folders[split]))
        with writing(task.out):
            write_json(task.out / SETTINGS_FILE, {"sources": sources})
        if todo:
            do(todo, task, sum(map(len, folders.values())), workers)
        _write_tables(task, splits)
        return {split: sum_up(task.out / split, spec) for split in splits} if spec else {}


def _settings(out: Path) -> dict[str, int]:
    """How many clips of each split earlier runs were to fetch."""
    path = out / SETTINGS_FILE
    if not path.exists():
        return {}
    sources = parsed(lambda settings: settings["sources"].items(), path, "what `v2t fetch` writes")
    return {split or NO_SPLIT: int(count) for split, count in sources}


def _check(task: Task, splits: dict[str, list[Record]], folders: dict[str, Folder]) -> None:
    """Refuses a source in two splits, and to overwrite files that aren't ours."""
    home = {source: split for split, folder in folders.items() for source in folder}
    for split, records in splits.items():
        for record in records:
            if (other := home.setdefault(record.source, split)) != split:
                raise DataError(
                    f"expected every source in one split only. Received: {record.source!r} in "
                    f"{split} and, now or in an earlier run, in {other}; what training has seen, "
                    "no test can use"
                )
    names = [] if any(map(len, folders.values())) else [MANIFEST_FILE]
    if task.keep:
        names += [f"{CLIP_FOLDER}/{split}.tsv" for split, of in folders.items() if not len(of)]
    for name in names:
        if (task.out / name).exists():
            raise DataError(
                f"{task.out / name}: expected no file of that name. Received: one of somebody "
                "else's, or of an earlier version; name another folder (--out)"
            )


def _write_tables(task: Task, splits: Iterable[str]) -> None:
    """Writes `manifest.tsv` and, of originals, captions files."""
    rows = (row for split in splits for row in last_verdicts(task.out / split))
    write_manifest(task.out / MANIFEST_FILE, rows)
    for split in splits:
        warn_of_copies(task.out / "train", task.out / split)
    for split in splits if task.keep else ():
        path = task.out / CLIP_FOLDER / f"{split}.tsv"
        with (
            writing(path),
            replacing(path) as temporary,
            open(temporary, "w", encoding="utf-8", newline="\n") as file,
        ):
            for row in filter(lambda row: row.file, last_verdicts(task.out / split)):
                name = relative(row.file, CLIP_FOLDER)
                file.writelines(f"{name}\t{caption}\n" for caption in row.captions)


def warn_of_newer(out: Path, records: Sequence[Record], captions_file: str | Path) -> None:
    """Says which clips were written after their finished shards, which may show something else."""
    packed = os.path.getmtime(out / DATASET_FILE)
    paths = {record.path(captions_file): record.source for record in records}
    newer = [s for p, s in paths.items() if os.path.isfile(p) and os.path.getmtime(p) > packed]
    if newer:
        log.warning(
            "%s: %d of %d clips are newer than these shards, %r for one; if they show something "
            "else now, pack into another folder",
            *(out, len(newer), len(paths), newer[0]),
        )


def coverage(folder: str | Path) -> dict:
    """Counts the clips of a fetched folder, or else of all parts (`part-I-of-N`) in it together.

    Returns:
        `have` and `of`, the numbers of clips fetched and asked for, and `splits`: for each split
        its `of` and its `verdicts`, which map a verdict, or `"waiting"`, to a number of clips.
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
        sources.update(settings := _settings(run))
        for split in settings:
            verdicts[split].update(row.verdict for row in last_verdicts(run / split))
    splits = {}
    for split, count in sources.items():
        counts = verdicts[split]
        counts[WAITING] = max(0, count - counts.total())
        found = {name: counts[name] for name in (*VERDICTS, WAITING) if counts[name]}
        splits[split] = {"of": count, "verdicts": found}
    have = sum(counts["ok"] for counts in verdicts.values())
    return {"have": have, "of": sources.total(), "splits": splits}
