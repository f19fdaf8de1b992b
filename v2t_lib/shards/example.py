"""What a shard holds of a clip: made from the clip's file, written and read.

An example holds `key`, `source`, `clip` (one JPEG of all frames, `(T * H, W, 3)`), `seconds`,
`captions`, `sentences` (the captions normalised) and, for drawn clips, `masks`; one of features
`source`, `features` (float16 or int8) and `sentences`.
"""

import contextlib
import dataclasses
import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from v2t_lib.captions_file import Record
from v2t_lib.clips.decode import Clip, decode_clip, iter_frames, sample_times
from v2t_lib.clips.files import read_clip
from v2t_lib.errors import ClipError, disk_error
from v2t_lib.specs import ClipSpec
from v2t_lib.text.vocabulary import normalise

JPEG_QUALITY = 92
#: Beside drawn clips: GIFs whose red, green and blue are objects 1 to 3.
MASK_FOLDER = "masks"
#: A file in the folder of masks that tells it from another one of that name.
DRAWN_FILE = "drawn-by-v2t.txt"


class PackedClip(NamedTuple):
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


@dataclasses.dataclass(frozen=True)
class Example:
    """One stored clip."""

    key: str  # its name
    source: str  # as the captions file has it
    captions: tuple[str, ...]  # as typed
    frames: np.ndarray  # uint8 (T, H, W, 3)
    seconds: np.ndarray  # float32 (T,)
    masks: np.ndarray | None  # bool (T, H, W, 3), where objects 1 to 3 lie; None where unknown


def packed(clip: Clip, spec: ClipSpec, path: str = "") -> PackedClip:
    """What a shard holds of a clip decoded to `spec`; with its `path` also the masks beside it."""
    file, frames = io.BytesIO(), clip.frames
    strip = Image.fromarray(frames.reshape(-1, *frames.shape[2:]))  # (T*H, W, 3)
    strip.save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    masks = read_masks(Path(path), spec) if path else b""
    return PackedClip(file.getvalue(), clip.seconds.tolist(), masks)


def read_masks(clip: Path, spec: ClipSpec) -> bytes:
    """The masks of a drawn clip as bits of `(T, H, W, 3)`; none of another, or damaged ones."""
    path = clip.parent / MASK_FOLDER / clip.name
    if not (path.with_name(DRAWN_FILE).is_file() and path.is_file()):
        return b""
    try:
        frames, durations = zip(*iter_frames(read_clip(path)), strict=True)
    except ClipError:
        return b""
    wanted, _ = sample_times(durations, spec.frames)
    size, box = (spec.width, spec.height), Image.Resampling.BOX
    masks = [np.asarray(Image.fromarray(frames[n]).resize(size, box)) > 0 for n in wanted]
    return np.packbits(np.stack(masks)).tobytes()


def decode_masks(masks: bytes, spec: ClipSpec) -> np.ndarray:
    """The bits of `PackedClip.masks` to bool `(T, H, W, 3)`."""
    bits = np.unpackbits(np.frombuffer(masks, np.uint8), count=int(np.prod(spec.shape)))
    return bits.astype(bool).reshape(spec.shape)


def judge(path: str, spec: ClipSpec | None) -> tuple[dict[str, Any], PackedClip | None]:
    """Decodes a clip's file; runs in a worker process.

    Returns the manifest's columns that follow from the bytes, and with a `spec` what goes into a
    shard if the verdict is "ok".
    """
    facts: dict[str, Any] = {}
    try:
        data = read_clip(path)
        facts = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        clip = decode_clip(data, spec or ClipSpec())
        content = packed(clip, spec, path) if spec else None
    except ClipError as error:
        return {"verdict": error.kind, "why": error.message} | facts, None
    shown = clip.original
    facts |= {"frames": shown.frames, "seconds": round(shown.seconds, 3)}
    return {"verdict": "ok", "width": shown.width, "height": shown.height} | facts, content


def load_tensorflow():
    """TensorFlow's module, loaded after Keras and its backend: PyTorch's builds for GPUs bring a
    copy of LLVM that crashes the process where TensorFlow's was loaded before it."""
    with contextlib.suppress(ImportError):  # writing shards needs no backend
        import keras  # noqa: F401
    import tensorflow as tf

    return tf


@contextlib.contextmanager
def writing_records(path: Path) -> Iterator[Any]:
    """Yields TensorFlow's module to write a TFRecord file with; a full disk is a `DataError`."""
    tf = load_tensorflow()
    try:
        yield tf
    except tf.errors.OpError as error:
        raise disk_error(path, error.message) from None


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
    return _stored(source, captions, features=[features.tobytes()])


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
