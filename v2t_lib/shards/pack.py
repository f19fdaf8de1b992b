"""Packing: the slices of a captions file into one folder of shards."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from v2t_lib.captions_file import Record
from v2t_lib.errors import DataError
from v2t_lib.files import locked
from v2t_lib.progress import log
from v2t_lib.shards.format import DATASET_FILE, DatasetInfo, LeftOut
from v2t_lib.shards.plan import WHOLE, Folder
from v2t_lib.shards.slices import sum_up
from v2t_lib.shards.work import Slice, Task, do_slices
from v2t_lib.shards.workers import require_main_guard
from v2t_lib.specs import ClipSpec
from v2t_lib.text import checks

#: Does slices, as `do_slices`: the slices, how, sources done before, and processes.
Do = Callable[[Sequence[Slice], Task, int, int | None], None]


def part_folder(out: Path, part: tuple[int, int] | None) -> Path:
    """Where a part goes: a folder of its own in `out`."""
    return out / "part-{}-of-{}".format(*part) if part else out


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

    Returns:
        The data set's description, whose `left_out` names the clips that gave no frames.

    Raises:
        DataError: No clip at all could be packed, or `out` holds other clips or captions.
    """
    require_main_guard()
    records, out = list(records), Path(out)
    task = Task(captions_file, out, spec)
    with locked(out):
        folder = Folder(out, spec)
        folder.check(records, some=False)
        todo = folder.plan(records, task, part)
        if todo:
            checks.warn([caption for record in records for caption in record.captions])
            do(todo, task, len(folder), workers)
        info = sum_up(out, spec)
        if info.clips and not todo:
            warn_of_newer(out, records, captions_file)
    if not info.clips and part == WHOLE:
        first = info.left_out[0] if info.left_out else LeftOut("no clips", "empty", "")
        raise DataError(
            f"expected at least one clip that decodes. Received: {len(info.left_out)} left out, "
            f"the first {first.source} ({first.kind}: {first.why})"
        )
    return info


def warn_of_newer(out: Path, records: Sequence[Record], captions_file: str | Path) -> None:
    """Says which clips were written after their finished shards, which may show something else."""
    packed = os.path.getmtime(out / DATASET_FILE)
    paths = {record.source: record.path(captions_file) for record in records}
    newer = [
        s for s, path in paths.items() if os.path.isfile(path) and os.path.getmtime(path) > packed
    ]
    if newer:
        log.warning(
            "%s: %d of %d clips are newer than these shards, %r for one; if they show something "
            "else now, pack into another folder",
            *(out, len(newer), len(paths), newer[0]),
        )
