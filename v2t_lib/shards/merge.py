"""Merging: several folders of shards, as many machines fill them, to one."""

import collections
from collections.abc import Sequence
from pathlib import Path

from v2t_lib.errors import DataError
from v2t_lib.progress import Progress
from v2t_lib.shards.example import whole_examples
from v2t_lib.shards.format import DatasetInfo, digest_of
from v2t_lib.shards.writer import ShardWriter


def merge(folders: Sequence[str | Path], out: str | Path) -> DatasetInfo:
    """Joins folders of shards, which stay as they are and share the disk space where they can.

    Every example is read, to be sure that none is damaged and none is there twice.

    Args:
        folders: The folders, each with its `dataset.json`.
        out: The folder to write.

    Raises:
        DataError: Clips of different sizes, a clip twice, a damaged shard, or `out` is a data set.
    """
    parts = [(Path(folder), DatasetInfo.load(folder)) for folder in folders]
    home, first = parts[0]
    for folder, info in parts:
        if (info.clip_spec, info.features) != (first.clip_spec, first.features):
            raise DataError(
                f"expected clips of one size. Received: {first.clip_spec.shape} in {home}, "
                f"{info.clip_spec.shape} in {folder}"
            )
    plan = digest_of("merged", *(info.digest for _, info in parts))
    writer = ShardWriter(Path(out), first.clip_spec, plan, first.features)
    writer.recover()
    for number, (path, counts) in enumerate(_count(parts)):
        if not writer.has(number):
            writer.adopt(path, counts)
    return writer.finish([entry for _, info in parts for entry in info.left_out])


def _count(parts: Sequence[tuple[Path, DatasetInfo]]) -> list[tuple[Path, collections.Counter]]:
    """Every shard with what it holds, after checking that it is whole and no clip comes twice."""
    homes: dict[str, Path] = {}
    counted = []
    with Progress(total=sum(i.clips for _, i in parts), unit="clip", desc="merge") as progress:
        for path, clips in [(f / s.name, s.clips) for f, info in parts for s in info.shards]:
            counts = collections.Counter()
            for example in whole_examples(path):
                if example.source in homes:
                    raise DataError(
                        f"expected every clip once. Received: {example.source!r} in "
                        f"{homes[example.source]} and in {path}"
                    )
                homes[example.source] = path
                counts.update(example.counts)
                progress.update()
            if counts["clips"] != clips:
                raise DataError(
                    f"{path}: expected {clips} clips. Received: {counts['clips']}, then something "
                    "else; pack again"
                )
            counted.append((path, counts))
    return counted
