"""Captions and verdicts of many clips as one table, each 256 of its rows made by a task."""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from v2t_lib.captions_file import Pair, is_url, read_pairs, without_password
from v2t_lib.clips.files import clips_in
from v2t_lib.cluster.storage import Storage
from v2t_lib.cluster.tasks import cluster_for, do_all
from v2t_lib.errors import ClipError, DataError
from v2t_lib.files import locked
from v2t_lib.shards.format import digest_of

#: Rows a task.
ROWS = 256


def caption_clips(
    master: str, files: Sequence[str], model: Path, beam: int, place: str | Path, parquet: bool
) -> tuple[int, int]:
    """Captions what `clips_in` finds into the table `captions`, with the rows of
    `v2t caption --json`; see `_tabulate`."""
    rows = [{"file": name, "source": _absolute(name)} for name in clips_in(*files)]
    work = functools.partial(_captions, model.name, beam)
    return _tabulate(master, "captions", rows, work, [beam], model, place, parquet)


def verify_claims(
    master: str, pairs: Path, model: Path, place: str | Path, parquet: bool
) -> tuple[int, int]:
    """Verifies what `read_pairs` reads into the table `verdicts`, with the rows of
    `v2t verify --json`; see `_tabulate`."""
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


def _captions(model: str, beam: int, rows: Sequence[dict]) -> Iterable[dict]:
    from v2t_lib.models.over_clips import captions

    found = captions(_captioner(model), [row["source"] for row in rows], beam, workers=1)
    for row, (_, caption) in zip(rows, found, strict=True):
        file = without_password(row["file"])
        if isinstance(caption, ClipError):
            yield {"file": file, "error": str(caption)}
        else:
            yield caption.to_dict(file)


def _verdicts(model: str, rows: Sequence[dict]) -> Iterable[dict]:
    from v2t_lib.models.verify_pairs import verify_pairs

    results = verify_pairs(_captioner(model), [Pair(**row) for row in rows], workers=1)
    return (result.to_dict() for result in results)


def _part(work: Callable, item: tuple[str, list[dict]], folder: Path) -> None:
    """Runs on a worker: writes a part of the table."""
    name, rows = item
    (folder / name).parent.mkdir()
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in work(rows))
    (folder / name).write_text("".join(lines), encoding="utf-8", newline="\n")


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
    """Writes a table of what `work` makes of rows: its parts, and then their sum.

    Args:
        master: The cluster, see `session`.
        name: The table's.
        rows: What its rows are made of.
        work: From some of them to rows that JSON can hold; runs on workers.
        options: What else decides the rows.
        model: The model's file.
        place: The output folder: a shared path or a URL.
        parquet: Whether the table is a Parquet file, rather than one of JSON lines.

    Returns:
        The number of rows, and of those that are errors.

    Raises:
        ClusterError: See `session`, `Cluster.check` and `do_all`.
        DataError: The folder has another table.
    """
    schema = _schema(name) if parquet else None
    table = f"{name}.{'parquet' if parquet else 'jsonl'}"
    folder = f"{name}-{digest_of(rows, options, _digest(model))[:12]}"
    numbers = range(-(-len(rows) // ROWS))
    parts = {f"{folder}/{n:05d}.jsonl": rows[n * ROWS : (n + 1) * ROWS] for n in numbers}
    with cluster_for(master, place) as (cluster, out), contextlib.ExitStack() as stack:
        if out.local:
            stack.enter_context(locked(out.local))
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="v2t-")))
        todo = _todo(out, home, parts, table)
        cluster.send(model)
        do_all(cluster, out, functools.partial(_part, work), todo, lambda items: _left(out, items))
        out.get(parts, home)
        _join([home / part for part in parts], home / table, schema)
        out.put(home / table, table)
        return len(rows), sum(_count(home / part, '"error": "') for part in parts)


def _todo(out: Storage, home: Path, parts: dict[str, list[dict]], table: str) -> list[tuple]:
    """The parts to make, with their rows; those that are kept are copied into `home`."""
    sizes = out.sizes()
    there = [part for part in parts if part in sizes]
    if table in sizes and not there:
        raise DataError(
            f"{out.url}: expected a table of the same clips, model and options. Received: one of "
            "others; name another folder (--out)"
        )
    out.get(there, home)
    # Clips that weren't reachable are worth another try.
    kept = {part for part in there if _count(home / part, '"error": "unreachable:') == 0}
    return [item for item in parts.items() if item[0] not in kept]


def _digest(model: Path) -> str:
    try:
        return hashlib.sha256(model.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"expected a model at {model}. Received: {error.strerror}") from None


def _left(out: Storage, items: Sequence[tuple[str, list[dict]]]) -> list:
    there = out.sizes()
    return [item for item in items if item[0] not in there]


def _count(path: Path, what: str) -> int:
    """How often this is in a file; a sentence can't hold it, as JSON escapes quotation marks."""
    return path.read_text("utf-8").count(what)


def _join(parts: Sequence[Path], table: Path, schema) -> None:
    """Writes parts of JSON lines as one table; with a `schema` as Parquet."""
    lines = table.with_suffix(".jsonl")
    with open(lines, "wb") as whole:
        for part in parts:
            whole.write(part.read_bytes())
    if schema is not None:
        from pyarrow import json, parquet

        read = json.ReadOptions(block_size=2**24)  # more than any line
        rows = json.read_json(lines, read, json.ParseOptions(explicit_schema=schema))
        parquet.write_table(rows, table)


def _schema(name: str):
    """The columns of a Parquet table, those of the rows that the commands print."""
    import pyarrow as pa

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
