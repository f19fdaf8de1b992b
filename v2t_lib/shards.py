"""Shards: clips decoded once, kept as TFRecords, with a `dataset.json` that says what is there.

A clip is one JPEG: its frames stacked into a film strip, which costs one header and one decoder
call a clip. An example holds `key`, `source`, `clip` (JPEG of `(T * H, W, 3)`), `seconds` `(T,)`,
`captions`, `sentences` (the captions normalised) and, for drawn clips, `masks` (bits of
`(T, H, W, 3)`: where objects 1 to 3 lie). `dataset.json` is written last: without it a directory
is an unfinished pack and is not read.
"""

import collections
import contextlib
import dataclasses
import hashlib
import io
import json
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from v2t_lib.clips import decode_clip, iter_frames, read_clip, sample_times
from v2t_lib.errors import ClipError, DataError
from v2t_lib.records import Record
from v2t_lib.specs import ClipSpec
from v2t_lib.vocabulary import normalise

FORMAT = 1
CLIPS_PER_SHARD = 256
JPEG_QUALITY = 92
MASK_FOLDER = "masks"


@dataclasses.dataclass(frozen=True)
class PackedClip:
    """One clip as a shard holds it; `masks` is empty where the data has none."""

    clip: bytes
    seconds: list[float]
    masks: bytes


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """A clip that gave no frames, and why."""

    source: str
    kind: str
    why: str


def encode_strip(frames: np.ndarray) -> bytes:
    """uint8 `(T, H, W, 3)` frames to one JPEG of `(T * H, W, 3)`, colours at full resolution."""
    file = io.BytesIO()
    Image.fromarray(frames.reshape(-1, *frames.shape[2:])).save(
        file, "JPEG", quality=JPEG_QUALITY, subsampling=0
    )
    return file.getvalue()


def _encode_masks(path: Path, spec: ClipSpec) -> bytes:
    """A mask GIF, whose red, green and blue are objects 1 to 3, to bits of `(T, H, W, 3)`."""
    frames, durations = zip(*iter_frames(read_clip(path)), strict=True)
    wanted, _ = sample_times(durations, spec.frames)
    size, box = (spec.width, spec.height), Image.Resampling.BOX
    masks = [np.asarray(Image.fromarray(frames[n]).resize(size, box)) > 0 for n in wanted]
    return np.packbits(np.stack(masks)).tobytes()


def decode_masks(masks: bytes, spec: ClipSpec) -> np.ndarray:
    """The bits of `PackedClip.masks` to bool `(T, H, W, 3)`."""
    bits = np.unpackbits(np.frombuffer(masks, np.uint8), count=int(np.prod(spec.shape)))
    return bits.astype(bool).reshape(spec.shape)


def _pack_clip(path: str, spec: ClipSpec) -> PackedClip | tuple[str, str]:
    """Runs in a worker: the packed clip, or `(kind, why)`; errors travel as plain values."""
    try:
        clip = decode_clip(read_clip(path), spec)
        mask_path = Path(path).parent / MASK_FOLDER / Path(path).name
        masks = _encode_masks(mask_path, spec) if mask_path.is_file() else b""
        return PackedClip(encode_strip(clip.frames), clip.seconds.tolist(), masks)
    except ClipError as error:
        return error.kind, error.message


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
        return ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"))

    def run(self, jobs: Iterable[tuple]) -> Iterator[PackedClip | tuple[str, str]]:
        """Results in the order of `jobs`, a bounded number of them under way."""
        jobs, waiting = iter(jobs), collections.deque()
        while True:
            try:
                while len(waiting) < 8 * self._count and (job := next(jobs, None)) is not None:
                    waiting.append((job, None))
                    waiting[-1] = (job, self._pool.submit(self._decode, *job))
                if not waiting:
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


def _write_json(path: Path, value: dict) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def _example(record: Record, packed: PackedClip) -> bytes:
    import tensorflow as tf

    def texts(values):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    features = {
        "key": texts([record.key.encode()]),
        "source": texts([record.source.encode()]),
        "clip": texts([packed.clip]),
        "masks": texts([packed.masks]),
        "seconds": tf.train.Feature(float_list=tf.train.FloatList(value=packed.seconds)),
        "captions": texts([caption.encode() for caption in record.captions]),
        "sentences": texts([normalise(caption).encode() for caption in record.captions]),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def _write_shard(path: Path, records, results, progress) -> dict:
    """Writes one shard under a temporary name; what it holds and what was left out."""
    import tensorflow as tf

    temporary = path.with_name(path.name + ".tmp")
    clips, captions, masks, left_out = 0, 0, 0, []
    with tf.io.TFRecordWriter(str(temporary)) as writer:
        for record, result in zip(records, results, strict=True):
            if isinstance(result, PackedClip):
                writer.write(_example(record, result))
                clips += 1
                captions += len(record.captions)
                masks += bool(result.masks)
            else:
                left_out.append(dataclasses.asdict(LeftOut(record.source, *result)))
            progress.update()
    os.replace(temporary, path)
    return {
        "name": path.name,
        "clips": clips,
        "captions": captions,
        "masks": masks,
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
            _write_json(receipt, shards[-1])
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
    _write_json(out / "dataset.json", described)
    for shard in shards:
        (out / shard["name"]).with_suffix(".json").unlink(missing_ok=True)
    return described


def describe(shards: str | Path) -> dict:
    """Reads `dataset.json` and checks that every shard is there, whole.

    Raises:
        DataError: An unfinished pack, another format, or a shard that's missing or cut.
    """
    path = Path(shards) / "dataset.json"
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
        if described["format"] != FORMAT:
            raise DataError(
                f"{path}: expected format {FORMAT}. Received: {described['format']!r}; pack again"
            )
        ClipSpec(**described["clip_spec"])
        sizes = {shard["name"]: shard["bytes"] for shard in described["shards"]}
    except FileNotFoundError:
        raise DataError(
            f"{shards}: expected shards with a dataset.json. Received: none; run `v2t pack` (again)"
        ) from None
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: expected a data set's description. Received: {error!r}") from None
    for name, size in sizes.items():
        file = path.with_name(name)
        found = file.stat().st_size if file.exists() else None
        if found != size:
            raise DataError(f"{file}: expected {size} bytes. Received: {found}; pack again")
    return described


def clip_spec(shards: str | Path) -> ClipSpec:
    """The size of the clips in a shard directory."""
    return ClipSpec(**describe(shards)["clip_spec"])


def shard_paths(shards: str | Path) -> list[str]:
    """The shard files, in order."""
    return [str(Path(shards) / shard["name"]) for shard in describe(shards)["shards"]]
