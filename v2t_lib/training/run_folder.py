"""A run's folder, which one training at a time writes and none overwrites by mistake, and its copy
on a second drive."""

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from v2t_lib.errors import DataError, TrainingError
from v2t_lib.files import locked, replacing, write_json
from v2t_lib.models.hosts import current
from v2t_lib.progress import log
from v2t_lib.shards.reader import ShardDataset

MODEL_FILE, BLIND_FILE, SCST_FILE = "captioner.keras", "blind.keras", "scst.keras"


class Stage(NamedTuple):
    """A part of a run: the models that begin anew with it, and the file that says what it reads."""

    models: tuple[str, ...]
    data: str


TRAINING = Stage((BLIND_FILE, MODEL_FILE, SCST_FILE), "data.json")
SELF_CRITICAL = Stage((SCST_FILE,), "scst-data.json")
_DATA = (TRAINING.data, SELF_CRITICAL.data)


def history_of(model: Path) -> Path:
    return model.with_name("history.csv" if model.name == MODEL_FILE else f"{model.stem}.csv")


def write_history(model: Path, rows: Sequence[dict]) -> None:
    """Writes the history; nothing without a row, as it has no columns then."""
    if rows:
        with replacing(history_of(model)) as temporary:
            pd.DataFrame(rows).to_csv(temporary, index=False)


def checkpoints_of(model: Path) -> Path:
    return model.with_name(f".{model.stem}-checkpoints")


def checkpoints_in(folder: Path) -> list[Path]:
    """A folder's checkpoints, the newest last."""
    return sorted(folder.glob("[0-9]*.npz"))


class Mirror:
    """Copies a run's own files from `source` to `target`, if any, as it grows, in the background: a
    model before its checkpoints, so that, wherever a kill ends it, the copy's model file has the
    best epoch of them all."""

    def __init__(self, source: Path, target: Path | None = None):
        self.source, self.target = source, target
        self._copied: dict[Path, tuple[int, int]] = {}  # time and size of what was copied last
        self._worker = ThreadPoolExecutor(1)
        self._requested: Future | None = None

    def fetch(self) -> None:
        """Copies back what `source` lacks, and all of a model whose copy has newer checkpoints."""
        if self.target is None:
            return
        for name in _DATA:
            self._fetch(self.source / name)
        for model in (self.source / name for name in TRAINING.models):
            folder, copies = checkpoints_of(model), checkpoints_of(self.target / model.name)
            names = [path.name for path in checkpoints_in(copies)]
            newer = names[-1:] > [path.name for path in checkpoints_in(folder)][-1:]
            for path in (model, history_of(model), *(folder / name for name in names)):
                self._fetch(path, newer)

    def _fetch(self, path: Path, newer: bool = False) -> None:
        copy = self._copy_of(path)
        if copy.is_file() and (newer or not path.exists()):
            with replacing(path) as temporary:
                shutil.copyfile(copy, temporary)
            self._copied[path] = _stamp(path)

    def put(self) -> None:
        """Requests a copy of what has changed; training goes on meanwhile."""
        waits = self._requested and not (self._requested.running() or self._requested.done())
        if self.target is not None and not waits:  # one that waits copies the newest files too
            self._requested = self._worker.submit(self._put)

    def _put(self) -> None:
        try:
            for name in _DATA:
                self._copy(self.source / name)
            for model in (self.source / name for name in TRAINING.models):
                checkpoints = checkpoints_in(checkpoints_of(model))  # those there before the model
                for path in (model, history_of(model), *reversed(checkpoints)):
                    self._copy(path)
                names = {path.name for path in checkpoints}
                for copy in checkpoints_in(self._copy_of(checkpoints_of(model))):
                    if names and copy.name not in names:
                        copy.unlink()
        except (OSError, DataError) as error:
            log.warning("  could not copy the run to %s: %s", self.target, error)

    def _copy(self, path: Path) -> None:
        try:
            stamp = _stamp(path)
            if self._copied.get(path) != stamp:
                with replacing(self._copy_of(path)) as temporary:
                    shutil.copyfile(path, temporary)
                self._copied[path] = stamp
        except FileNotFoundError:
            if path.exists():  # else it isn't there yet, or deleted as newer checkpoints are there
                raise

    def _copy_of(self, path: Path) -> Path:
        assert self.target is not None  # else nothing is copied
        return self.target / path.relative_to(self.source)

    def close(self) -> None:
        """Copies what has changed since, and waits for it."""
        self.put()
        self._worker.shutdown()


def _stamp(path: Path) -> tuple[int, int]:
    about = path.stat()
    return about.st_mtime_ns, about.st_size


@contextlib.contextmanager
def locked_run(
    folder: Path,
    copy: str | Path | None,
    stage: Stage,
    data: Mapping[str, ShardDataset | None],
    resume: bool,
    overwrite: bool,
) -> Iterator[Mirror]:
    """Within it no other training writes a run's folder or its copy; yields what copies the run.

    What is there of the `stage` is continued, and fetched from the copy where it is missing, to
    `resume`, which has to read the same `data`; or deleted, to `overwrite`.
    """
    if resume and overwrite:
        raise ValueError("expected resume or overwrite, not both. Received: both")
    if copy and Path(copy).resolve() == folder.resolve():
        raise ValueError(
            f"expected a folder for the copy (--copy-to) beside the run's. Received: {folder}, "
            "the run's own"
        )
    if not current().first:  # the first host writes
        yield Mirror(folder)
        return
    target = Path(copy) if copy else None
    with contextlib.ExitStack() as stack:
        for place in filter(None, (folder, target)):
            stack.enter_context(locked(place, wait=False))
            _make_room(place, stage, resume, overwrite)
        mirror = stack.enter_context(contextlib.closing(Mirror(folder, target)))
        if resume:
            mirror.fetch()
        _keep_data(folder / stage.data, data, resume)
        yield mirror


def _make_room(folder: Path, stage: Stage, resume: bool, overwrite: bool) -> None:
    files = [folder / name for name in stage.models]
    files = [path for model in files for path in (model, history_of(model), checkpoints_of(model))]
    found = [path for path in files if path.exists()]
    if found and not (resume or overwrite):
        raise TrainingError(
            f"{folder}: expected a folder without a run. Received: one with "
            f"{', '.join(path.name for path in found)}; continue it with --resume (resume=True), "
            "replace it with --overwrite (overwrite=True), or name another folder"
        )
    for path in found if overwrite else ():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def digests(data: Mapping[str, ShardDataset | None]) -> dict[str, str | None]:
    return {name: shards.info.digest if shards else None for name, shards in data.items()}


def _keep_data(path: Path, data: Mapping[str, ShardDataset | None], resume: bool) -> None:
    """Writes the digests of what a training reads, which one that resumes has to find again."""
    now, before = digests(data), {}
    if resume:
        with contextlib.suppress(OSError, ValueError):  # without the file, nothing is known
            before = dict(json.loads(path.read_text(encoding="utf-8")))
    for name, shards in data.items():
        if before.get(name, now[name]) != now[name]:
            raise TrainingError(
                f"{path.parent}: expected the {name} that its run began with, to go on with "
                f"--resume (resume=True). Received: {shards.folder if shards else 'none'}, with "
                "other clips or captions; to train the model further on them, name another folder "
                f"and --start-from {path.with_name(MODEL_FILE)} (start_from=)"
            )
    write_json(path, now)
