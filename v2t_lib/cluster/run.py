"""Running a job: one task a share, then one result out of all.

A task works in a folder of its own with the code of a single machine, and puts whole files into the
output folder: shards under names made from their content, then `_spark/shares/SHARE.zip` with all
that is small. A share is finished once it has that ZIP, so a task that is lost, tried again, or run
twice at the same time does no harm, and a second run has only what is missing to do.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from v2t_lib import __version__
from v2t_lib.cluster.plan import ROWS_FILE, Plan, digest_of, read_rows, share_name
from v2t_lib.cluster.session import Cluster
from v2t_lib.cluster.storage import PRIVATE, Storage, pack_zip, unpack_zip
from v2t_lib.errors import ClusterError

#: In a share's ZIP: which files it has published, as `{own name: [published name, bytes]}`.
PUBLISHED = "published.json"


class Job(Protocol):
    """What the tasks of a command do; it travels to the workers."""

    def work(self, rows: list, share: Path, folder: Path) -> None:
        """Works on a share's rows, which `share` holds as a file, and writes into `folder`.

        `folder` is empty, or holds what the share's last run left if that is `kept`.
        """

    def unfinished(self, folder: Path) -> bool:
        """Whether another run of a share may find more; `folder` has what its ZIP holds."""

    #: Whether `work` goes on from what an earlier run published.
    kept: bool


def zip_name(share: int) -> str:
    return f"{PRIVATE}/shares/{share_name(share)}.zip"


def _published_name(share: int, name: str, path: Path) -> str:
    """Where a share's file goes: `00000.tfrecord` becomes `SHARE-00000-DIGEST.tfrecord`.

    Originals are named after their sources, which no two shares have in common.
    """
    if path.suffix != ".tfrecord":
        return name
    file = f"{share_name(share)}-{path.stem}-{digest_of(path)[:8]}.tfrecord"
    return name.removesuffix(path.name) + file


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """A folder that a task writes into, in Spark's own, which is deleted even if a task is killed.

    Within it all temporary files go there.
    """
    home = os.environ.get("SPARK_LOCAL_DIRS", "").split(",")[0]
    before = tempfile.tempdir, os.environ.get("TMPDIR")
    with tempfile.TemporaryDirectory(prefix="v2t-", dir=home or None) as folder:
        tempfile.tempdir = os.environ["TMPDIR"] = folder
        try:
            yield Path(folder)
        finally:
            tempfile.tempdir = before[0]
            del os.environ["TMPDIR"]
            if before[1] is not None:
                os.environ["TMPDIR"] = before[1]


def run_share(version: str, job: Job, out: Storage, task: tuple[int, str]) -> None:
    """Runs on a worker: does one share, unless somebody else has done it meanwhile.

    Args:
        version: The driver's version of this library.
        job: What to do.
        out: The output folder.
        task: The share's number, and the digest of its ZIP as the driver has seen it, "" for none.
    """
    if version != __version__:
        raise ClusterError(f"expected v2t_lib {version} on every worker. Received: {__version__}")
    share, seen = task
    with _scratch() as scratch:
        state = out.read(zip_name(share))
        if _digest(state) != seen:
            return
        unpack_zip(out.read(f"{PRIVATE}/plan/{share_name(share)}.zip"), scratch / "share")
        rows, folder = read_rows(scratch / "share" / ROWS_FILE), scratch / "work"
        folder.mkdir()
        if state:
            unpack_zip(state, scratch / "before")
            if not job.unfinished(scratch / "before"):
                return
            if job.kept:
                _restore(out, scratch / "before", folder)
        job.work(rows, scratch / "share" / ROWS_FILE, folder)
        _publish(out, share, seen, folder)


def _digest(state: bytes) -> str:
    return hashlib.sha256(state).hexdigest() if state else ""


def _restore(out: Storage, before: Path, folder: Path) -> None:
    """Brings back what the share's last run has published."""
    for name, (published, _) in json.loads((before / PUBLISHED).read_text()).items():
        out.get(published, folder / name)
    (before / PUBLISHED).unlink()
    for path in [path for path in before.rglob("*") if path.is_file()]:
        target = folder / path.relative_to(before)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)


def _publish(out: Storage, share: int, seen: str, folder: Path) -> None:
    """Puts large files into their places, and then all others as the share's ZIP."""
    small, published = {}, {}
    whole = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".part")
    for path in sorted(whole):
        name = path.relative_to(folder).as_posix()
        if path.suffix in (".json", ".jsonl", ".tsv"):
            small[name] = path
            continue
        target, size = _published_name(share, name, path), path.stat().st_size
        published[name] = target, size
        out.put(path, target)
    small[PUBLISHED] = folder / PUBLISHED
    small[PUBLISHED].write_text(json.dumps(published))
    state = folder / "state.zip"
    pack_zip(state, small)
    if _digest(out.read(zip_name(share))) == seen:  # else another attempt was quicker
        out.put(state, zip_name(share))


@dataclasses.dataclass(frozen=True)
class Finished:
    """A share's results, of which the driver has one at a time.

    Attributes:
        folder: What its ZIP holds.
        digest: Of the ZIP.
        published: The files in the output folder, `{own name: (published name, bytes)}`.
    """

    folder: Path
    digest: str
    published: dict[str, tuple[str, int]]


def finished_shares(out: Storage, plan: Plan) -> Iterator[Finished | None]:
    """Yields every share's results in order, None for one without."""
    for share in range(plan.shares):
        state = out.read(zip_name(share))
        if not state:
            yield None
            continue
        with tempfile.TemporaryDirectory(prefix="v2t-share-") as folder:
            unpack_zip(state, Path(folder))
            published = json.loads((Path(folder) / PUBLISHED).read_text())
            yield Finished(Path(folder), _digest(state), published)


def _shards(done: Finished) -> dict[str, int]:
    return {name: size for name, size in done.published.values() if name.endswith(".tfrecord")}


def _tasks(out: Storage, plan: Plan, job: Job, folders: Sequence[str]) -> list[tuple[int, str]]:
    """The shares to do: those without results, without all of their shards, or unfinished."""
    there = {name: size for folder in folders for name, size in out.sizes(folder).items()}
    tasks = []
    for share, done in enumerate(finished_shares(out, plan)):
        if done is None:
            tasks.append((share, ""))
        elif any(there.get(name) != size for name, size in _shards(done).items()):
            out.remove(zip_name(share))
            tasks.append((share, ""))
        elif job.unfinished(done.folder):
            tasks.append((share, done.digest))
    return tasks


def _remove_orphans(out: Storage, plan: Plan, folders: Sequence[str]) -> None:
    """Deletes shards of tasks that others have been quicker than."""
    wanted = {name for done in finished_shares(out, plan) if done for name in _shards(done)}
    there = (name for folder in folders for name in out.sizes(folder))
    made = (name for name in there if re.search(r"(^|/)[0-9]{5}-[^/]*[.]tfrecord$", name))
    out.remove(*(name for name in made if name not in wanted))


def run_job(cluster: Cluster, job: Job, out: Storage, plan: Plan, folders: Sequence[str]) -> None:
    """Does all shares that are missing.

    Args:
        cluster: Where tasks run.
        job: What they do.
        out: The output folder.
        plan: The shares.
        folders: The folders in `out` that tasks put shards into.

    Raises:
        ClusterError: A task failed several times; what others have finished is kept.
    """
    if tasks := _tasks(out, plan, job, folders):
        cluster.run(functools.partial(run_share, __version__, job, out), tasks)
        _remove_orphans(out, plan, folders)
