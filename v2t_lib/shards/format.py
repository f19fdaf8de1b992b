"""`dataset.json`: the description of a folder of shards, and the only code that reads or writes it.

It is written last, so a folder without one is unfinished and is not read.
"""

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from v2t_lib.errors import DataError, writing
from v2t_lib.files import replacing, write_json
from v2t_lib.specs import ClipSpec

FORMAT = 1
DATASET_FILE = "dataset.json"
_COUNTS = ("clips", "captions", "masks", "bytes")


@dataclasses.dataclass(frozen=True)
class Shard:
    """One TFRecord file: its name, its number of clips and its size."""

    name: str
    clips: int
    bytes: int


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """A clip that gave no frames; `kind` is one of `errors.VERDICTS`, `why` a sentence."""

    source: str
    kind: str
    why: str


@dataclasses.dataclass(frozen=True)
class Features:
    """What features of `shape` (T, h', w', C) are of: an image network and its weights' digest."""

    network: str
    weights: str
    shape: tuple[int, ...]
    dtype: str = "float16"


def fingerprint(*parts) -> str:
    """A digest of values that JSON can hold."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def is_finished(folder: str | Path) -> bool:
    """Whether the folder has a `dataset.json`; `DatasetInfo.load` checks what it says."""
    return (Path(folder) / DATASET_FILE).exists()


def _no_description(path: str | Path, error: Exception) -> DataError:
    return DataError(
        f"{path}: expected a data set's description. Received: {error!r}; get the folder anew, or "
        "remove it and pack again"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """The content of a `dataset.json`.

    Attributes:
        fingerprint: Changes when the content does: the writer's plan, else a digest of the sizes of
            clips and shards. "plan" in the file, which older fetched and merged folders lack.
        masks: Number of clips that have object masks.
        bytes: Size of all shards.
        left_out: Clips that gave no frames.
        shards: The files, in reading order.
        features: What shards hold instead of clips, if they do.
    """

    format: int = FORMAT
    fingerprint: str = ""
    clip_spec: ClipSpec
    clips: int
    captions: int
    masks: int
    bytes: int
    left_out: tuple[LeftOut, ...] = ()
    shards: tuple[Shard, ...]
    features: Features | None = None

    def __post_init__(self):
        if not self.fingerprint:
            value = dataclasses.asdict(self)
            content = [value[name] for name in ("format", "clip_spec", "captions", "shards")]
            object.__setattr__(self, "fingerprint", fingerprint(*content))

    @classmethod
    def load(cls, folder: str | Path) -> "DatasetInfo":
        """Reads a folder's `dataset.json` and checks that every shard has the size it says.

        Raises:
            DataError: The folder is unfinished or of another format, `dataset.json` is damaged, or
                a shard is missing or cut off.
        """
        path = Path(folder) / DATASET_FILE
        if not path.exists():
            raise DataError(
                f"{folder}: expected shards with a {DATASET_FILE}. Received: none; run `v2t pack` "
                "(again)"
            )
        info = cls.parse(path.read_text(encoding="utf-8"), path)
        try:
            files = [path.with_name(shard.name) for shard in info.shards]
        except ValueError as error:
            raise _no_description(path, error) from None
        for file, shard in zip(files, info.shards, strict=True):
            size = file.stat().st_size if file.exists() else None
            if size != shard.bytes:
                raise DataError(
                    f"{file}: expected {shard.bytes} bytes. Received: {size}; fetch again, or "
                    "remove the folder and pack again"
                )
        return info

    @classmethod
    def parse(cls, text: str, path: str | Path) -> "DatasetInfo":
        """Reads a `dataset.json` of which `path` says where it lies; its shards aren't looked at.

        Raises:
            DataError: It is damaged or of another format.
        """
        try:
            return cls._from_json(json.loads(text), path)
        except (KeyError, TypeError, ValueError) as error:
            raise _no_description(path, error) from None

    @classmethod
    def _from_json(cls, described: dict, path: str | Path) -> "DatasetInfo":
        if described["format"] != FORMAT:
            raise DataError(
                f"{path}: expected format {FORMAT}. Received: {described['format']!r}; pack into a "
                "new folder"
            )
        features = described.get("features")
        return cls(
            fingerprint=described.get("plan", ""),
            clip_spec=ClipSpec(**described["clip_spec"]),
            **{name: described[name] for name in _COUNTS},
            left_out=tuple(LeftOut(**entry) for entry in described["left_out"]),
            shards=tuple(Shard(s["name"], s["clips"], s["bytes"]) for s in described["shards"]),
            features=features and Features(**features | {"shape": tuple(features["shape"])}),
        )

    def save(self, folder: str | Path) -> None:
        """Writes `dataset.json`, whole or not at all.

        Raises:
            DataError: The disk is full.
        """
        value = dataclasses.asdict(self)
        value = {"format": value.pop("format"), "plan": value.pop("fingerprint"), **value}
        if self.features is None:
            del value["features"]
        path = Path(folder) / DATASET_FILE
        with writing(path):
            write_json(path, value)


def save_joined(folder: str | Path, infos: Iterable[DatasetInfo]) -> int:
    """Writes the `dataset.json` of what many hold together, without having all of it in memory.

    Args:
        folder: Where it goes; the shards need not lie there yet.
        infos: At least one; the shards' names differ.

    Returns:
        The number of clips.

    Raises:
        DataError: The clips are of different sizes, or the disk is full.
    """
    path, counts, shards, plans, first = Path(folder) / DATASET_FILE, Counter(), [], [], None
    with (
        writing(path),
        replacing(path) as temporary,
        open(temporary, "w", encoding="utf-8") as file,
    ):
        file.write('{"left_out": [')
        comma = ""
        for info in infos:
            first = first or info
            if info.clip_spec != first.clip_spec:
                raise DataError(
                    f"expected clips of one size. Received: {first.clip_spec.shape} and "
                    f"{info.clip_spec.shape}"
                )
            for entry in info.left_out:
                file.write(f"{comma}\n {json.dumps(dataclasses.asdict(entry))}")
                comma = ","
            counts.update({name: getattr(info, name) for name in _COUNTS})
            shards += [dataclasses.asdict(shard) for shard in info.shards]
            plans.append(info.fingerprint)
        assert first is not None  # there is at least one part
        rest = {"format": FORMAT, "plan": fingerprint("joined", plans), "shards": shards}
        rest |= {"clip_spec": dataclasses.asdict(first.clip_spec)} | {n: counts[n] for n in _COUNTS}
        file.write("],\n" + json.dumps(rest, indent=1)[1:].lstrip() + "\n")
    return counts["clips"]
