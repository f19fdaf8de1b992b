"""The commands on a cluster: each slice of the input is a task, on whichever machine.

A task works in a folder of its own, with the code of a single machine, and puts whole files into
the output folder, what makes the slice done last. So a task that is lost, tried again or run twice
does no harm, and a second run has only what is missing to do.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from v2t_lib import __version__
from v2t_lib.captions_file import Pair, Record, is_url, read_pairs, without_password
from v2t_lib.clips.files import clips_in
from v2t_lib.cluster.session import Cluster, session
from v2t_lib.cluster.storage import Storage
from v2t_lib.errors import ClusterError, DataError, V2TError
from v2t_lib.fetching.download import RetryPolicy
from v2t_lib.files import locked
from v2t_lib.shards.example import judge
from v2t_lib.shards.format import DATASET_FILE, MANIFEST_FILE, DatasetInfo, shard_name, slice_name
from v2t_lib.shards.pack import NO_SPLIT, SETTINGS_FILE, coverage, fetch, pack
from v2t_lib.shards.plan import SOURCES, check_ours
from v2t_lib.shards.slices import CLIP_FOLDER, Slice, Task, do_slices
from v2t_lib.shards.workers import Workers
from v2t_lib.specs import ClipSpec

_SLICE_NAME = re.compile(r"\d{5,}\.json")


@contextlib.contextmanager
def _cluster(master: str, place: str | Path) -> Iterator[tuple[Cluster, Storage]]:
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
    with _cluster(master, place) as (cluster, out), _folder(out, [""]) as folder:
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
    with _cluster(master, place) as (cluster, out), _folder(out, ["", *splits]) as folder:
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
    cluster: Cluster, out: Storage, slices: Sequence[Slice], task: Task, done: int = 0
) -> None:
    """Does slices as `do_slices` does, each in a task of its own."""
    home, there = task.out, dataclasses.replace(task, out=Path())
    todo = [one._replace(folder=one.folder.relative_to(home)) for one in slices]
    while todo:
        cluster.run(functools.partial(_do, __version__, out, there), todo)
        sizes = {name: out.sizes(name) for name in {one.folder.as_posix() for one in todo}}
        if out.local is None:
            for folder, files in sizes.items():
                for file, size in files.items():
                    if not (home / folder / file).exists():
                        _mirror(out, home, f"{folder}/{file}", size)
        # Of two tasks for one slice, one may have been ended between its two files.
        todo = [one for one in todo if not _is_whole(one, home, sizes[one.folder.as_posix()])]


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
    if version != __version__:
        raise ClusterError(f"expected v2t_lib {version} on every worker. Received: {__version__}")
    done, shard = (
        (one.folder / name).as_posix() for name in (slice_name(one.number), shard_name(one.number))
    )
    with _scratch() as scratch:
        local = dataclasses.replace(task, out=scratch)
        do_slices([one._replace(folder=scratch / one.folder)], local, _pool())
        files = [path for path in scratch.rglob("*") if path.is_file()]
        if out.exists(shard) and not out.exists(done):
            out.get(shard, scratch / "there")
            check_ours(scratch / "there", one.records)
        for path in sorted(files, key=lambda path: path == scratch / done):
            out.put(path, path.relative_to(scratch).as_posix())


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """A folder in Spark's own, which is deleted even if a task is killed."""
    home = os.environ.get("SPARK_LOCAL_DIRS", "").split(",")[0]
    with tempfile.TemporaryDirectory(prefix="v2t-", dir=home or None) as folder:
        yield Path(folder)


def caption_clips(
    master: str, files: Sequence[str], model: Path, beam: int, place: str | Path, parquet: bool
) -> tuple[int, int]:
    """Captions clips into the table `captions` in a folder, with the rows of `v2t caption --json`.

    Args:
        master: The cluster, see `session`.
        files: Clips, folders of clips, and TSV or TXT lists of clips, a row each.
        model: The model's file.
        beam: Beams of the search.
        place: The output folder: a shared path or a URL.
        parquet: Whether the table is a Parquet file, rather than one of JSON lines.

    Returns:
        The number of clips, and of those without a caption.

    Raises:
        ClusterError: See `session`, `Cluster.check` and `Cluster.run`.
        DataError: A list can't be read, or the folder has another table.
    """
    rows = [{"file": name, "source": _absolute(name)} for name in clips_in(*files)]
    work = functools.partial(_captions, model.name, beam)
    return _tabulate(master, "captions", rows, work, [beam], model, place, parquet)


def verify_claims(
    master: str, pairs: Path, model: Path, place: str | Path, parquet: bool
) -> tuple[int, int]:
    """Verifies pairs into the table `verdicts` in a folder, with the rows of `v2t verify --json`.

    Args:
        master: The cluster, see `session`.
        pairs: A TSV as `read_pairs` takes it.
        model: The model's file.
        place: The output folder: a shared path or a URL.
        parquet: Whether the table is a Parquet file, rather than one of JSON lines.

    Returns:
        The number of pairs, and of those not judged.

    Raises:
        ClusterError: See `session`, `Cluster.check` and `Cluster.run`.
        DataError: The pairs can't be read, or the folder has another table.
    """
    rows = [
        dataclasses.asdict(pair) | {"source": _absolute(pair.source)} for pair in read_pairs(pairs)
    ]
    work = functools.partial(_verdicts, model.name)
    return _tabulate(master, "verdicts", rows, work, [], model, place, parquet)


def _absolute(source: str) -> str:
    return source if is_url(source) else os.path.abspath(source)


@functools.cache
def _captioner(model: str):
    """The model, loaded once a worker process; it takes as many threads as Spark gives a task."""
    from pyspark import SparkFiles

    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    from v2t_lib.models.saving import load

    return load(SparkFiles.get(model))


def _captions(model: str, beam: int, rows: Sequence[dict]) -> Iterator[dict]:
    captioner = _captioner(model)
    for row in rows:
        file = without_password(row["file"])
        try:
            yield captioner.caption(row["source"], beam=beam).to_dict(file)
        except V2TError as error:
            yield {"file": file, "error": str(error)}


def _verdicts(model: str, rows: Sequence[dict]) -> Iterator[dict]:
    from v2t_lib.models.verify_pairs import verify_pairs

    results = verify_pairs(_captioner(model), [Pair(**row) for row in rows])
    yield from (result.to_dict() for result in results)


def _tabulate(
    master: str,
    name: str,
    rows: list[dict],
    work: Callable,
    options: list,
    model: Path,
    place: str | Path,
    parquet: bool,
) -> tuple[int, int]:
    """Writes a table of what `work` makes of rows, a task for each 256 of them."""
    schema, table = (
        _schema(name) if parquet else None,
        f"{name}.{'parquet' if parquet else 'jsonl'}",
    )
    digest = hashlib.sha256(json.dumps([rows, options]).encode() + _read(model)).hexdigest()
    folder = f"{name}-{digest[:12]}"
    with _cluster(master, place) as (cluster, out), contextlib.ExitStack() as stack:
        if out.local:
            stack.enter_context(locked(out.local))
        there = out.sizes(folder)
        if not there and out.exists(table):
            raise DataError(
                f"{out.url}: expected a table of the same clips, model and options. Received: one "
                "of others; name another folder (--out)"
            )
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="v2t-")))
        cuts = {f"{n:05d}.jsonl": rows[n * SOURCES : (n + 1) * SOURCES] for n in _cuts(rows)}
        found = {part: _part(out, home, f"{folder}/{part}") for part in cuts if part in there}
        tasks = [
            (f"{folder}/{part}", cut)
            for part, cut in cuts.items()
            if part not in found or any(_passing(line) for line in found[part])
        ]
        cluster.send(model)
        cluster.run(functools.partial(_write_part, __version__, out, work), tasks)
        failed = 0
        with _table(home / table, schema) as write:
            for part in cuts:
                lines = _part(out, home, f"{folder}/{part}")
                failed += sum("error" in json.loads(line) for line in lines)
                write(lines)
        out.put(home / table, table)
    return len(rows), failed


def _cuts(rows: list[dict]) -> range:
    return range(-(-len(rows) // SOURCES))


def _read(model: Path) -> bytes:
    try:
        return model.read_bytes()
    except OSError as error:
        raise DataError(f"expected a model at {model}. Received: {error.strerror}") from None


def _part(out: Storage, home: Path, name: str) -> list[str]:
    """The lines of a part of the table."""
    out.get(name, home / "part")
    return (home / "part").read_text("utf-8").split("\n")[:-1]


def _passing(line: str) -> bool:
    """Whether a row's clip wasn't reachable, and is worth another try."""
    return json.loads(line).get("error", "").startswith("unreachable:")


def _write_part(version: str, out: Storage, work: Callable, item: tuple[str, list[dict]]) -> None:
    """Runs on a worker: makes a part of the table."""
    if version != __version__:
        raise ClusterError(f"expected v2t_lib {version} on every worker. Received: {__version__}")
    name, rows = item
    with _scratch() as scratch:
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in work(rows))
        (scratch / "part").write_text("".join(lines), encoding="utf-8", newline="\n")
        out.put(scratch / "part", name)


@contextlib.contextmanager
def _table(path: Path, schema: Any) -> Iterator[Callable[[list[str]], object]]:
    """A function that appends rows, given as lines of JSON."""
    if schema is None:
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            yield lambda lines: file.writelines(f"{line}\n" for line in lines)
        return
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    with ParquetWriter(path, schema) as writer:
        yield lambda lines: writer.write_table(
            pyarrow.Table.from_pylist(list(map(json.loads, lines)), schema)
        )


def _schema(name: str):
    """The columns of a Parquet table, those of the rows that the commands print."""
    try:
        import pyarrow as pa
    except ImportError as error:
        raise ClusterError(
            f"expected the package pyarrow for Parquet. Received: {error}; pip install "
            "'v2t_lib[spark]'"
        ) from None
    text, number, whole = pa.string(), pa.float64(), pa.int64()
    where = [("frame", whole), ("seconds", number)]
    if name == "captions":
        word = pa.struct([("word", text), ("prob", number), *where])
        columns = [("file", text), ("caption", text), ("log_prob", number)]
        return pa.schema([*columns, ("words", pa.list_(word)), ("error", text)])
    word = pa.struct([("word", text), ("lift", number), ("instead", text)])
    columns = [("file", text), ("sentence", text), ("score", number), ("match", number)]
    columns += [("probability", number), ("verdict", text), *where, ("words", pa.list_(word))]
    return pa.schema([*columns, ("unlike_training", pa.bool_()), ("error", text)])
