"""Which shard is damaged: TensorFlow's own error names a place in a file, but not the file."""

import contextlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import tensorflow as tf

from v2t_lib.errors import DataError
from v2t_lib.shards.example import whole_examples
from v2t_lib.shards.format import DatasetInfo


@contextlib.contextmanager
def naming_damage(folder: Path, info: DatasetInfo) -> Iterator[None]:
    """Within it, reading a damaged shard of `folder` raises a `DataError` that names the file."""
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.NotFoundError) as error:
        for shard in info.shards:
            path = folder / shard.name
            if not path.exists() or sum(1 for _ in whole_examples(path)) < shard.clips:
                why = re.sub(r"\{\{.*?\}\}\s*|\s*\[Op:.*", "", str(error.message))[:200]
                raise DataError(
                    f"{path}: expected the {shard.clips} clips that were written. Received: {why}; "
                    f"copy the file anew, or delete {folder} and pack again"
                ) from None
        raise


def whole(folder: Path, info: DatasetInfo, rows: Iterable) -> Iterator:
    """Yields `rows`, read from a folder of shards; a damaged shard is named."""
    rows = iter(rows)
    while True:
        with naming_damage(folder, info):
            row = next(rows, None)
        if row is None:
            return
        yield row
