"""Reading shards: `ShardDataset` turns a folder into examples and `tf.data` batches."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from v2t_lib.errors import DataError
from v2t_lib.shards.example import Example, decode_masks
from v2t_lib.shards.format import DatasetInfo
from v2t_lib.shards.rows import (
    TEXT,
    TEXTS,
    drawn,
    naming_damage,
    one_a_caption,
    one_a_clip,
    one_pass,
    packer,
)
from v2t_lib.specs import CaptionSpec, ClipSpec
from v2t_lib.text.vocabulary import Vocabulary

if keras.backend.backend() != "tensorflow":
    # TensorFlow would fill the GPUs' memory, and all it does here is read. Too late where it has
    # already: it keeps what it holds.
    with contextlib.suppress(RuntimeError):
        tf.config.set_visible_devices([], "GPU")


@dataclasses.dataclass(frozen=True)
class ShardDataset:
    """A folder of shards and what its `dataset.json` says: checked once, then passed around."""

    folder: Path
    info: DatasetInfo

    @classmethod
    def open(cls, shards: "Shards", clip_spec: ClipSpec | None = None) -> "ShardDataset":
        """Opens a folder; a data set that is open already is returned as it is. Clips of another
        size than `clip_spec`, a model's, are a DataError."""
        if not isinstance(shards, ShardDataset):
            shards = cls(Path(shards), DatasetInfo.load(shards))
        if clip_spec not in (None, shards.info.clip_spec):
            raise DataError(
                f"{shards.folder}: expected clips of {clip_spec}, as the model is trained on. "
                f"Received: {shards.info.clip_spec}; pack again at the model's size"
            )
        return shards

    def _paths(self) -> list[str]:
        return [str(self.folder / shard.name) for shard in self.info.shards]

    def _parsed(self, **columns) -> Iterator[dict[str, tf.Tensor]]:
        """Yields these columns of every clip, in file order, the clip decoded."""

        def parse(record):
            row = tf.io.parse_single_example(record, columns)
            return row | {"clip": self._decode(row["clip"])} if "clip" in row else row

        records = tf.data.TFRecordDataset(self._paths(), num_parallel_reads=1)
        return self._whole(records.map(parse, num_parallel_calls=2).prefetch(8))

    def _whole(self, rows: tf.data.Dataset) -> Iterator:
        """Yields the rows; a damaged shard is named."""
        with naming_damage(self.folder, self.info):
            yield from rows

    def captions(self) -> list[str]:
        """Every caption, in file order; what a vocabulary is made from."""
        rows = self._parsed(captions=TEXTS)
        return [text.decode() for row in rows for text in row["captions"].numpy()]

    def examples(self) -> Iterator[Example]:
        """Yields every clip in file order."""
        spec = self.info.clip_spec
        seconds = tf.io.FixedLenFeature([spec.frames], tf.float32)
        texts = dict.fromkeys(("key", "source", "clip", "masks"), TEXT)
        for row in self._parsed(**texts, captions=TEXTS, seconds=seconds):
            masks = row["masks"].numpy()
            yield Example(
                key=row["key"].numpy().decode(),
                source=row["source"].numpy().decode(),
                captions=tuple(text.decode() for text in row["captions"].numpy()),
                frames=row["clip"].numpy(),
                seconds=row["seconds"].numpy(),
                masks=decode_masks(masks, spec) if masks else None,
            )

    def sentences(self) -> Iterator[list[str]]:
        """Yields each clip's captions as models see them, normalised, in file order."""
        for _, lines in self._whole(self._read("source", one_a_clip)):
            yield lines.numpy().decode().split("\n")

    def steps(self, batch_size: int, captions_per_clip: int = 0) -> int:
        """How many whole batches an epoch's captions make; none is a `DataError`."""
        captions = captions_per_clip * self.info.clips or self.info.captions
        if captions < batch_size:
            raise DataError(
                f"{self.folder}: expected at least one batch of {batch_size} captions or clips. "
                f"Received: {captions}; ask for smaller batches"
            )
        return captions // batch_size

    def batches(
        self,
        vocabulary: Vocabulary,
        caption_spec: CaptionSpec,
        batch_size: int,
        seed: int | None = None,
        epoch: int = 0,
        skip: int = 0,
        captions_per_clip: int = 0,
        share: tuple[int, int] = (0, 1),
        passes: int = 1,
    ) -> tf.data.Dataset:
        """Batches for `model.fit`: `((clips, tokens), targets)`, one row a caption.

        Args:
            vocabulary, caption_spec: Words to tokens, and how many.
            batch_size: Captions a batch.
            seed: Shuffles: the order depends on seed and epoch alone. None keeps the file's order.
            epoch: The epoch's number, with a seed.
            skip: Batches to leave out at the epoch's beginning; they are read, but not decoded.
            captions_per_clip: With a seed, how many captions of each clip are drawn; 0 for all.
            share: `(number, count)`: only part `number`, from 0, of the `count` equal parts of each
                batch, where several hosts share it; other clips are not decoded.
            passes: With a seed, how many epochs from `epoch` on follow each other in one pipeline.

        Returns:
            A dataset of `((uint8 (B, T, H, W, 3), int32 (B, L)), int32 (B, L))`; the targets are
            the tokens shifted by one. Shards of features give `(B, T, h', w', C)` for the clips.
            With a seed the last, smaller batch of each pass is dropped; fewer captions than a batch
            are a DataError.
        """
        if seed is None:
            steps, rows_of = -(-self.info.captions // batch_size), one_a_caption
        else:
            steps = self.steps(batch_size, captions_per_clip)
            rows_of = drawn(captions_per_clip) if captions_per_clip else one_a_caption
        pack = packer(vocabulary, caption_spec.length)

        def shifted(clips, sentences):
            tokens = pack(sentences)
            return (clips, tokens[:, :-1]), tokens[:, 1:]

        # Whole batches of each pass alone: of other rows one host may have enough to fill its part.
        a_pass = None if seed is None else steps * batch_size
        rows = self._read(self._column, rows_of, seed, epoch, passes, a_pass)
        dataset = self._batched(rows, batch_size, skip, share, seed is not None).map(shifted)
        left = steps * passes - skip
        return dataset.apply(tf.data.experimental.assert_cardinality(left)).prefetch(2)

    def clip_batches(
        self, batch_size: int, seed: int | None = None, epoch: int = 0, skip: int = 0
    ) -> Iterator[tuple[np.ndarray, list[list[str]]]]:
        """Batches with one row a clip, beside all its captions, normalised; `Args` as `batches`.

        Yields:
            uint8 `(B, T, H, W, 3)`, or what shards of features hold, and `B` lists of captions.
        """
        rows = self._read(self._column, one_a_clip, seed, epoch)
        dataset = self._batched(rows, batch_size, skip, (0, 1), seed is not None)
        for clips, lines in self._whole(dataset.prefetch(2)):
            yield clips.numpy(), [line.decode().split("\n") for line in lines.numpy()]

    def sources_of_batch(
        self, batch_size: int, seed: int, epoch: int, number: int, captions_per_clip: int = 0
    ) -> list[str]:
        """The clips in batch `number`, counted from 0, of what `batches` gives for the epoch."""
        rows_of = drawn(captions_per_clip) if captions_per_clip else one_a_caption
        rows = self._read("source", rows_of, seed, epoch).skip(number * batch_size)
        return [source.numpy().decode() for source, _ in rows.take(batch_size)]

    @property
    def _column(self) -> str:
        return "clip" if self.info.features is None else "features"

    def _decode(self, stored: tf.Tensor) -> tf.Tensor:
        """What a shard holds of a clip to uint8 `(T, H, W, 3)`, or its features."""
        if self.info.features is not None:
            features = self.info.features
            return tf.reshape(tf.io.decode_raw(stored, features.dtype), features.shape)
        frames = tf.io.decode_jpeg(stored, channels=3, dct_method="INTEGER_ACCURATE")  # (T*H,W,3)
        return tf.reshape(frames, self.info.clip_spec.shape)

    def _batched(
        self,
        rows: tf.data.Dataset,
        batch_size: int,
        skip: int,
        share: tuple[int, int],
        whole: bool,
    ) -> tf.data.Dataset:
        rows, (number, count) = rows.skip(skip * batch_size), share
        if count > 1:
            here = range(number * batch_size // count, (number + 1) * batch_size // count)
            mine = tf.constant([row in here for row in range(batch_size)])
            rows = rows.enumerate().filter(lambda place, _: mine[place % batch_size])
            rows = rows.map(lambda _, row: row)
        rows = rows.map(lambda stored, text: (self._decode(stored), text), tf.data.AUTOTUNE)
        return rows.batch(batch_size // count, drop_remainder=whole)

    def _read(
        self,
        column: str,
        rows_of: Callable,
        seed: int | None = None,
        epoch: int = 0,
        passes: int = 1,
        take: int | None = None,
    ) -> tf.data.Dataset:
        """A column beside the captions, in the file's order or the epoch's, as rows that `rows_of`
        makes of clips' captions; with `passes`, the first `take` of so many epochs in turn."""
        a_pass = functools.partial(
            one_pass, column=column, rows_of=rows_of, shuffled=seed is not None, take=take
        )
        orders = [self._order(seed, epoch + number) for number in range(passes)]
        if passes == 1:
            return a_pass(*orders[0])
        paths, keys = (np.stack(parts) for parts in zip(*orders, strict=True))
        return tf.data.Dataset.from_tensor_slices((paths, keys)).flat_map(a_pass)

    def _order(self, seed: int | None, epoch: int) -> tuple[list[str], np.ndarray]:
        """The order of the shards, and the key that shuffles the rows within them."""
        paths = self._paths()
        if seed is None:
            return paths, np.zeros(2, np.int64)
        rng = np.random.default_rng([seed, epoch])
        paths = [paths[number] for number in rng.permutation(len(paths))]
        return paths, rng.integers(2**31, size=2)


#: What users may give for a data set: an open one, or its folder.
Shards = str | Path | ShardDataset
