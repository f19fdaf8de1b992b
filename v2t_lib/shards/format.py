"""What lies in a folder of shards: `dataset.json`, its description, and verdicts on its sources.

`dataset.json` is written last, so a folder without one is unfinished and is not read.
"""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from v2t_lib.captions_file import Record
from v2t_lib.errors import DataError, writing
from v2t_lib.files import replacing
from v2t_lib.specs import ClipSpec

FORMAT = 1
DATASET_FILE = "dataset.json"
COUNTS = ("clips", "captions", "masks", "bytes")
_Loaded = TypeVar("_Loaded")


def digest_of(*parts: object) -> str:
    """The SHA-256 of values that JSON can hold."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def digest_of_captions(record: Record) -> str:
    """16 hexadecimal digits that change with a source's captions and split."""
    return digest_of(record.captions, record.split)[:16]


def is_finished(folder: str | Path) -> bool:
    """Whether the folder has a `dataset.json`; `DatasetInfo.load` checks what it says."""
    return (Path(folder) / DATASET_FILE).exists()


def parsed(load: Callable[[dict], _Loaded], path: Path, what: str) -> _Loaded:
    """What `load` makes of a JSON file.

    Raises:
        DataError: It is damaged, or of another kind.
    """
    try:
        return load(json.loads(path.read_text(encoding="utf-8")))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: expected {what}. Received: {error!r}; get the folder anew, or name another "
            "one and pack again"
        ) from None


@dataclasses.dataclass  # not frozen, which would take three times as long for 100,000 rows
class Verdict:
    """What became of one source: a row of the manifest, whose columns are "" or 0 where unknown.

    Attributes:
        source: As the captions file has it.
        split: The split it was asked for in, or "".
        verdict: One of `VERDICTS`.
        bytes: Size of the original file.
        sha256: Of the original file.
        frames: Number of frames of the original.
        seconds: Its duration, played once.
        width: Of the original, in pixels.
        height: Of the original, in pixels.
        final_url: Where redirects led; "" for a local file.
        attempts: Requests made, without redirects.
        shard: The shard that holds the clip, relative to the manifest's folder.
        file: The original if it is kept, relative to the manifest's folder.
        why: The reason for any verdict but "ok".
        digest: `digest_of_captions`; not in the manifest.
        captions: The captions themselves, where the original is kept; not in the manifest either.
    """

    source: str
    split: str = ""
    verdict: str = ""
    bytes: int = 0
    sha256: str = ""
    frames: int = 0
    seconds: float = 0.0
    width: int = 0
    height: int = 0
    final_url: str = ""
    attempts: int = 0
    shard: str = ""
    file: str = ""
    why: str = ""
    digest: str = ""
    captions: tuple[str, ...] = ()


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """The content of a `dataset.json`.

    Attributes:
        digest: Changes when the content does. It is called "plan" in the file; the oldest folders
            lack it.
        masks: Number of clips that have object masks.
        bytes: Size of all shards.
        left_out: Clips that gave no frames.
        shards: The files, in reading order.
        features: What shards hold instead of clips, if they do.
    """

    format: int = FORMAT
    digest: str = ""
    clip_spec: ClipSpec
    clips: int
    captions: int
    masks: int
    bytes: int
    left_out: tuple[LeftOut, ...] = ()
    shards: tuple[Shard, ...]
    features: Features | None = None

    def __post_init__(self):
        if not self.digest:
            value = dataclasses.asdict(self)
            content = [value[name] for name in ("format", "clip_spec", "captions", "shards")]
            object.__setattr__(self, "digest", digest_of(*content))

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
        info = parsed(functools.partial(cls._from_json, path), path, "a data set's description")
        for shard in info.shards:
            file = path.with_name(shard.name)
            size = file.stat().st_size if file.exists() else None
            if size != shard.bytes:
                raise DataError(
                    f"{file}: expected {shard.bytes} bytes. Received: {size}; copy it anew, or "
                    "fetch or pack again"
                )
        return info

    @classmethod
    def _from_json(cls, path: Path, described: dict) -> "DatasetInfo":
        if described["format"] != FORMAT:
            raise DataError(
                f"{path}: expected format {FORMAT}. Received: {described['format']!r}; pack into a "
                "new folder"
            )
        features = described.get("features")
        shards = tuple(Shard(s["name"], s["clips"], s["bytes"]) for s in described["shards"])
        for shard in shards:
            path.with_name(shard.name)  # refuses a path
        return cls(
            digest=described.get("plan", ""),
            clip_spec=ClipSpec(**described["clip_spec"]),
            **{name: described[name] for name in COUNTS},
            left_out=tuple(LeftOut(**entry) for entry in described["left_out"]),
            shards=shards,
            features=features and Features(**features | {"shape": tuple(features["shape"])}),
        )

    def save(self, folder: str | Path) -> None:
        """Writes `dataset.json`, whole or not at all, if it isn't what is there already.

        Raises:
            DataError: The disk is full.
        """
        value = dataclasses.asdict(self)
        value = {"format": value.pop("format"), "plan": value.pop("digest"), **value}
        if self.features is None:
            del value["features"]
        path, text = Path(folder) / DATASET_FILE, json.dumps(value, indent=1, ensure_ascii=False)
        if not path.exists() or path.read_text(encoding="utf-8") != text + "\n":
            with writing(path), replacing(path) as temporary:
                temporary.write_text(text + "\n", encoding="utf-8")
