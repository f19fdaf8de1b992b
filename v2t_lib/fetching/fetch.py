"""Fetching: from a captions file of URLs and paths to judged clips, packed as they come.

Downloads run in threads, decoding in processes, and one loop writes: an example into a shard, then
the clip's row into the manifest. A clip is done once its row is there; whatever a kill leaves
beside that is taken up or thrown away by the next run.
"""

import collections
import contextlib
import dataclasses
import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from v2t_lib.captions_file import Record
from v2t_lib.clips.decode import Original
from v2t_lib.errors import writing
from v2t_lib.fetching.downloader import DEFAULT_POLICY, Download, Downloads, RetryPolicy
from v2t_lib.fetching.http import Body
from v2t_lib.fetching.layout import CLIP_FOLDER, NO_SPLIT, scratch, settle_settings, write_captions
from v2t_lib.fetching.manifest import MANIFEST_FILE, Manifest, Row, read_rows
from v2t_lib.fetching.verdict import Judged, judge
from v2t_lib.shards.pack import Workers
from v2t_lib.shards.writer import ShardWriter
from v2t_lib.specs import ClipSpec

_SUFFIXES = {"matroska": "webm", "mov": "mp4"}


@dataclasses.dataclass(frozen=True)
class _Arrived:
    """A clip on its way through a decoder: where it lies, and how it came there."""

    record: Record
    path: Path
    download: Download | None = None


def part_of(records: Sequence[Record], part: int, parts: int) -> list[Record]:
    """One of `parts` shares of the records, numbered from 1.

    A source's own digest decides its share, whatever else is asked for.
    """
    if not 1 <= part <= parts:
        raise ValueError(f"expected a part from 1 to {parts}. Received: {part}")

    def share(source: str) -> int:
        return int.from_bytes(hashlib.sha256(source.encode()).digest()[:8], "big") % parts

    return [record for record in records if share(record.source) == part - 1]


class _Run:
    """One run of `fetch` over `records`, each of which needs a row at its end."""

    def __init__(self, records, captions_file, out: Path, spec: ClipSpec | None, keep: bool):
        self._records, self._captions_file, self._out = records, captions_file, out
        self._spec, self._keep = spec, keep
        # What comes of a clip that isn't kept needn't travel to a mounted drive.
        self._folder = out / CLIP_FOLDER if keep else scratch(out)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._manifest = Manifest(out / MANIFEST_FILE)
        splits = {record.split or NO_SPLIT for record in records} if spec else ()
        self._logs = {split: ShardWriter(out / split, spec) for split in splits}
        self._found: dict[str, str] = {}
        self._under_way: collections.deque[_Arrived] = collections.deque()
        self._verdicts: collections.Counter = collections.Counter()
        self._bytes, self._began = 0, time.monotonic()

    def recover(self) -> None:
        """Believes of the manifest what is true, and takes the rest up again."""
        known = self._manifest.known
        shards: dict[str, dict[str, set[str]]] = collections.defaultdict(
            lambda: collections.defaultdict(set)
        )
        for source, row in known.items():
            if row.shard:
                split, _, name = row.shard.partition("/")
                shards[split][name].add(source)
        for split, log in self._logs.items():
            self._manifest.forget(log.recover(shards[split]))
        self._recover_files()
        # Of all verdicts this one alone can change.
        again = (r.source for r in self._records if r.source in known)
        self._manifest.forget([s for s in again if known[s].verdict == "unreachable"])
        self._manifest.tidy()

    def _recover_files(self) -> None:
        """Finds the files that belong to rows, and those to go on with."""
        with os.scandir(self._folder) as entries:
            sizes = {f"{CLIP_FOLDER}/{entry.name}": entry.stat().st_size for entry in entries}
        known = self._manifest.known
        ours = {s: row for s, row in known.items() if row.file.startswith(f"{CLIP_FOLDER}/")}
        cut = {s: row.file for s, row in ours.items() if sizes.get(row.file) != row.bytes}
        self._manifest.forget(cut)
        for file in cut.values():
            (self._out / file).unlink(missing_ok=True)
        for file in sizes.keys() - {row.file for row in ours.values()}:
            name = file.partition("/")[2]
            if match := re.fullmatch(r"(.+-[0-9a-f]{16})\..+", name):
                self._found[match[1]] = name

    def go(self, workers: int, policy: RetryPolicy) -> None:
        """Fetches what has no row yet."""
        total = len(self._records)
        done = total - len(self._todo())
        bar = tqdm(total=total, initial=done, unit="clip", desc="fetch")
        with bar as self._progress, contextlib.closing(self._manifest):
            # Twice where a file that was found here turns out to be no clip.
            while todo := self._todo():
                here = [arrived for arrived in map(self._at_hand, todo) if arrived]
                at_hand = {arrived.record.source for arrived in here}
                remote = ((r, r.source) for r in todo if r.source not in at_hand)
                with (
                    contextlib.closing(Workers(workers, judge)) as crew,
                    contextlib.closing(Downloads(remote, self._body, policy)) as downloads,
                ):
                    for judged in crew.run(self._jobs(iter(here), downloads)):
                        if not isinstance(judged, Judged):
                            judged = Judged(*judged)
                        self._settle(self._under_way.popleft(), judged)

    def _todo(self) -> list[Record]:
        return [record for record in self._records if record.source not in self._manifest.known]

    def _at_hand(self, record: Record) -> _Arrived | None:
        """A clip that no request is needed for."""
        if not record.remote:
            return _Arrived(record, Path(record.path(self._captions_file)))
        found = self._found.get(record.key, "")
        if found.endswith(".part"):
            body = self._body(record)
            return _Arrived(record, body.path) if body.total == body.size > 0 else None
        return _Arrived(record, self._folder / found) if found else None

    def _body(self, record: Record) -> Body:
        return Body(self._folder, record.key, self._found.get(record.key, ""))

    def _jobs(self, here: Iterator[_Arrived], downloads: Downloads) -> Iterator[tuple | None]:
        """What decoders are to do, as it comes; None where nothing has come."""
        spec = self._spec or ClipSpec()
        while True:
            download, arrived = downloads.take(), None
            if download is None and (arrived := next(here, None)) is None:
                if downloads.finished:
                    return
                if (download := downloads.take(0.2)) is None:
                    yield None
                    continue
            if download is not None and download.error is not None:
                self._settle_failed(download)
                continue
            if download is not None:
                self._bytes += download.body.size
                arrived = _Arrived(download.source, download.body.path, download)
            self._under_way.append(arrived)
            yield str(arrived.path), spec, self._spec is not None

    def _settle_failed(self, download: Download) -> None:
        error = download.error
        # What came of a clip that may yet come is kept for the next run.
        (download.body.close if error.kind == "unreachable" else download.body.discard)()
        self._write(
            Row(
                source=download.source.source,
                split=download.source.split,
                verdict=error.kind,
                final_url=download.url,
                attempts=download.attempts,
                why=error.message,
            )
        )

    def _settle(self, arrived: _Arrived, judged: Judged) -> None:
        """Puts a clip where it belongs, and then its row into the manifest."""
        record, shard, file = arrived.record, "", ""
        original = judged.original or Original("", 0, 0.0, 0, 0)
        log = self._logs.get(record.split or NO_SPLIT)
        if record.remote:
            file = self._put_away(arrived, judged)
            if judged.verdict != "ok" and not arrived.download:
                # Found here and no clip: asked for once more.
                self._found.pop(record.key)
                return
        elif self._keep and judged.verdict == "ok":
            file = os.path.relpath(arrived.path, self._out)
        if log and judged.packed:
            shard = f"{record.split or NO_SPLIT}/{log.append(record, judged.packed)}"
        self._write(
            Row(
                source=record.source,
                split=record.split,
                verdict=judged.verdict,
                bytes=judged.bytes,
                sha256=judged.sha256,
                frames=original.frames,
                seconds=round(original.seconds, 3),
                width=original.width,
                height=original.height,
                final_url=arrived.download.url if arrived.download else "",
                attempts=arrived.download.attempts if arrived.download else 0,
                shard=shard,
                file=file,
                why=judged.why,
            )
        )
        if log and log.full:
            log.seal()
            self._manifest.close()

    def _put_away(self, arrived: _Arrived, judged: Judged) -> str:
        """Gives a clip that is kept its name, and removes any other."""
        if judged.verdict != "ok" or not self._keep:
            arrived.path.unlink(missing_ok=True)
            return ""
        kind = judged.original.kind
        file = f"{CLIP_FOLDER}/{arrived.record.key}.{_SUFFIXES.get(kind, kind)}"
        with writing(self._out / file):
            os.replace(arrived.path, self._out / file)
        return file

    def _write(self, row: Row) -> None:
        self._manifest.append(row)
        self._verdicts[row.verdict] += 1
        rate = self._bytes / 2**20 / (time.monotonic() - self._began)
        counts = ", ".join(f"{count} {verdict}" for verdict, count in self._verdicts.items())
        self._progress.set_postfix_str(f"{rate:.1f} MB/s, {counts}", refresh=False)
        self._progress.update()

    def finish(self) -> None:
        """Writes what others read: `dataset.json`, and captions files of the clips kept."""
        left_out, kept = collections.defaultdict(list), {}
        for row in read_rows(self._manifest.path):
            if row.verdict != "ok":
                entry = {"source": row.source, "kind": row.verdict, "why": row.why}
                left_out[row.split].append(entry)
            elif row.file:
                kept[row.source] = row.file
        for split, log in self._logs.items():
            log.finish(left_out["" if split == NO_SPLIT else split])
        if self._keep:
            write_captions(self._out, self._records, kept)
        else:
            shutil.rmtree(self._folder, ignore_errors=True)


def fetch(
    records: Sequence[Record],
    captions_file: str | Path,
    out: str | Path,
    *,
    spec: ClipSpec | None = None,
    keep: bool = False,
    workers: int | None = None,
    policy: RetryPolicy = DEFAULT_POLICY,
) -> None:
    """Downloads, judges and, with a `spec`, packs clips; run again, it goes on where it was.

    Into `out` go `manifest.tsv` with a row for every source, the originals in `clips/` with
    `clips/SPLIT.tsv` to pack them by, and shards in a folder a split, `all/` for clips without one.

    Args:
        records: The clips; sources are URLs, or paths relative to `captions_file`.
        captions_file: Where the records were read from.
        out: The directory to write.
        spec: The size of the clips in shards; None for no shards.
        keep: Whether originals stay; without shards they do in any case.
        workers: Decoding processes; as many as there are cores when left out.
        policy: How servers are treated.

    Raises:
        DataError: The disk takes no more, or `out` was begun for another content.
    """
    out, keep = Path(out), keep or spec is None
    settle_settings(out, captions_file, spec, keep, records)
    run = _Run(records, captions_file, out, spec, keep)
    run.recover()
    run.go(workers or os.cpu_count() or 1, policy)
    run.finish()
