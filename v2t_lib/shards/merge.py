"""Merging: several shard directories, as many machines fill them, to one."""

import dataclasses
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from v2t_lib.errors import DataError, writing
from v2t_lib.files import replacing
from v2t_lib.shards.format import FORMAT, clip_spec, describe, whole_examples, write_json


def merge(folders: Sequence[str | Path], out: str | Path) -> dict:
    """Joins shard directories; theirs stay as they are, and share the disk space where it can be.

    Every example is read: none may be cut, and none be there twice.

    Args:
        folders: The directories, each with its `dataset.json`.
        out: The directory to write.

    Returns:
        What `dataset.json` holds.

    Raises:
        DataError: Clips of different sizes, a clip twice, a cut shard, or `out` is a data set.
    """
    folders, out = [Path(folder) for folder in folders], Path(out)
    if (out / "dataset.json").exists():
        raise DataError(
            f"{out}: expected an empty directory. Received: another data set's shards; "
            "name another directory or remove this one"
        )
    specs = {folder: clip_spec(folder) for folder in folders}
    for folder, spec in specs.items():
        if spec != specs[folders[0]]:
            raise DataError(
                f"expected clips of one size. Received: {specs[folders[0]].shape} in "
                f"{folders[0]}, {spec.shape} in {folder}"
            )
    described = [describe(folder) for folder in folders]
    _check_sources(folders, described)
    out.mkdir(parents=True, exist_ok=True)
    shards = []
    for folder, each in zip(folders, described, strict=True):
        for shard in each["shards"]:
            name = f"{len(shards):05d}.tfrecord"
            _place(folder / shard["name"], out / name)
            shards.append(shard | {"name": name})
    counts = ("clips", "captions", "masks", "bytes")
    merged = {
        "format": FORMAT,
        "clip_spec": dataclasses.asdict(specs[folders[0]]),
        **{name: sum(each[name] for each in described) for name in counts},
        "left_out": [entry for each in described for entry in each["left_out"]],
        "shards": shards,
    }
    with writing(out / "dataset.json"):
        write_json(out / "dataset.json", merged)
    return merged


def _check_sources(folders: Sequence[Path], described: Sequence[dict]) -> None:
    homes: dict[str, Path] = {}
    total = sum(each["clips"] for each in described)
    with tqdm(total=total, unit="clip", desc="merge") as progress:
        for folder, each in zip(folders, described, strict=True):
            for shard in each["shards"]:
                path, clips = folder / shard["name"], 0
                for _, source, _, _ in whole_examples(path):
                    if source in homes:
                        raise DataError(
                            f"expected every clip once. Received: {source!r} in {homes[source]} "
                            f"and in {path}"
                        )
                    homes[source] = path
                    clips += 1
                    progress.update()
                if clips != shard["clips"]:
                    raise DataError(
                        f"{path}: expected {shard['clips']} clips. Received: {clips}, then "
                        "something else; pack again"
                    )


def _place(shard: Path, target: Path) -> None:
    """Links a shard where the file system can, and copies it where it can't."""
    with writing(target), replacing(target) as temporary:
        temporary.unlink(missing_ok=True)
        try:
            os.link(shard, temporary)
        except OSError:
            shutil.copyfile(shard, temporary)
