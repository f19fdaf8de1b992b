"""Packing: local clips to shards, in parallel processes."""

import collections
import contextlib
import dataclasses
import hashlib
import json
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from v2t_lib.captions_file import Record
from v2t_lib.clips.decode import Clip, decode_clip, iter_frames, read_clip, sample_times
from v2t_lib.errors import ClipError, DataError
from v2t_lib.shards.format import (
    FORMAT,
    PackedClip,
    encode_strip,
    example,
    write_json,
    write_records,
)
from v2t_lib.specs import ClipSpec
from v2t_lib.text import checks

CLIPS_PER_SHARD = 256
_END = object()
MASK_FOLDER = "masks"


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """A clip that gave no frames, and why."""

    source: str
    kind: str
    why: str


def _encode_masks(path: Path, spec: ClipSpec) -> bytes:
    """A mask GIF, whose red, green and blue are objects 1 to 3, to bits of `(T, H, W, 3)`."""
    frames, durations = zip(*iter_frames(read_clip(path)), strict=True)
    wanted, _ = sample_times(durations, spec.frames)
    size, box = (spec.width, spec.height), Image.Resampling.BOX
    masks = [np.asarray(Image.fromarray(frames[n]).resize(size, box)) > 0 for n in wanted]
    return np.packbits(np.stack(masks)).tobytes()


def packed(clip: Clip, spec: ClipSpec, path: str | None = None) -> PackedClip:
    """What a shard holds of a clip.

    Args:
        clip: The clip, decoded.
        spec: What to.
        path: Where it lies, if it does: there may be masks beside it.
    """
    mask_path = Path(path).parent / MASK_FOLDER / Path(path).name if path else None
    masks = _encode_masks(mask_path, spec) if mask_path and mask_path.is_file() else b""
    return PackedClip(encode_strip(clip.frames), clip.seconds.tolist(), masks)


def _pack_clip(path: str, spec: ClipSpec) -> PackedClip | tuple[str, str]:
    """Runs in a worker: the packed clip, or `(kind, why)`; errors travel as plain values."""
    try:
        return packed(decode_clip(read_clip(path), spec), spec, path)
    except ClipError as error:
        return error.kind, error.message


def _follow_parent() -> None:
    """Has a worker end with its parent, which a kill gives no time to see to that itself."""
    # Ctrl-C is for the parent, which ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch():
        multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Workers:
    """Worker processes that decode; one that dies costs the one clip that killed it.

    Args:
        count: How many.
        decode: What they run: the parts of a job to a `PackedClip` or `(kind, why)`.
    """

    def __init__(self, count: int, decode: Callable = _pack_clip):
        self._count, self._decode = count, decode
        self._pool = self._start(count)

    @staticmethod
    def _start(count: int) -> ProcessPoolExecutor:
        # Not fork: TensorFlow's threads do not survive it.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(count, mp_context=context, initializer=_follow_parent)

    def run(self, jobs: Iterable[tuple | None]) -> Iterator[PackedClip | tuple[str, str]]:
        """Results in the order of `jobs`, a bounded number of them under way.

        A job of None stands for none just now: the results that are due come first.
        """
        jobs, waiting, more = iter(jobs), collections.deque(), True
        while True:
            try:
                while more and len(waiting) < 8 * self._count:
                    job = next(jobs, _END)
                    more = job is not _END
                    if not more or job is None:
                        break
                    waiting.append((job, None))
                    waiting[-1] = (job, self._pool.submit(self._decode, *job))
                if not waiting:
                    if more:
                        continue
                    return
                result = waiting[0][1].result()
            except BrokenProcessPool:
                # Nobody knows which of the clips under way did it: each is tried by itself.
                yield from self._one_by_one([job for job, _ in waiting])
                waiting.clear()
                self.close()
                self._pool = self._start(self._count)
            else:
                waiting.popleft()
                yield result

    def _one_by_one(self, jobs: list[tuple]) -> Iterator[PackedClip | tuple[str, str]]:
        pool = self._start(1)
        for job in jobs:
            try:
                yield pool.submit(self._decode, *job).result()
            except BrokenProcessPool:
                yield "corrupt", "expected a clip to decode. Received: its decoder process died"
                pool = self._start(1)
        pool.shutdown()

    def close(self) -> None:
        """Ends the workers."""
        self._pool.shutdown(cancel_futures=True)


def _write_shard(path: Path, records, results, progress) -> dict:
    """Writes one shard; what it holds and what was left out."""
    packed, left_out = [], []

    def examples() -> Iterator[bytes]:
        for record, result in zip(records, results, strict=True):
            if isinstance(result, PackedClip):
                packed.append((len(record.captions), bool(result.masks)))
                yield example(record, result)
            else:
                left_out.append(dataclasses.asdict(LeftOut(record.source, *result)))
            progress.update()

    write_records(path, examples())
    return {
        "name": path.name,
        "clips": len(packed),
        "captions": sum(captions for captions, _ in packed),
        "masks": sum(masked for _, masked in packed),
        "bytes": path.stat().st_size,
        "left_out": left_out,
    }


def _plan(records: list[Record], spec: ClipSpec) -> str:
    """What decides a pack's content, as a digest: a second run goes on only with the same."""
    text = json.dumps([FORMAT, spec.shape, [dataclasses.astuple(record) for record in records]])
    return hashlib.sha256(text.encode()).hexdigest()


def pack(
    records: Sequence[Record],
    captions_file: str | Path,
    out: str | Path,
    spec: ClipSpec,
    workers: int | None = None,
) -> dict:
    """Decodes local clips and writes shards; an interrupted pack goes on where it stopped.

    Args:
        records: The clips; sources are relative to `captions_file`.
        captions_file: Where the records were read from.
        out: The directory to write.
        spec: What to decode to.
        workers: Decoding processes; as many as there are cores when left out.

    Returns:
        What `dataset.json` holds, `left_out` naming the clips that gave no frames and why.

    Raises:
        DataError: No clip at all could be packed, or `out` holds another data set.
    """
    records, out = list(records), Path(out)
    plan = _plan(records, spec)
    if (out / "dataset.json").exists():
        done = json.loads((out / "dataset.json").read_text(encoding="utf-8"))
        if done.get("plan") == plan:
            return done
        raise DataError(
            f"{out}: expected an empty directory. Received: another data set's shards; "
            "name another directory or remove this one"
        )
    out.mkdir(parents=True, exist_ok=True)
    checks.warn([caption for record in records for caption in record.captions])
    shards, crew = [], Workers(workers or os.cpu_count() or 1)
    with contextlib.closing(crew), tqdm(total=len(records), unit="clip", desc="pack") as progress:
        for first in range(0, len(records), CLIPS_PER_SHARD):
            batch = records[first : first + CLIPS_PER_SHARD]
            path = out / f"{first // CLIPS_PER_SHARD:05d}.tfrecord"
            receipt = path.with_suffix(".json")
            if receipt.exists():
                shard = json.loads(receipt.read_text(encoding="utf-8"))
                if shard["plan"] == plan:
                    progress.update(len(batch))
                    shards.append(shard)
                    continue
            results = crew.run([(str(record.path(captions_file)), spec) for record in batch])
            shards.append(_write_shard(path, batch, results, progress) | {"plan": plan})
            write_json(receipt, shards[-1])
    return _finish(out, shards, spec, plan)


def _finish(out: Path, shards: list[dict], spec: ClipSpec, plan: str) -> dict:
    left_out = [entry for shard in shards for entry in shard["left_out"]]
    if not sum(shard["clips"] for shard in shards):
        first = left_out[0] if left_out else {"source": "no clips", "kind": "empty", "why": ""}
        raise DataError(
            f"expected at least one clip that decodes. Received: {len(left_out)} left out, the "
            f"first {first['source']} ({first['kind']}: {first['why']})"
        )
    described = {
        "format": FORMAT,
        "plan": plan,
        "clip_spec": dataclasses.asdict(spec),
        **{
            name: sum(shard[name] for shard in shards)
            for name in ("clips", "captions", "masks", "bytes")
        },
        "left_out": left_out,
        "shards": [{name: shard[name] for name in ("name", "clips", "bytes")} for shard in shards],
    }
    write_json(out / "dataset.json", described)
    for shard in shards:
        (out / shard["name"]).with_suffix(".json").unlink(missing_ok=True)
    return described
