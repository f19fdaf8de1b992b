"""Shards of clips that are a few bytes each."""

from v2t_lib.captions_file import Record
from v2t_lib.shards.example import PackedClip, StoredExample, clip_example, whole_examples
from v2t_lib.shards.format import DatasetInfo
from v2t_lib.shards.writer import ShardWriter
from v2t_lib.specs import ClipSpec

SPEC = ClipSpec(frames=2, height=4, width=4)


def source(number: int) -> str:
    return f"http://a/{number}.gif"


def stored(number: int) -> StoredExample:
    record = Record(f"key-{number}", source(number), ("a caption",) * (1 + number % 2))
    masks = b"\1" if number == 3 else b""
    return clip_example(record, PackedClip(bytes([number]) * 50, [0.0, 1.0], masks))


def fill(folder, numbers, rows, clips=3) -> ShardWriter:
    """Adds clips as fetching does; `rows` gets what the manifest would have."""
    log = ShardWriter(folder, SPEC)
    log.clips_per_shard = clips
    log.recover(rows)
    for number in numbers:
        rows.setdefault(log.append(stored(number)), set()).add(source(number))
        if log.full:
            log.seal()
    return log


def sources_in(folder) -> list[str]:
    shards = DatasetInfo.load(folder).shards
    return [example.source for s in shards for example in whole_examples(folder / s.name)]


def all_of(*numbers) -> list[str]:
    return [source(number) for number in numbers]
