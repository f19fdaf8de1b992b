"""Shards of clips that are a few bytes each."""

from v2t_lib.captions_file import Record
from v2t_lib.shards.format import PackedClip, shard_paths, whole_examples
from v2t_lib.shards.writer import ShardWriter
from v2t_lib.specs import ClipSpec

SPEC = ClipSpec(frames=2, height=4, width=4)


def record(number: int) -> Record:
    return Record(f"key-{number}", f"http://a/{number}.gif", ("a caption",) * (1 + number % 2))


def packed(number: int) -> PackedClip:
    return PackedClip(bytes([number]) * 50, [0.0, 1.0], b"\1" if number == 3 else b"")


def fill(folder, numbers, rows, clips=3) -> ShardWriter:
    """Adds clips as fetching does; `rows` gets what the manifest would have."""
    log = ShardWriter(folder, SPEC, clips)
    log.recover(rows)
    for number in numbers:
        name = log.append(record(number), packed(number))
        rows.setdefault(name, set()).add(record(number).source)
        if log.full:
            log.seal()
    return log


def sources_in(folder) -> list[str]:
    return [s for path in shard_paths(folder) for _, s, _, _ in whole_examples(path)]


def all_of(*numbers) -> list[str]:
    return [record(number).source for number in numbers]
