"""The commands on a cluster: each slice of the input is a task, on whichever machine.

A task works in a folder of its own, with the code of a single machine, and puts whole files into
the output folder, what makes the slice done last. So a task that is lost, tried again or run twice
does no harm, and a second run has only what is missing to do.
"""

import contextlib
import dataclasses
import functools
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from v2t_lib import __version__
from v2t_lib.captions_file import Record
from v2t_lib.cluster.session import Cluster, session
from v2t_lib.cluster.storage import Storage
from v2t_lib.errors import ClusterError
from v2t_lib.fetching.http import RetryPolicy
from v2t_lib.shards.example import judge
from v2t_lib.shards.format import DATASET_FILE, DatasetInfo
from v2t_lib.shards.pack import NO_SPLIT, SETTINGS_FILE, coverage, fetch, pack
from v2t_lib.shards.plan import check_ours
from v2t_lib.shards.slices import shard_name, slice_name
from v2t_lib.shards.verdicts import MANIFEST_FILE
from v2t_lib.shards.work import CLIP_FOLDER, Slice, Task, do_slices
from v2t_lib.shards.workers import Workers
from v2t_lib.specs import ClipSpec

#: Times that slices are done which aren't whole afterwards.
ROUNDS = 3
_SLICE_NAME = re.compile(r"\d{5,}\.json")


def check_version(version: str) -> None:
    """Refuses to run on a worker with another version than the driver's."""
    if version != __version__:
        raise ClusterError(f"expected v2t_lib {version} on every worker. Received: {__version__}")


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
        ClusterError: See `session`, `Cluster.check` and `Cluster.run`.
        DataError: As `pack`.
    """
    with cluster_for(master, place) as (cluster, out), _folder(out, [""]) as folder:
        do = functools.partial(_do_all, cluster, out)
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
        ClusterError: See `session`, `Cluster.check` and `Cluster.run`.
        DataError: As `fetch`.
    """
    splits = {record.split or NO_SPLIT for record in records}
    with cluster_for(master, place) as (cluster, out), _folder(out, ["", *splits]) as folder:
        do = functools.partial(_do_all, cluster, out)
        policy = dataclasses.replace(policy, per_host=max(1, policy.per_host // cluster.slots))
        captions = os.path.abspath(captions)
        fetch(records, captions, folder, spec=spec, keep=keep, policy=policy, do=do)
        return coverage(folder)


@contextlib.contextmanager
def _folder(out: Storage, names: Iterable[str]) -> Iterator[Path]:
    """The output folder as a path: itself, or a local one in its place, which has what describes
    the slices, and empty files of the same sizes for all others."""
    if out.local is not None:
        yield out.local
        return
    with tempfile.TemporaryDirectory(prefix="v2t-") as home:
        folder = Path(home)
        _mirror(out, folder, SETTINGS_FILE)
        if (folder / SETTINGS_FILE).exists():
            earlier = json.loads((folder / SETTINGS_FILE).read_text("utf-8"))["sources"]
            names = dict.fromkeys([*names, *earlier, CLIP_FOLDER])
        for name in names:
            for file, size in out.sizes(name).items():
                _mirror(out, folder, f"{name}/{file}".lstrip("/"), size)
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        yield folder
        for path in folder.rglob("*"):
            named = path.suffix in (".json", ".tsv") and not _SLICE_NAME.fullmatch(path.name)
            if named and path.stat().st_mtime_ns != before.get(path):
                out.put(path, path.relative_to(folder).as_posix())


def _mirror(out: Storage, folder: Path, name: str, size: int = -1) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    read = path.name in (DATASET_FILE, MANIFEST_FILE, SETTINGS_FILE)
    if read or _SLICE_NAME.fullmatch(path.name):
        if size >= 0 or out.exists(name):
            out.get(name, path)
    elif size >= 0:
        path.touch()
        os.truncate(path, size)


def _do_all(
    cluster: Cluster,
    out: Storage,
    slices: Sequence[Slice],
    task: Task,
    done: int = 0,
    workers: int | None = None,
) -> None:
    """Does slices as `do_slices` does, each in a task of its own."""
    home, there = task.out, dataclasses.replace(task, out=Path())
    todo = [one._replace(folder=one.folder.relative_to(home)) for one in slices]
    for _ in range(ROUNDS):
        cluster.run(functools.partial(_do, __version__, out, there), todo)
        sizes = {folder: out.sizes(_name(folder)) for folder in {one.folder for one in todo}}
        if out.local is None:
            for folder, files in sizes.items():
                for file, size in files.items():
                    if not (home / folder / file).exists():
                        _mirror(out, home, _name(folder / file), size)
        # Of two tasks for one slice, one may have been ended between its two files.
        todo = [one for one in todo if not _is_whole(one, home, sizes[one.folder])]
        if not todo:
            return
    raise ClusterError(
        f"expected every slice to be in {out.url}. Received: {len(todo)} that aren't, after "
        f"{ROUNDS} attempts; what is there is kept: run the same command again"
    )


def _name(path: Path) -> str:
    """A relative path as a name in the output folder."""
    return "" if path == Path() else path.as_posix()


def _is_whole(one: Slice, home: Path, sizes: dict[str, int]) -> bool:
    path = home / one.folder / slice_name(one.number)
    if not path.exists():
        return bool(one.before)  # tried again, and nothing has changed
    described = json.loads(path.read_text("utf-8"))
    return not described["clips"] or sizes.get(shard_name(one.number)) == described["bytes"]


@functools.cache
def _pool() -> Workers:
    """A worker's process that decodes, kept for its further tasks."""
    return Workers(1, judge)


def _do(version: str, out: Storage, task: Task, one: Slice) -> None:
    """Runs on a worker: does a slice, unless another attempt was quicker.

    Args:
        version: The driver's version of this library.
        out: The output folder.
        task: How; its `out` stands for the output folder.
        one: The slice, its folder relative to that.
    """
    check_version(version)
    done, shard = (
        (one.folder / name).as_posix() for name in (slice_name(one.number), shard_name(one.number))
    )
    with scratch_folder() as scratch:
        local = dataclasses.replace(task, out=scratch)
        do_slices([one._replace(folder=scratch / one.folder)], local, pool=_pool())
        files = [path for path in scratch.rglob("*") if path.is_file()]
        if out.exists(shard) and not out.exists(done):
            out.get(shard, scratch / "there")
            check_ours(scratch / "there", one.records)
        for path in sorted(files, key=lambda path: path == scratch / done):
            out.put(path, path.relative_to(scratch).as_posix())


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder in Spark's own, which is deleted even if a task is killed."""
    home = os.environ.get("SPARK_LOCAL_DIRS", "").split(",")[0]
    with tempfile.TemporaryDirectory(prefix="v2t-", dir=home or None) as folder:
        yield Path(folder)
