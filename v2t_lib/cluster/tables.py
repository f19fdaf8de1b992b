"""Captions and verdicts of many clips as one table, each slice of its rows made by a task."""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from v2t_lib import __version__
from v2t_lib.captions_file import Pair, is_url, read_pairs, without_password
from v2t_lib.clips.files import clips_in
from v2t_lib.cluster.storage import Storage
from v2t_lib.cluster.tasks import check_version, cluster_for, scratch_folder
from v2t_lib.errors import ClusterError, DataError, V2TError
from v2t_lib.files import locked

#: Rows a task.
ROWS = 256


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
    with cluster_for(master, place) as (cluster, out), contextlib.ExitStack() as stack:
        if out.local:
            stack.enter_context(locked(out.local))
        there = out.sizes(folder)
        if not there and out.exists(table):
            raise DataError(
                f"{out.url}: expected a table of the same clips, model and options. Received: one "
                "of others; name another folder (--out)"
            )
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="v2t-")))
        cuts = {f"{n:05d}.jsonl": rows[n * ROWS : (n + 1) * ROWS] for n in _cuts(rows)}
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
    return range(-(-len(rows) // ROWS))


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
    check_version(version)
    name, rows = item
    with scratch_folder() as scratch:
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
