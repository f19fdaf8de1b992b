"""The commands on a cluster: each slice of the input is a task, on whichever machine.

A task works in a folder of its own, with the code of a single machine, and puts whole files into
the output folder, what makes the slice done last. So a task that is lost, tried again or run twice
does no harm, and a second run has only what is missing to do.
"""

import contextlib
import dataclasses
import functools
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from v2t_lib.captions_file import Record
from v2t_lib.cluster.session import Cluster, session
from v2t_lib.cluster.storage import Storage
from v2t_lib.errors import ClusterError
from v2t_lib.fetching.http import RetryPolicy
from v2t_lib.shards.example import judge
from v2t_lib.shards.format import DatasetInfo
from v2t_lib.shards.pack import SETTINGS_FILE, coverage, fetch, pack
from v2t_lib.shards.slices import slice_name, slices_in
from v2t_lib.shards.work import Slice, Task, do_slices
from v2t_lib.shards.workers import Workers
from v2t_lib.specs import ClipSpec

#: Times that tasks are run whose files aren't there afterwards.
ROUNDS = 3
_OF_A_SLICE = re.compile(r"(.*/)?\d{5,}\.(json|tfrecord)")


@contextlib.contextmanager
def cluster_for(master: str, place: str | Path) -> Iterator[tuple[Cluster, Storage]]:
    """A cluster whose workers see the output folder; a run that can't begin leaves nothing."""
    out = Storage.of(place)
    try:
        out.probe()
        with session(master) as cluster:
            cluster.check(out)
            yield cluster, out
    finally:
        with contextlib.suppress(ClusterError):
            out.tidy()


def do_all(
    cluster: Cluster,
    out: Storage,
    make: Callable,
    items: Sequence,
    left: Callable[[Sequence], list],
) -> None:
    """Makes the files of items, each in a task of its own, until none is left.

    Args:
        cluster: Runs the tasks.
        out: Where the files go.
        make: `make(item, folder)` runs on a worker and writes the item's files into a folder.
        items: What to make.
        left: Those of the items whose files aren't all in `out`.

    Raises:
        ClusterError: See `Cluster.run`; or some are still left after several rounds.
    """
    for _ in range(ROUNDS):
        if not items:
            return
        cluster.run(functools.partial(_put, out, make), items)
        items = left(items)
    if items:
        raise ClusterError(
            f"expected the files of every task to be in {out.url}. Received: {len(items)} tasks "
            f"without, after {ROUNDS} attempts; run the same command again, which keeps the others"
        )


def _put(out: Storage, make: Callable, item: Any) -> None:
    """Runs on a worker: puts an item's files, JSON last. Its folder is in Spark's own, which is
    deleted even if the task is killed."""
    home = os.environ.get("SPARK_LOCAL_DIRS", "").split(",")[0]
    with tempfile.TemporaryDirectory(prefix="v2t-", dir=home or None) as folder:
        make(item, Path(folder))
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        for path in sorted(files, key=lambda path: path.suffix == ".json"):
            out.put(path, path.relative_to(folder).as_posix())


def pack_clips(
    master: str,
    records: Sequence[Record],
    captions: str | Path,
    place: str | Path,
    spec: ClipSpec,
) -> DatasetInfo:
    """Packs clips as `pack` does; local ones have to lie under the same paths on all machines.

    Args:
        master: The cluster, see `session`.
        records: The clips; sources are URLs, or paths relative to `captions`.
        captions: The captions file.
        place: The output folder: a shared path or a URL.
        spec: The size to decode to.

    Raises:
        ClusterError: See `session`, `Cluster.check` and `do_all`.
        DataError: As `pack`.
    """
    with cluster_for(master, place) as (cluster, out), _folder(out) as folder:
        do = functools.partial(_do_slices, cluster, out)
        return pack(records, os.path.abspath(captions), folder, spec, do=do)


def fetch_clips(
    master: str,
    records: Sequence[Record],
    captions: str | Path,
    place: str | Path,
    *,
    spec: ClipSpec | None,
    keep: bool,
    policy: RetryPolicy,
) -> dict:
    """Fetches clips as `fetch` does, whose arguments these are; `per_host` is for all tasks
    together, as far as each may have one connection.

    Returns:
        The verdicts counted, as `coverage` does.

    Raises:
        ClusterError: See `session`, `Cluster.check` and `do_all`.
        DataError: As `fetch`.
    """
    with cluster_for(master, place) as (cluster, out), _folder(out) as folder:
        do = functools.partial(_do_slices, cluster, out)
        policy = dataclasses.replace(policy, per_host=max(1, policy.per_host // cluster.slots))
        captions = os.path.abspath(captions)
        fetch(records, captions, folder, spec=spec, keep=keep, policy=policy, do=do)
        return coverage(folder)


def _do_slices(
    cluster: Cluster,
    out: Storage,
    slices: Sequence[Slice],
    task: Task,
    done: int = 0,
    workers: int | None = None,
) -> None:
    """Does slices as `do_slices` does, each in a task of its own."""
    home, relative = task.out, dataclasses.replace(task, out=Path())

    def left(slices: Sequence[Slice]) -> list[Slice]:
        if out.local is None:
            _mirror(out, home, slices_only=True)
        # Of two tasks for one slice, one may have been ended between its two files.
        whole = {
            (folder, one.number)
            for folder in {one.folder for one in slices}
            for one in slices_in(home / folder)
            if one.is_whole(home / folder)
        }
        return [
            one
            for one in slices
            if (one.folder, one.number) not in whole
            # Of one that is tried again there is no file if nothing has changed.
            and not (one.before and not (home / one.folder / slice_name(one.number)).exists())
        ]

    items = [one._replace(folder=one.folder.relative_to(home)) for one in slices]
    do_all(cluster, out, functools.partial(_do_slice, relative), items, left)


@functools.cache
def _pool() -> Workers:
    """A worker's process that decodes, kept for its further tasks."""
    return Workers(1, judge)


def _do_slice(task: Task, one: Slice, folder: Path) -> None:
    local = dataclasses.replace(task, out=folder)
    do_slices([one._replace(folder=folder / one.folder)], local, pool=_pool())


@contextlib.contextmanager
def _folder(out: Storage) -> Iterator[Path]:
    """The output folder as a path: itself, or a local mirror, whose new JSON and TSV files are put
    into it after the block."""
    if out.local is not None:
        yield out.local
        return
    with tempfile.TemporaryDirectory(prefix="v2t-") as home:
        _mirror(out, Path(home))
        before = {path: path.stat().st_mtime_ns for path in Path(home).rglob("*")}
        yield Path(home)
        for path in Path(home).rglob("*.[jt]s*"):
            if not _OF_A_SLICE.fullmatch(path.name) and path.stat().st_mtime_ns != before.get(path):
                out.put(path, path.relative_to(home).as_posix())


def _mirror(out: Storage, folder: Path, slices_only: bool = False) -> None:
    """Copies what describes the slices, and makes empty files of the same sizes for all others.

    A shard that no slice has is copied too, as `Folder.plan` looks whether it is ours.
    """
    there, read = out.sizes(), []
    for name, size in there.items():
        is_shard = name.endswith(".tfrecord")
        if _OF_A_SLICE.fullmatch(name):
            empty = is_shard and f"{name.removesuffix('.tfrecord')}.json" in there
        elif slices_only:
            continue
        else:
            empty = name != SETTINGS_FILE
        if not empty:
            read.append(name)
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
        os.truncate(folder / name, size)
    out.get(read, folder)
