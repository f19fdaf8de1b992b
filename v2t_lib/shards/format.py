"""Shards: clips decoded once, kept as TFRecords, with a `dataset.json` that says what is there.

A clip is one JPEG: its frames stacked into a film strip, which costs one header and one decoder
call a clip. An example holds `key`, `source`, `clip` (JPEG of `(T * H, W, 3)`), `seconds` `(T,)`,
`captions`, `sentences` (the captions normalised) and, for drawn clips, `masks` (bits of
`(T, H, W, 3)`: where objects 1 to 3 lie). `dataset.json` is written last: without it a directory
is an unfinished pack and is not read.
"""

import contextlib
import dataclasses
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from v2t_lib.captions_file import Record
from v2t_lib.errors import DataError, disk_error
from v2t_lib.files import replacing
from v2t_lib.specs import ClipSpec
from v2t_lib.text.vocabulary import normalise

FORMAT = 1
JPEG_QUALITY = 92


@dataclasses.dataclass(frozen=True)
class PackedClip:
    """One clip as a shard holds it; `masks` is empty where the data has none."""

    clip: bytes
    seconds: list[float]
    masks: bytes


def encode_strip(frames: np.ndarray) -> bytes:
    """uint8 `(T, H, W, 3)` frames to one JPEG of `(T * H, W, 3)`, colours at full resolution."""
    file = io.BytesIO()
    Image.fromarray(frames.reshape(-1, *frames.shape[2:])).save(
        file, "JPEG", quality=JPEG_QUALITY, subsampling=0
    )
    return file.getvalue()


def decode_masks(masks: bytes, spec: ClipSpec) -> np.ndarray:
    """The bits of `PackedClip.masks` to bool `(T, H, W, 3)`."""
    bits = np.unpackbits(np.frombuffer(masks, np.uint8), count=int(np.prod(spec.shape)))
    return bits.astype(bool).reshape(spec.shape)


def write_json(path: Path, value: dict) -> None:
    """Writes JSON, whole or not at all."""
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def example(record: Record, packed: PackedClip) -> bytes:
    """A clip and its captions as a serialised `tf.train.Example`."""
    import tensorflow as tf

    def texts(values):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    features = {
        "key": texts([record.key.encode()]),
        "source": texts([record.source.encode()]),
        "clip": texts([packed.clip]),
        "masks": texts([packed.masks]),
        "seconds": tf.train.Feature(float_list=tf.train.FloatList(value=packed.seconds)),
        "captions": texts([caption.encode() for caption in record.captions]),
        "sentences": texts([normalise(caption).encode() for caption in record.captions]),
    }
    serialised = tf.train.Example(features=tf.train.Features(feature=features))
    # Else the features' order differs from one process to the next.
    return serialised.SerializeToString(deterministic=True)


class RecordWriter:
    """A TFRecord file under way: what `write` has returned from, a kill doesn't lose.

    Args:
        path: The file, made anew.
    """

    def __init__(self, path: Path):
        import tensorflow as tf

        self._path, self._error = path, tf.errors.OpError
        with self._writing():
            self._writer = tf.io.TFRecordWriter(str(path))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except self._error as error:
            raise disk_error(self._path, error.message) from None

    def write(self, serialised: bytes) -> None:
        """Adds an example and hands it to the system.

        Raises:
            DataError: The disk takes no more.
        """
        with self._writing():
            self._writer.write(serialised)
            self._writer.flush()

    def close(self) -> None:
        """Closes the file."""
        with self._writing():
            self._writer.close()


def feature_example(source: str, captions: Sequence[str], features: np.ndarray) -> bytes:
    """A clip's features and captions, serialised: what a picture network made of its frames."""
    import tensorflow as tf

    def texts(values):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    row = {
        "source": texts([source.encode()]),
        "features": texts([features.astype(np.float16).tobytes()]),
        "sentences": texts([normalise(caption).encode() for caption in captions]),
    }
    serialised = tf.train.Example(features=tf.train.Features(feature=row))
    return serialised.SerializeToString(deterministic=True)


def write_records(path: Path, examples: Iterable[bytes]) -> None:
    """Writes a TFRecord file under a temporary name, then gives it its own."""
    with replacing(path) as temporary:
        writer = RecordWriter(temporary)
        for serialised in examples:
            writer.write(serialised)
        writer.close()


def whole_examples(path: Path) -> Iterator[tuple[bytes, str, int, bool]]:
    """Yields what a TFRecord file holds up to its end or to where it was cut off.

    Yields:
        `(serialised, source, captions, masked)`: the example, its source, how many captions it
        has, and whether it has masks.
    """
    import tensorflow as tf

    records = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    with contextlib.suppress(tf.errors.DataLossError):
        for serialised in records:
            feature = tf.train.Example.FromString(serialised).features.feature
            source = feature["source"].bytes_list.value[0].decode()
            captions = len(feature["captions"].bytes_list.value)
            yield serialised, source, captions, bool(feature["masks"].bytes_list.value[0])


def describe(shards: str | Path) -> dict:
    """Reads `dataset.json` and checks that every shard is there, whole.

    Raises:
        DataError: An unfinished pack, another format, or a shard that's missing or cut.
    """
    path = Path(shards) / "dataset.json"
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
        if described["format"] != FORMAT:
            raise DataError(
                f"{path}: expected format {FORMAT}. Received: {described['format']!r}; pack again"
            )
        ClipSpec(**described["clip_spec"])
        sizes = {shard["name"]: shard["bytes"] for shard in described["shards"]}
    except FileNotFoundError:
        raise DataError(
            f"{shards}: expected shards with a dataset.json. Received: none; run `v2t pack` (again)"
        ) from None
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: expected a data set's description. Received: {error!r}") from None
    for name, size in sizes.items():
        file = path.with_name(name)
        found = file.stat().st_size if file.exists() else None
        if found != size:
            raise DataError(f"{file}: expected {size} bytes. Received: {found}; pack again")
    return described


def clip_spec(shards: str | Path) -> ClipSpec:
    """The size of the clips in a shard directory."""
    return ClipSpec(**describe(shards)["clip_spec"])


def shard_paths(shards: str | Path) -> list[str]:
    """The shard files, in order."""
    return [str(Path(shards) / shard["name"]) for shard in describe(shards)["shards"]]
