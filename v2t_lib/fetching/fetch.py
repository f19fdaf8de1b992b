"""Fetching: downloads the clips of a captions file, finds each one's verdict and packs the good.

Downloads run in threads, decoding in processes, and one loop writes: a clip into its shard, then
its row into the manifest. A clip is done once its row is written. Whatever else a killed run
leaves behind is used or deleted by the next one.
"""

import collections
import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from v2t_lib.captions_file import Record
from v2t_lib.errors import writing
from v2t_lib.fetching import layout
from v2t_lib.fetching.download import Download, Downloads
from v2t_lib.fetching.layout import CLIP_FOLDER, NO_SPLIT, PartialFile
from v2t_lib.fetching.manifest import MANIFEST_FILE, Manifest, Row, read_rows
from v2t_lib.fetching.policy import DEFAULT_POLICY, RetryPolicy
from v2t_lib.fetching.verdict import Judged, judge
from v2t_lib.progress import Progress
from v2t_lib.shards.example import clip_example
from v2t_lib.shards.format import DatasetInfo, LeftOut
from v2t_lib.shards.workers import Workers
from v2t_lib.shards.writer import ShardWriter
from v2t_lib.specs import ClipSpec

_SUFFIXES = {"matroska": "webm", "mov": "mp4"}


class _Arrived(NamedTuple):
    """A clip to decode: where its file is, and how it came there."""

    record: Record
    path: Path
    download: Download | None = None


def share_of(source: str, shares: int) -> int:
    """In which of `shares` shares, numbered from 0, a source is; its digest alone decides."""
    digest = hashlib.sha256(source.encode()).digest()
    return int.from_bytes(digest[:8], "big") % shares


def part_of(records: Sequence[Record], part: int, parts: int) -> list[Record]:
    """One of `parts` shares of the records, numbered from 1.

    Each source's digest alone decides its share, whatever other records there are.
    """
    if not 1 <= part <= parts:
        raise ValueError(f"expected a part from 1 to {parts}. Received: {part}")
    return [record for record in records if share_of(record.source, parts) == part - 1]


class _Run:
    """One run of `fetch` over `records`, each of which has a row when it ends."""

    def __init__(self, records, captions_file, out: Path, spec: ClipSpec | None, keep: bool):
        self._records, self._captions_file, self._out = records, captions_file, out
        self._spec, self._keep = spec, keep
        # Originals that aren't kept stay on this machine's disk, as `out` may be a mounted drive.
        self._folder = out / CLIP_FOLDER if keep else layout.scratch(out)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._manifest = Manifest(out / MANIFEST_FILE)
        splits = {record.split or NO_SPLIT for record in records} if spec else ()
        self._logs = {split: ShardWriter(out / split, spec) for split in splits}
        self._found: dict[str, str] = {}  # clip key to the file that an earlier run left
        self._decoding: collections.deque[_Arrived] = collections.deque()
        self._verdicts: collections.Counter = collections.Counter()
        self._bytes, self._began = 0, time.monotonic()

    def recover(self) -> None:
        """Makes the manifest say what is there, and finds files that need no request."""
        layout.recover_shards(self._logs, self._manifest)
        self._found = layout.recover_files(self._folder, self._manifest)
        # What wasn't reachable may be by now, and so may local files; all else is final.
        known = self._manifest.known
        again = (r for r in self._records if r.source in known)
        passing = {True: {"unreachable"}, False: {"unreachable", "gone"}}
        self._manifest.forget(
            [r.source for r in again if known[r.source].verdict in passing[r.remote]]
        )
        self._manifest.tidy()

    def go(self, workers: int, policy: RetryPolicy) -> None:
        """Fetches all that has no row yet."""
        total = len(self._records)
        bar = Progress(total=total, initial=total - len(self._todo()), unit="clip", desc="fetch")
        with bar as self._progress, contextlib.closing(self._manifest):
            # A second round asks for clips whose file, left by an earlier run, isn't a clip.
            while todo := self._todo():
                here = [arrived for arrived in map(self._at_hand, todo) if arrived]
                at_hand = {arrived.record.source for arrived in here}
                remote = (self._download(r) for r in todo if r.source not in at_hand)
                with (
                    contextlib.closing(Workers(workers, judge)) as crew,
                    contextlib.closing(Downloads(remote, policy)) as downloads,
                ):
                    for judged in crew.run(map(self._job, self._arrivals(here, downloads))):
                        if not isinstance(judged, Judged):  # The worker process died.
                            judged = Judged(dict(zip(("verdict", "why"), judged, strict=True)))
                        self._settle(self._decoding.popleft(), judged)

    def _todo(self) -> list[Record]:
        return [record for record in self._records if record.source not in self._manifest.known]

    def _download(self, record: Record) -> Download:
        found = self._found.get(record.key, "")
        file = PartialFile.found(self._folder, record.key, found)
        return Download(record, record.source, file)

    def _at_hand(self, record: Record) -> _Arrived | None:
        """A clip that needs no request: a local one, or one that an earlier run left whole."""
        if not record.remote:
            return _Arrived(record, Path(record.path(self._captions_file)))
        found = self._found.get(record.key, "")
        if found.endswith(".part"):
            file = self._download(record).file
            return _Arrived(record, file.path) if file.total == file.size > 0 else None
        return _Arrived(record, self._folder / found) if found else None

    def _arrivals(self, here: list[_Arrived], downloads: Downloads) -> Iterator[_Arrived | None]:
        """Yields each clip that can be decoded, None while there is none."""
        yield from here
        for download in downloads:
            if download is None:
                yield None
            elif download.error is not None:
                self._settle_failed(download)
            else:
                self._bytes += download.file.size
                yield _Arrived(download.source, download.file.path, download)

    def _job(self, arrived: _Arrived | None) -> tuple | None:
        """The arguments of `judge` for a clip that is now to be decoded."""
        if arrived is None:
            return None
        self._decoding.append(arrived)
        return str(arrived.path), self._spec or ClipSpec(), self._spec is not None

    def _settle_failed(self, download: Download) -> None:
        error = download.error
        if error.kind != "unreachable":  # The next run may resume what is.
            download.file.clear()
        self._write(download.source, {"verdict": error.kind, "why": error.message}, download)

    def _settle(self, arrived: _Arrived, judged: Judged) -> None:
        """Puts a clip where it belongs, and then writes its row."""
        record, shard, file = arrived.record, "", ""
        log = self._logs.get(record.split or NO_SPLIT)
        if record.remote:
            file = self._put_away(arrived, judged)
            if not judged.ok and not arrived.download:
                self._found.pop(record.key)  # Left by an earlier run, but no clip: ask again.
                return
        elif self._keep and judged.ok:
            file = os.path.relpath(arrived.path, self._out)
        if log and judged.packed:
            shard = f"{record.split or NO_SPLIT}/{log.append(clip_example(record, judged.packed))}"
        self._write(record, judged.facts, arrived.download, shard=shard, file=file)
        if log and log.full:
            log.seal()
            self._manifest.close()

    def _put_away(self, arrived: _Arrived, judged: Judged) -> str:
        """Renames an original that is kept, and deletes any other; its path in `out`, or ""."""
        if not judged.ok or not self._keep:
            arrived.path.unlink(missing_ok=True)
            return ""
        file = f"{CLIP_FOLDER}/{arrived.record.key}.{_SUFFIXES.get(judged.kind, judged.kind)}"
        with writing(self._out / file):
            os.replace(arrived.path, self._out / file)
        return file

    def _write(self, record: Record, facts: dict, download: Download | None, **where: str) -> None:
        request = {"final_url": download.url, "attempts": download.attempts} if download else {}
        row = Row(source=record.source, split=record.split, **facts, **request, **where)
        self._manifest.append(row)
        self._verdicts[row.verdict] += 1
        rate = self._bytes / 2**20 / (time.monotonic() - self._began)
        counts = ", ".join(f"{count} {verdict}" for verdict, count in self._verdicts.items())
        self._progress.set_postfix_str(f"{rate:.1f} MB/s, {counts}", refresh=False)
        self._progress.update()

    def finish(self) -> dict[str, DatasetInfo]:
        """Writes each split's `dataset.json`, and captions files of the originals kept."""
        left_out, kept = collections.defaultdict(list), {}
        for row in read_rows(self._manifest.path):
            if row.verdict != "ok":
                left_out[row.split].append(LeftOut(row.source, row.verdict, row.why))
            elif row.file:
                kept[row.source] = row.file
        infos = {
            split: log.finish(left_out["" if split == NO_SPLIT else split])
            for split, log in self._logs.items()
        }
        if self._keep:
            layout.write_captions(self._out, self._records, kept)
        else:
            shutil.rmtree(self._folder, ignore_errors=True)
        return infos


def fetch(
    records: Sequence[Record],
    captions_file: str | Path,
    out: str | Path,
    *,
    spec: ClipSpec | None = None,
    keep: bool = False,
    workers: int | None = None,
    policy: RetryPolicy = DEFAULT_POLICY,
    relative_to: str | Path | None = None,
) -> dict[str, DatasetInfo]:
    """Downloads clips, finds their verdicts and, with a `spec`, packs them; run again, it resumes.

    Into `out` go `manifest.tsv` with a row a source, the originals in `clips/` with captions files
    `clips/SPLIT.tsv` to pack them by, and shards in a folder a split, `all/` for clips without one.

    Args:
        records: The clips; sources are URLs, or paths relative to `captions_file`.
        captions_file: Where the records were read from.
        out: The directory to write.
        spec: The size of the clips in shards; None for no shards.
        keep: Whether to keep originals; without shards they are kept in any case.
        workers: Decoding processes; as many as there are cores when left out.
        policy: Connections, retries and timeouts.
        relative_to: Another file whose folder paths are relative to.

    Returns:
        What each split's shards hold, also of a split without any clip.

    Raises:
        DataError: The disk is full, or `out` was begun with another captions file or settings.
    """
    out, keep = Path(out), keep or spec is None
    layout.settle_settings(out, captions_file, spec, keep, records)
    run = _Run(records, relative_to or captions_file, out, spec, keep)
    run.recover()
    run.go(workers or os.cpu_count() or 1, policy)
    return run.finish()
