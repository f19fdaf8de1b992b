"""Slices: the unit of work of packing, fetching, parts and clusters, and of a cache of features."""

import collections
import contextlib
import os
from pathlib import Path

from v2t_lib.errors import writing
from v2t_lib.shards.example import RecordWriter, StoredExample
from v2t_lib.shards.format import SliceInfo, Verdict, shard_name
from v2t_lib.specs import ClipSpec


class SliceWriter:
    """Writes the two files of a slice; a kill leaves a slice that isn't done and is written again.

    Args:
        folder: Made if needed.
        number: The slice's.

    Example:
        >>> writer = SliceWriter(folder, 12)
        >>> for example in examples:
        ...     writer.add(example)
        >>> writer.finish(spec, digest)
        >>> DatasetInfo.of_slices(folder, spec).save(folder)
    """

    def __init__(self, folder: Path, number: int):
        self._folder, self._number = folder, number
        self._counts: collections.Counter[str] = collections.Counter()
        self._file: RecordWriter | None = None

    @property
    def _temporary(self) -> Path:
        return self._folder / f"{shard_name(self._number)}.tmp"

    def add(self, example: StoredExample) -> None:
        """Adds an example to the shard.

        Raises:
            DataError: The disk is full.
        """
        if self._file is None:
            with writing(self._folder):
                self._folder.mkdir(parents=True, exist_ok=True)
            self._file = RecordWriter(self._temporary)
        self._file.write(example.serialised)
        self._counts.update(example.counts)

    def finish(
        self, spec: ClipSpec | None, digest: str, verdicts: tuple[Verdict, ...] = ()
    ) -> SliceInfo:
        """Names the shard, if any example was added, and then writes the JSON: the slice is done.

        Args:
            spec: The size of the clips.
            digest: Of what the slice is made of.
            verdicts: One a source.
        """
        size, path = 0, self._folder / shard_name(self._number)
        if self._file is not None:
            self._file.close()
            with writing(path):
                with open(self._temporary, "rb+") as file:
                    os.fsync(file.fileno())
                os.replace(self._temporary, path)
                size = path.stat().st_size
        counts = {name: self._counts[name] for name in ("clips", "captions", "masks")}
        info = SliceInfo(
            number=self._number,
            digest=digest,
            clip_spec=spec,
            bytes=size,
            verdicts=verdicts,
            **counts,
        )
        with writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        info.save(self._folder)
        return info

    def abandon(self) -> None:
        """Drops what was added, if the slice isn't finished."""
        if self._file is not None:
            with contextlib.suppress(Exception):
                self._file.close()
            self._temporary.unlink(missing_ok=True)
