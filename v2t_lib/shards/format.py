"""The files that describe a folder of shards, and the only code that reads or writes them.

A slice, at most some hundreds of sources in the captions file's order, is `00012.tfrecord` and
`00012.json`, written last: with it the slice is done. `dataset.json` is the sum of the slices, and
`manifest.tsv` of their verdicts. Folders of earlier versions have a `dataset.json` alone.
"""

import dataclasses
import functools
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from v2t_lib.captions_file import Record
from v2t_lib.errors import DataError, writing
from v2t_lib.files import replacing
from v2t_lib.specs import ClipSpec

FORMAT = 1
DATASET_FILE, MANIFEST_FILE = "dataset.json", "manifest.tsv"
_COUNTS = ("clips", "captions", "masks", "bytes")
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


def _parsed(load: Callable[[dict], _Loaded], path: Path, what: str) -> _Loaded:
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


@dataclasses.dataclass(frozen=True)
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
        digest: Of its captions, by which a later run knows them; not in the manifest.
        captions: The captions themselves, where the original is kept; not in the manifest either.
    """

    source: str
    split: str
    verdict: str
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


_COLUMNS = dataclasses.fields(Verdict)[:-2]
_HEADER = "\t".join(field.name for field in _COLUMNS) + "\n"
#: Characters that would end a column or a row.
_BLANKS = str.maketrans(dict.fromkeys("\t\n\r", " "))


def write_manifest(path: Path, verdicts: Iterable[Verdict]) -> None:
    """Writes `manifest.tsv`, whole or not at all."""
    with (
        writing(path),
        replacing(path) as temporary,
        open(temporary, "w", encoding="utf-8", errors="replace", newline="\n") as file,
    ):
        file.write(_HEADER)
        for verdict in verdicts:
            cells = (str(getattr(verdict, field.name)) for field in _COLUMNS)
            file.write("\t".join(cell.translate(_BLANKS) for cell in cells) + "\n")


def read_manifest(path: str | Path) -> Iterator[Verdict]:
    """Yields the rows of a manifest in file order.

    Raises:
        DataError: There is no such file, or it isn't a manifest.
    """
    try:
        file = open(path, encoding="utf-8", newline="\n")  # noqa: SIM115
    except OSError as error:
        raise DataError(f"expected a manifest at {path}. Received: {error.strerror}") from None
    with file:
        if (header := file.readline()) != _HEADER:
            raise DataError(
                f"{path}: expected a manifest, whose first line begins {_HEADER[:20]!r}. "
                f"Received: {header[:60]!r}"
            )
        kinds: list[Any] = [field.type for field in _COLUMNS]
        for line in file:
            cells = line.removesuffix("\n").split("\t")
            yield Verdict(*(kind(text) for kind, text in zip(kinds, cells, strict=True)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class SliceInfo:
    """The content of a slice's JSON.

    Attributes:
        number: The slice's, which its files are named after.
        digest: Of the rows and the clip spec that it is made of.
        clip_spec: The size of its clips; None where only originals are kept.
        masks: Number of clips that have object masks.
        bytes: Size of its shard, which is missing where no clip decoded.
        verdicts: One a source, in order; none in a slice of features.
    """

    number: int
    digest: str
    clip_spec: ClipSpec | None
    clips: int
    captions: int
    masks: int
    bytes: int
    verdicts: tuple[Verdict, ...] = ()

    @property
    def shard(self) -> str:
        """The name of its shard."""
        return shard_name(self.number)

    def is_whole(self, folder: Path) -> bool:
        """Whether its shard is there, as large as it should be."""
        path = folder / self.shard
        return not self.clips or (path.exists() and path.stat().st_size == self.bytes)

    def save(self, folder: Path) -> None:
        """Writes the JSON, whole or not at all, a line a verdict."""
        value = vars(self) | {"clip_spec": self.clip_spec and dataclasses.asdict(self.clip_spec)}
        del value["verdicts"]
        rows = ({k: cell for k, cell in vars(v).items() if cell} for v in self.verdicts)
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        path = folder / slice_name(self.number)
        with writing(path), replacing(path) as temporary:
            text = json.dumps(value, indent=1).removesuffix("\n}")
            temporary.write_text(f'{text},\n "verdicts": [\n{lines}\n]}}\n', encoding="utf-8")


def shard_name(number: int) -> str:
    """The name of a slice's TFRecord file."""
    return f"{number:05d}.tfrecord"


def slice_name(number: int) -> str:
    """The name of a slice's JSON."""
    return f"{number:05d}.json"


def _slice(described: dict) -> SliceInfo:
    spec, verdicts = described["clip_spec"], described["verdicts"]
    blank: dict = {"split": "", "captions": ()}
    rows = (
        Verdict(**blank | row | {"captions": tuple(row.get("captions", ()))}) for row in verdicts
    )
    return SliceInfo(
        **described | {"clip_spec": spec and ClipSpec(**spec), "verdicts": tuple(rows)}
    )


def slices_in(folder: str | Path) -> Iterator[SliceInfo]:
    """Yields the slices of a folder that are done, by number, one in memory at a time.

    Raises:
        DataError: A file of that name isn't a slice's.
    """
    folder = Path(folder)
    paths = folder.iterdir() if folder.is_dir() else ()
    numbers = (re.fullmatch(r"(\d{5,})\.json", path.name) for path in paths)
    for number in sorted(int(match[1]) for match in numbers if match):
        yield _parsed(_slice, folder / slice_name(number), "a slice's description")


def last_verdicts(folder: str | Path) -> Iterator[Verdict]:
    """Yields the last verdict of every source in a folder's slices."""
    last = {row.source: one.number for one in slices_in(folder) for row in one.verdicts}
    for one in slices_in(folder):
        yield from (row for row in one.verdicts if last[row.source] == one.number)


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
    def of_slices(
        cls, folder: Path, spec: ClipSpec, digest: str = "", features: Features | None = None
    ) -> "DatasetInfo":
        """The sum of a folder's slices; a source's last verdict counts.

        Args:
            folder: The folder.
            spec: The size of the clips.
            digest: Where one is known that the content hangs on; else that of the slices.
            features: Given for shards of features.
        """
        counts: Counter[str] = Counter()
        left_out: dict[str, LeftOut] = {}
        shards, digests = [], []
        for one in slices_in(folder):
            counts.update({name: getattr(one, name) for name in _COUNTS})
            digests.append([one.digest, one.clips, one.bytes])
            shards += [Shard(one.shard, one.clips, one.bytes)] if one.clips else []
            for verdict in one.verdicts:
                left_out.pop(verdict.source, None)
                if verdict.verdict != "ok":
                    entry = LeftOut(verdict.source, verdict.verdict, verdict.why)
                    left_out[verdict.source] = entry
        return cls(
            digest=digest or digest_of(FORMAT, spec.shape, digests),
            clip_spec=spec,
            **{name: counts[name] for name in _COUNTS},
            left_out=tuple(left_out.values()),
            shards=tuple(shards),
            features=features,
        )

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
        info = _parsed(functools.partial(cls._from_json, path), path, "a data set's description")
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
            **{name: described[name] for name in _COUNTS},
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
