"""One result out of all shares': manifest and `dataset.json`, or a table; never all in memory."""

import collections
import contextlib
import dataclasses
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from v2t_lib.cluster.jobs import INFOS, TABLE
from v2t_lib.cluster.plan import Plan
from v2t_lib.cluster.run import Finished, finished_shares
from v2t_lib.cluster.storage import Storage
from v2t_lib.fetching.layout import CLIP_FOLDER, NO_SPLIT, SETTINGS_FILE
from v2t_lib.fetching.manifest import HEADER, MANIFEST_FILE, line_of, read_rows
from v2t_lib.fetching.report import tally
from v2t_lib.files import write_json
from v2t_lib.shards.format import DATASET_FILE, DatasetInfo, save_joined


@contextlib.contextmanager
def writing_to(out: Storage, name: str) -> Iterator[Path]:
    """Yields a local path, and puts that file into `out` after the block."""
    with tempfile.TemporaryDirectory(prefix="v2t-result-") as folder:
        path = Path(folder) / Path(name).name
        yield path
        if path.exists():
            out.put(path, name)


def _shares(out: Storage, plan: Plan) -> Iterator[Finished]:
    return filter(None, finished_shares(out, plan))


@dataclasses.dataclass
class Joined:
    """What the shards of a split hold together.

    Attributes:
        clips: The number of clips, and so `captions` and `bytes`.
        left_out: How many clips gave no frames, by kind.
        first: One of them and why, as a sentence; "" if there is none.
    """

    clips: int = 0
    captions: int = 0
    bytes: int = 0
    left_out: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    first: str = ""

    def add(self, info: DatasetInfo) -> None:
        self.clips += info.clips
        self.captions += info.captions
        self.bytes += info.bytes
        self.left_out.update(entry.kind for entry in info.left_out)
        if info.left_out and not self.first:
            self.first = "{0.source} ({0.kind}: {0.why})".format(info.left_out[0])


def join_shards(out: Storage, plan: Plan, split: str = "") -> Joined:
    """Writes a split's `dataset.json` if there is any clip of it."""
    joined = Joined()

    def infos() -> Iterator[DatasetInfo]:
        for done in _shares(out, plan):
            path = done.folder / INFOS / split / DATASET_FILE
            if not path.exists():
                continue
            info = DatasetInfo.parse(path.read_text("utf-8"), path)
            joined.add(info)
            names = (done.published[f"{split}/{s.name}".lstrip("/")][0] for s in info.shards)
            shards = (
                dataclasses.replace(shard, name=name.rsplit("/", 1)[-1])
                for shard, name in zip(info.shards, names, strict=True)
            )
            yield dataclasses.replace(info, shards=tuple(shards))

    with writing_to(out, f"{split}/{DATASET_FILE}".lstrip("/")) as path:
        if not save_joined(path.parent, infos()):
            path.unlink()
    return joined


def join_manifests(out: Storage, plan: Plan) -> dict:
    """Writes what `fetch` does: `manifest.tsv`, `fetch.json`, and captions files of originals kept.

    Returns:
        The verdicts counted, as `coverage` does.
    """
    sources, verdicts = collections.Counter(), collections.defaultdict(collections.Counter)
    with writing_to(out, MANIFEST_FILE) as path, open(path, "wb") as file:
        file.write(f"{HEADER}\n".encode())
        for done in _shares(out, plan):
            settings = json.loads((done.folder / SETTINGS_FILE).read_text("utf-8"))
            sources.update(settings["sources"])
            for row in read_rows(done.folder / MANIFEST_FILE):
                verdicts[row.split][row.verdict] += 1
                shard = done.published[row.shard][0] if row.shard else ""
                file.write(line_of(dataclasses.replace(row, shard=shard)))
    settings = {name: plan.settings[name] for name in ("captions_sha256", "shards", "keep")}
    with writing_to(out, SETTINGS_FILE) as path:
        write_json(path, settings | {"sources": sources})
    if plan.settings["keep"]:
        for split in sources:
            _join_captions(out, plan, f"{CLIP_FOLDER}/{split or NO_SPLIT}.tsv")
    return tally(sources, verdicts)


def _join_captions(out: Storage, plan: Plan, name: str) -> None:
    with writing_to(out, name) as path, open(path, "wb") as file:
        for done in _shares(out, plan):
            if (done.folder / name).exists():
                file.write((done.folder / name).read_bytes())


def join_tables(out: Storage, plan: Plan, name: str, schema=None) -> int:
    """Writes one table of all rows, in the order of the input.

    Args:
        out: The output folder.
        plan: The shares.
        name: The table's name, without ending.
        schema: For a Parquet file its columns, as pyarrow has them; JSON lines without.

    Returns:
        The number of rows that are errors.
    """
    failed = 0
    file = f"{name}.{'parquet' if schema else 'jsonl'}"
    with writing_to(out, file) as path, _table(path, schema) as write:
        for done in _shares(out, plan):
            lines = (done.folder / TABLE).read_text("utf-8").split("\n")[:-1]
            failed += sum("error" in json.loads(line) for line in lines)
            write(lines)
    return failed


@contextlib.contextmanager
def _table(path: Path, schema) -> Iterator[Callable[[list[str]], None]]:
    """A function that appends rows, given as lines of JSON."""
    if schema is None:
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            yield lambda lines: file.writelines(f"{line}\n" for line in lines)
        return
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    with ParquetWriter(path, schema) as file:

        def write(lines: list[str]) -> None:
            file.write_table(pyarrow.Table.from_pylist(list(map(json.loads, lines)), schema))

        yield write
