"""Shards of clips that are a few bytes each."""

import csv
import dataclasses

from v2t_lib.captions_file import Record
from v2t_lib.shards.example import PackedClip, StoredExample, clip_example, whole_examples
from v2t_lib.shards.format import DatasetInfo, Verdict
from v2t_lib.shards.slices import SliceWriter, sum_up
from v2t_lib.specs import ClipSpec

SPEC = ClipSpec(frames=2, height=4, width=4)


def source(number: int) -> str:
    return f"http://a/{number}.gif"


def stored(number: int) -> StoredExample:
    record = Record(f"key-{number}", source(number), ("a caption",) * (1 + number % 2))
    masks = b"\1" if number == 3 else b""
    return clip_example(record, PackedClip(bytes([number]) * 50, [0.0, 1.0], masks))


def fill(folder, numbers, clips=3, spec=SPEC) -> DatasetInfo:
    """Writes a folder of slices of so many clips."""
    numbers = list(numbers)
    for first in range(0, len(numbers), clips):
        of_slice = numbers[first : first + clips]
        writer = SliceWriter(folder, first // clips)
        for number in of_slice:
            writer.add(stored(number))
        verdicts = tuple(Verdict(source(number), "", "ok") for number in of_slice)
        writer.finish(spec, "digest", verdicts)
    return sum_up(folder, spec)


def sources_in(folder) -> list[str]:
    shards = DatasetInfo.load(folder).shards
    return [example.source for s in shards for example in whole_examples(folder / s.name)]


def read_manifest(path) -> list[Verdict]:
    """The rows of a manifest."""
    kinds = {field.name: field.type for field in dataclasses.fields(Verdict)}
    with open(path, encoding="utf-8", newline="\n") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [Verdict(**{name: kinds[name](cell) for name, cell in row.items()}) for row in rows]


def all_of(*numbers) -> list[str]:
    return [source(number) for number in numbers]
