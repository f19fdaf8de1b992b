"""The commands on a cluster: what each plans, what its tasks do, what becomes of the results."""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from v2t_lib.captions_file import is_url, iter_pairs
from v2t_lib.clips.files import clips_in
from v2t_lib.cluster.jobs import CaptionJob, FetchJob, PackJob, VerifyJob
from v2t_lib.cluster.plan import PLAN_FILE, Plan, begun_plan, digest_of, plan_clips, plan_rows
from v2t_lib.cluster.results import Joined, join_manifests, join_shards, join_tables
from v2t_lib.cluster.run import Job, run_job
from v2t_lib.cluster.session import Cluster, session
from v2t_lib.cluster.storage import Storage
from v2t_lib.errors import ClusterError, DataError
from v2t_lib.fetching.layout import NO_SPLIT
from v2t_lib.fetching.policy import RetryPolicy
from v2t_lib.specs import ClipSpec


@contextlib.contextmanager
def _begun(
    master: str, place: str | Path, settings: dict, make: Callable[[Storage, dict, int], Plan]
) -> Iterator[tuple[Cluster, Storage, Plan]]:
    """A cluster, the output folder, and the plan in it, which `make` makes if there is none.

    A run that fails before it has a plan leaves nothing.
    """
    out = Storage.of(place)
    try:
        out.probe()
        with session(master) as cluster:
            cluster.check(out)
            yield cluster, out, begun_plan(out, settings) or make(out, settings, cluster.slots)
            out.tidy()
    except BaseException:
        with contextlib.suppress(Exception):
            if not out.exists(PLAN_FILE):
                out.forsake()
        raise


def _settings(command: str, captions: str | Path, lists: Sequence[str | Path], spec) -> dict:
    return {
        "command": command,
        "captions_sha256": digest_of(captions),
        "splits": {Path(path).stem: digest_of(path) for path in lists},
        "shards": dataclasses.asdict(spec) if spec else None,
    }


def fetch_clips(
    master: str,
    captions: str | Path,
    lists: Sequence[str | Path],
    place: str | Path,
    *,
    spec: ClipSpec | None,
    keep: bool,
    policy: RetryPolicy,
) -> dict:
    """Downloads, judges and packs clips as `fetch` does; run again, it does what is missing.

    Args:
        master: The cluster, see `session`.
        captions: The captions file.
        lists: Split lists; all clips are taken without any.
        place: The output folder: a shared path or a URL.
        spec: As for `fetch`, and so are `keep` and `policy`, of which `per_host` is for all
            tasks together, as far as each may have one connection.

    Returns:
        The verdicts counted, as `coverage` does.

    Raises:
        ClusterError: See `session`, `Cluster.check` and `run_job`.
        DataError: The captions file or a list is unsuitable, or the folder was begun with others.
    """
    keep = keep or spec is None
    settings = _settings("fetch", captions, lists, spec) | {"keep": keep}
    splits = (list(settings["splits"]) or [NO_SPLIT]) if spec else []

    make = functools.partial(plan_clips, captions, lists)
    with _begun(master, place, settings, make) as (cluster, out, plan):
        policy = dataclasses.replace(policy, per_host=max(1, policy.per_host // cluster.slots))
        job = FetchJob(os.path.abspath(captions), spec, keep, policy)
        run_job(cluster, job, out, plan, splits)
        for split in splits:
            join_shards(out, plan, split)
        return join_manifests(out, plan)


def pack_clips(
    master: str,
    captions: str | Path,
    lists: Sequence[str | Path],
    place: str | Path,
    spec: ClipSpec,
) -> Joined:
    """Packs clips as `pack` does; the workers have to see them under the same paths.

    Args:
        master: The cluster, see `session`.
        captions: The captions file.
        lists: At most one split list.
        place: The output folder: a shared path or a URL.
        spec: The size to decode to.

    Raises:
        ClusterError: See `session`, `Cluster.check` and `run_job`.
        DataError: As `pack`.
    """
    settings = _settings("pack", captions, lists, spec)

    make = functools.partial(plan_clips, captions, lists)
    with _begun(master, place, settings, make) as (cluster, out, plan):
        run_job(cluster, PackJob(os.path.abspath(captions), spec), out, plan, [""])
        joined = join_shards(out, plan)
    if not joined.clips:
        raise DataError(
            f"expected at least one clip that decodes. Received: {joined.left_out.total()} left "
            f"out, the first {joined.first or 'no clips'}"
        )
    return joined


def _named_clips(files: Sequence[str]) -> Iterator[dict]:
    """Every clip as it is named and where it is: files, those in folders, and those in lists."""
    for file in clips_in(*files):
        yield {"file": file, "source": _absolute(file)}


def _absolute(source: str) -> str:
    return source if is_url(source) else os.path.abspath(source)


def _pairs(path: Path) -> Iterator[dict]:
    for pair in iter_pairs(path):
        yield dataclasses.asdict(pair) | {"source": _absolute(pair.source)}


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
        ClusterError: See `session`, `Cluster.check` and `run_job`.
        DataError: A list can't be read, or the folder was begun with others.
    """
    schema = _caption_columns() if parquet else None
    job = CaptionJob(model.name, beam)
    return _tabulate(master, lambda: _named_clips(files), job, model, place, "captions", schema)


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
        ClusterError: See `session`, `Cluster.check` and `run_job`.
        DataError: The pairs can't be read, or the folder was begun with others.
    """
    schema = _verdict_columns() if parquet else None
    job = VerifyJob(model.name)
    return _tabulate(master, lambda: _pairs(pairs), job, model, place, "verdicts", schema)


def _tabulate(
    master: str, rows: Callable, job: Job, model: Path, place: str | Path, name: str, schema
) -> tuple[int, int]:
    count, digest = 0, hashlib.sha256()
    for row in rows():
        digest.update(json.dumps(row).encode() + b"\n")
        count += 1
    settings = {"command": name, "rows_sha256": digest.hexdigest(), "model": digest_of(model)}
    settings |= {"options": dataclasses.asdict(job)}
    make = functools.partial(plan_rows, rows(), count)
    with _begun(master, place, settings, make) as (cluster, out, plan):
        cluster.send(model)
        run_job(cluster, job, out, plan, [])
        return plan.rows, join_tables(out, plan, name, schema)


def _pyarrow():
    try:
        import pyarrow
    except ImportError as error:
        raise ClusterError(
            f"expected the package pyarrow for Parquet. Received: {error}; pip install "
            "'v2t_lib[spark]'"
        ) from None
    return pyarrow


def _caption_columns():
    pa = _pyarrow()
    word = {"word": pa.string(), "prob": pa.float64(), "frame": pa.int64(), "seconds": pa.float64()}
    columns = {"file": pa.string(), "caption": pa.string(), "log_prob": pa.float64()}
    words = pa.list_(pa.struct(list(word.items())))
    return pa.schema([*columns.items(), ("words", words), ("error", pa.string())])


def _verdict_columns():
    pa = _pyarrow()
    columns = {name: pa.string() for name in ("file", "sentence")}
    columns |= {name: pa.float64() for name in ("score", "match", "probability")}
    columns |= {"verdict": pa.string()}
    columns |= {"frame": pa.int64(), "seconds": pa.float64()}
    word = pa.struct([("word", pa.string()), ("lift", pa.float64()), ("instead", pa.string())])
    rest = [("words", pa.list_(word)), ("unlike_training", pa.bool_()), ("error", pa.string())]
    return pa.schema([*columns.items(), *rest])
