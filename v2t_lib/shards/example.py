"""What a shard holds of a clip: the examples in its TFRecord file, written and read.

A clip is one JPEG: its frames stacked into a film strip, which costs one header and one decoder
call a clip. An example holds `key`, `source`, `clip` (JPEG of `(T * H, W, 3)`), `seconds` `(T,)`,
`captions`, `sentences` (the captions normalised) and, for drawn clips, `masks` (bits of
`(T, H, W, 3)`: where objects 1 to 3 lie). An example of features holds `source`, `features`
(float16 or int8) and `sentences`.
"""

import contextlib
import dataclasses
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from v2t_lib.captions_file import Record
from v2t_lib.errors import disk_error
from v2t_lib.shards.load_tensorflow import load_tensorflow
from v2t_lib.specs import ClipSpec
from v2t_lib.text.vocabulary import normalise

JPEG_QUALITY = 92


@dataclasses.dataclass(frozen=True)
class PackedClip:
    """One clip as a shard holds it; `masks` is empty where the data has none."""

    clip: bytes
    seconds: list[float]
    masks: bytes


class StoredExample(NamedTuple):
    """A serialised `tf.train.Example`, and what is counted of it."""

    serialised: bytes
    source: str
    captions: int
    masked: bool

    @property
    def counts(self) -> dict[str, int]:
        """What it adds to the counts of a shard."""
        return {"clips": 1, "captions": self.captions, "masks": int(self.masked)}


@dataclasses.dataclass(frozen=True)
class Example:
    """One stored clip.

    Attributes:
        key: Its name.
        source: Where it came from, as the captions file has it.
        captions: Its captions as typed.
        frames: uint8 `(T, H, W, 3)`.
        seconds: float32 `(T,)`.
        masks: bool `(T, H, W, 3)`, where objects 1 to 3 lie; None where the data does not say.
    """

    key: str
    source: str
    captions: tuple[str, ...]
    frames: np.ndarray
    seconds: np.ndarray
    masks: np.ndarray | None


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


def _stored(source: str, captions: Sequence[str], /, **columns: list) -> StoredExample:
    tf = load_tensorflow()
    columns["source"] = [source.encode()]
    columns["sentences"] = [normalise(caption).encode() for caption in captions]
    features = {
        name: tf.train.Feature(float_list=tf.train.FloatList(value=values))
        if name == "seconds"
        else tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        for name, values in columns.items()
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    # Otherwise the order of the features differs from one process to the next.
    serialised = example.SerializeToString(deterministic=True)
    return StoredExample(serialised, source, len(captions), any(columns.get("masks", ())))


def clip_example(record: Record, packed: PackedClip) -> StoredExample:
    """A clip with its captions."""
    return _stored(
        record.source,
        record.captions,
        key=[record.key.encode()],
        clip=[packed.clip],
        masks=[packed.masks],
        seconds=packed.seconds,
        captions=[caption.encode() for caption in record.captions],
    )


def feature_example(source: str, captions: Sequence[str], features: np.ndarray) -> StoredExample:
    """A clip's features, as they are, with its captions."""
    return _stored(source, captions, features=[features.tobytes()])


class RecordWriter:
    """A TFRecord file being written: a kill loses nothing that `write` has returned from.

    Args:
        path: The file; one that is there is overwritten.
    """

    def __init__(self, path: Path):
        tf = load_tensorflow()
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
        """Adds an example and hands it to the operating system.

        Raises:
            DataError: The disk is full.
        """
        with self._writing():
            self._writer.write(serialised)
            self._writer.flush()

    def close(self) -> None:
        """Closes the file."""
        with self._writing():
            self._writer.close()


def whole_examples(path: Path) -> Iterator[StoredExample]:
    """Yields the examples of a TFRecord file up to its end, or to where it is damaged or cut."""
    tf = load_tensorflow()
    records = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    with contextlib.suppress(tf.errors.DataLossError):
        for serialised in records:
            feature = tf.train.Example.FromString(serialised).features.feature
            source = feature["source"].bytes_list.value[0].decode()
            captions = len(feature["sentences"].bytes_list.value)
            masked = any(feature["masks"].bytes_list.value)
            yield StoredExample(serialised, source, captions, masked)
