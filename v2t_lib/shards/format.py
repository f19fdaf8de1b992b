"""What lies in a folder of shards: `dataset.json`, its description, written last, and verdicts on
its sources."""

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
    """What `load` makes of a JSON file; a `DataError` if it is damaged, or of another kind."""
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

    Sizes and times are the original's; paths are relative to the manifest's folder.
    """

    source: str
    split: str = ""
    verdict: str = ""  # one of `VERDICTS`
    bytes: int = 0
    sha256: str = ""
    frames: int = 0
    seconds: float = 0.0  # played once
    width: int = 0
    height: int = 0
    final_url: str = ""  # where redirects led; "" for a local file
    attempts: int = 0  # requests made, without redirects
    shard: str = ""  # that holds the clip
    file: str = ""  # the original if it is kept
    why: str = ""  # the reason for any verdict but "ok"
    # Not in the manifest: `digest_of_captions`, and where the original is kept the captions.
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
    """The content of a `dataset.json`."""

    format: int = FORMAT
    digest: str = ""  # of the content; called "plan" in the file, and lacking in the oldest folders
    clip_spec: ClipSpec
    clips: int
    captions: int
    masks: int  # number of clips that have object masks
    bytes: int  # of all shards
    left_out: tuple[LeftOut, ...] = ()
    shards: tuple[Shard, ...]  # in reading order
    features: Features | None = None  # what shards hold instead of clips, if they do

    def __post_init__(self):
        if not self.digest:
            value = dataclasses.asdict(self)
            content = [value[name] for name in ("format", "clip_spec", "captions", "shards")]
            object.__setattr__(self, "digest", digest_of(*content))

    @classmethod
    def load(cls, folder: str | Path) -> "DatasetInfo":
        """Reads a folder's `dataset.json` and checks that every shard has the size it says."""
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
        """Writes `dataset.json`, whole or not at all, if it isn't what is there already."""
        value = dataclasses.asdict(self)
        value = {"format": value.pop("format"), "plan": value.pop("digest"), **value}
        if self.features is None:
            del value["features"]
        path, text = Path(folder) / DATASET_FILE, json.dumps(value, indent=1, ensure_ascii=False)
        if not path.exists() or path.read_text(encoding="utf-8") != text + "\n":
            with writing(path), replacing(path) as temporary:
                temporary.write_text(text + "\n", encoding="utf-8")
