"""Packing: local clips to shards, decoded in parallel."""

import contextlib
import dataclasses
import functools
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from v2t_lib.captions_file import Record
from v2t_lib.clips.decode import Clip, decode_clip, iter_frames, sample_times
from v2t_lib.clips.files import read_clip
from v2t_lib.errors import ClipError, DataError
from v2t_lib.progress import Progress, log
from v2t_lib.shards.example import PackedClip, clip_example, encode_strip
from v2t_lib.shards.format import (
    DATASET_FILE,
    FORMAT,
    DatasetInfo,
    LeftOut,
    digest_of,
    is_finished,
)
from v2t_lib.shards.workers import Workers
from v2t_lib.shards.writer import ShardWriter
from v2t_lib.specs import ClipSpec
from v2t_lib.text import checks

MASK_FOLDER = "masks"
#: A file in the folder of masks that says that they are those of drawn clips.
DRAWN_FILE = "drawn-by-v2t.txt"
#: Masks in folders from before that file was written; their colours tell them from other pictures.
_DRAWN_NAME = re.compile(r"(test|unseen)-\d{5}\.gif")
#: Kinds of what was left out that another day may have changed.
PASSING = ("gone", "unreachable")


def _masks(clip: Path, spec: ClipSpec) -> bytes:
    """The masks of a drawn clip as bits of `(T, H, W, 3)`; none of another, or damaged ones.

    A mask GIF's red, green and blue are objects 1 to 3.
    """
    path = clip.parent / MASK_FOLDER / clip.name
    marked = path.with_name(DRAWN_FILE).is_file()
    if not path.is_file() or not (marked or _DRAWN_NAME.fullmatch(path.name)):
        return b""
    try:
        frames, durations = zip(*iter_frames(read_clip(path)), strict=True)
    except ClipError:
        return b""
    if not (marked or all(map(_has_mask_colours, frames))):
        return b""
    wanted, _ = sample_times(durations, spec.frames)
    size, box = (spec.width, spec.height), Image.Resampling.BOX
    masks = [np.asarray(Image.fromarray(frames[n]).resize(size, box)) > 0 for n in wanted]
    return np.packbits(np.stack(masks)).tobytes()


def _has_mask_colours(frame: np.ndarray) -> bool:
    """Whether every pixel is black, red or green."""
    red, green, blue = np.moveaxis(frame, -1, 0)
    return bool(np.isin(frame, (0, 255)).all() and not blue.any() and not (red & green).any())


def packed(clip: Clip, spec: ClipSpec, path: str | None = None) -> PackedClip:
    """What a shard holds of a clip.

    Args:
        clip: The decoded clip.
        spec: The size it was decoded to.
        path: Its file, if it has one: beside a drawn clip may be masks. Damaged ones are left out.
    """
    masks = _masks(Path(path), spec) if path else b""
    return PackedClip(encode_strip(clip.frames), clip.seconds.tolist(), masks)


def _pack_clip(path: str, spec: ClipSpec) -> PackedClip | tuple[str, str]:
    """Runs in a worker: the packed clip, or `(kind, why)`; errors travel as plain values."""
    try:
        return packed(decode_clip(read_clip(path), spec), spec, path)
    except ClipError as error:
        return error.kind, error.message


def _there_now(paths: Mapping[str, str], left_out: Sequence[LeftOut]) -> int:
    """How many of the clips that weren't there when they were left out are there now."""
    missed = (entry.source for entry in left_out if entry.kind in PASSING)
    return sum(os.path.exists(paths.get(source, "")) for source in missed)


def warn_of_newer(out: Path, records: Sequence[Record], captions_file: str | Path) -> None:
    """Says which clips were written after their finished shards, which may show something else."""
    packed = os.path.getmtime(out / DATASET_FILE)
    paths = {record.source: record.path(captions_file) for record in records}
    newer = [
        s for s, path in paths.items() if os.path.isfile(path) and os.path.getmtime(path) > packed
    ]
    if newer:
        log.warning(
            "%s: %d of %d clips are newer than these shards, %r for one; if they show something "
            "else now, remove the folder and pack again",
            *(out, len(newer), len(paths), newer[0]),
        )


def _remove(out: Path, info: DatasetInfo) -> None:
    """Deletes a finished data set, and the features of its clips."""
    (out / DATASET_FILE).unlink()
    for shard in info.shards:
        (out / shard.name).unlink(missing_ok=True)
    for features in out.glob("features-*"):
        shutil.rmtree(features)


def pack(
    records: Sequence[Record],
    captions_file: str | Path,
    out: str | Path,
    spec: ClipSpec,
    workers: int | None = None,
) -> DatasetInfo:
    """Decodes local clips and writes shards; an interrupted pack continues where it stopped.

    Args:
        records: The clips; sources are relative to `captions_file`.
        captions_file: Where the records were read from.
        out: The folder to write.
        spec: The size to decode to.
        workers: Decoding processes; as many as there are cores when left out.

    Returns:
        The data set's description, whose `left_out` names the clips that gave no frames.

    Raises:
        DataError: No clip at all could be packed, or `out` holds another data set.
    """
    info = pack_share(records, captions_file, out, spec, workers)
    if not info.clips:
        first = info.left_out[0] if info.left_out else LeftOut("no clips", "empty", "")
        raise DataError(
            f"expected at least one clip that decodes. Received: {len(info.left_out)} left out, "
            f"the first {first.source} ({first.kind}: {first.why})"
        )
    return info


def pack_share(
    records: Sequence[Record],
    captions_file: str | Path,
    out: str | Path,
    spec: ClipSpec,
    workers: int | None = None,
) -> DatasetInfo:
    """Packs some of the clips of a data set, of which not one has to decode; see `pack`."""
    records, out = list(records), Path(out)
    plan = digest_of(FORMAT, spec.shape, [dataclasses.astuple(record) for record in records])
    there_now = functools.partial(_there_now, {r.source: r.path(captions_file) for r in records})
    if is_finished(out) and (done := DatasetInfo.load(out)).digest == plan:
        if not (found := there_now(done.left_out)):
            warn_of_newer(out, records, captions_file)
            return done
        log.info("%s: %d clips that were missing are there now: packing again", out, found)
        _remove(out, done)
    writer = ShardWriter(out, spec, plan)
    writer.recover()
    for number, left_out in writer.left_out().items():
        if there_now(left_out):
            writer.drop(number)
    checks.warn([caption for record in records for caption in record.captions])
    crew = Workers(workers or os.cpu_count() or 1, _pack_clip)
    with (
        contextlib.closing(crew),
        Progress(total=len(records), unit="clip", desc="pack") as progress,
    ):
        for first in range(0, len(records), writer.clips_per_shard):
            of_shard = records[first : first + writer.clips_per_shard]
            if writer.has(first // writer.clips_per_shard):
                progress.update(len(of_shard))
                continue
            left_out = []
            results = crew.run([(str(record.path(captions_file)), spec) for record in of_shard])
            for record, result in zip(of_shard, results, strict=True):
                if isinstance(result, PackedClip):
                    writer.append(clip_example(record, result))
                else:
                    left_out.append(LeftOut(record.source, *result))
                progress.update()
            writer.seal(left_out)
    return writer.finish()
