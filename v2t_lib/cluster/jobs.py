"""What a task of each command does with its share, with the code that a single machine runs."""

import dataclasses
import functools
import json
import os
from collections.abc import Iterable
from pathlib import Path

from v2t_lib.captions_file import Pair, Record, is_url, without_password
from v2t_lib.errors import V2TError
from v2t_lib.fetching.fetch import fetch
from v2t_lib.fetching.manifest import MANIFEST_FILE, read_rows
from v2t_lib.fetching.policy import RetryPolicy
from v2t_lib.shards.format import DATASET_FILE, DatasetInfo
from v2t_lib.shards.pack import PASSING, pack_share
from v2t_lib.specs import ClipSpec

#: Where a share keeps the description of its shards, a folder a split.
INFOS = "infos"
TABLE = "table.jsonl"


def _records(rows: list[dict]) -> list[Record]:
    return [Record(**row | {"captions": tuple(row["captions"])}) for row in rows]


@dataclasses.dataclass(frozen=True)
class FetchJob:
    """`v2t fetch`: the clips of a share, judged, and packed with a `spec`.

    Args:
        captions: The captions file's path, which paths in it are relative to.
        spec: As for `fetch`, and so are `keep` and `policy`.
    """

    captions: str
    spec: ClipSpec | None
    keep: bool
    policy: RetryPolicy
    kept = True

    def work(self, rows: list[dict], share: Path, folder: Path) -> None:
        infos = fetch(
            _records(rows),
            share,
            folder,
            spec=self.spec,
            keep=self.keep,
            workers=1,
            policy=self.policy,
            relative_to=self.captions,
        )
        for split, info in infos.items():
            (folder / split / DATASET_FILE).unlink(missing_ok=True)
            (folder / INFOS / split).mkdir(parents=True, exist_ok=True)
            info.save(folder / INFOS / split)

    def unfinished(self, folder: Path) -> bool:
        """Whether a source wasn't reachable, or a local one that was missing is there now."""
        base = Path(self.captions).parent
        for row in read_rows(folder / MANIFEST_FILE):
            if row.verdict == "unreachable":
                return True
            if row.verdict == "gone" and not is_url(row.source) and (base / row.source).exists():
                return True
        return False


@dataclasses.dataclass(frozen=True)
class PackJob:
    """`v2t pack`: the clips of a share, decoded into shards.

    Args:
        captions: The captions file's path, which paths in it are relative to.
        spec: The size to decode to.
    """

    captions: str
    spec: ClipSpec
    kept = False

    def work(self, rows: list[dict], share: Path, folder: Path) -> None:
        info = pack_share(_records(rows), self.captions, folder, self.spec, workers=1)
        (folder / DATASET_FILE).unlink(missing_ok=True)
        (folder / INFOS).mkdir()
        info.save(folder / INFOS)

    def unfinished(self, folder: Path) -> bool:
        """Whether a clip that was missing is there now."""
        info = DatasetInfo.parse((folder / INFOS / DATASET_FILE).read_text("utf-8"), folder)
        base = Path(self.captions).parent
        return any(e.kind in PASSING and (base / e.source).exists() for e in info.left_out)


@functools.cache
def _captioner(model: str):
    """The model, loaded once a worker process; it takes as many threads as Spark gives a task."""
    from pyspark import SparkFiles

    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    from v2t_lib.models.saving import load

    return load(SparkFiles.get(model))


def _write_table(rows: Iterable[dict], folder: Path) -> None:
    with open(folder / TABLE, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _unreachable(folder: Path) -> bool:
    with open(folder / TABLE, encoding="utf-8", newline="\n") as file:
        errors = (json.loads(line).get("error", "") for line in file)
        return any(error.startswith("unreachable:") for error in errors)


@dataclasses.dataclass(frozen=True)
class CaptionJob:
    """`v2t caption`: rows of `file`, as it is named, and `source`, where it is.

    Args:
        model: The model's file name, as it was sent to the workers.
        beam: Beams of the search.
    """

    model: str
    beam: int
    kept = False

    def work(self, rows: list[dict], share: Path, folder: Path) -> None:
        captioner = _captioner(self.model)

        def row_of(clip: dict) -> dict:
            file = without_password(clip["file"])
            try:
                return captioner.caption(clip["source"], beam=self.beam).to_dict(file)
            except V2TError as error:
                return {"file": file, "error": str(error)}

        _write_table(map(row_of, rows), folder)

    def unfinished(self, folder: Path) -> bool:
        return _unreachable(folder)


@dataclasses.dataclass(frozen=True)
class VerifyJob:
    """`v2t verify`: rows are the fields of a `Pair`.

    Args:
        model: The model's file name, as it was sent to the workers.
    """

    model: str
    kept = False

    def work(self, rows: list[dict], share: Path, folder: Path) -> None:
        from v2t_lib.models.verify_pairs import verify_pairs

        pairs = [Pair(**row) for row in rows]
        results = verify_pairs(_captioner(self.model), pairs, workers=0)
        _write_table((result.to_dict() for result in results), folder)

    def unfinished(self, folder: Path) -> bool:
        return _unreachable(folder)
