"""Features of a frozen image network: computed once for every clip, then kept in shards."""

import dataclasses
import hashlib
import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np

from v2t_lib.models.distribution import split
from v2t_lib.models.encoders.frame import FrameEncoder
from v2t_lib.progress import Progress
from v2t_lib.shards.example import StoredExample, feature_example
from v2t_lib.shards.format import DatasetInfo, Features, fingerprint, is_finished
from v2t_lib.shards.reader import Example, ShardDataset, Shards
from v2t_lib.shards.writer import ShardWriter

BATCH = 16


class FeatureWriter(keras.Model):
    """`FrameEncoder.features` as a model of its own, so that Keras compiles it."""

    def __init__(self, encoder: FrameEncoder):
        super().__init__()
        self.encoder = encoder
        self.built = True
        self.compile(jit_compile=keras.backend.backend() == "jax")

    def call(self, clips):
        return keras.ops.cast(self.encoder.features(clips), "float16")


def _digest(encoder: FrameEncoder) -> str:
    """Eight hexadecimal digits that change with the image network's weights."""
    digest = hashlib.sha256()
    for weight in encoder.backbone.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()[:8]


def _featured(examples: Iterator[Example], model: FeatureWriter) -> Iterator[StoredExample]:
    while batch := list(itertools.islice(examples, BATCH)):
        cells = model.predict_on_batch(split(np.stack([example.frames for example in batch])))
        for example, features in zip(batch, cells, strict=True):
            yield feature_example(example.source, example.captions, features)


def _compute(encoder: FrameEncoder, shards: ShardDataset, writer: ShardWriter) -> DatasetInfo:
    """Computes the features a shard for a shard, so that their order by seed is the clips'."""
    writer.recover()
    model, examples = FeatureWriter(encoder), shards.examples()
    with Progress(total=shards.info.clips, unit="clip", desc="features") as progress:
        for number, shard in enumerate(shards.info.shards):
            of_shard = itertools.islice(examples, shard.clips)
            if writer.has(number):
                progress.update(sum(1 for _ in of_shard))
                continue
            for stored in _featured(of_shard, model):
                writer.append(stored)
                progress.update()
            writer.seal()
    return writer.finish()


def cached_features(
    encoder: keras.layers.Layer, shards: Shards, fallback: Path | None = None
) -> ShardDataset:
    """The features of the clips in `shards`, computed where they aren't there yet.

    They are kept in `shards`, in a folder named after the image network and its weights; its
    `dataset.json` names both. Interrupted, the next call continues after the last whole shard.

    Args:
        encoder: A built encoder.
        shards: Clips of the size that the encoder was built for.
        fallback: The folder for the features of shards that lie where nothing can be written.

    Returns:
        Shards of features; `shards` themselves for an encoder without a frozen image network,
        whose features change as it trains.
    """
    shards = ShardDataset.open(shards)
    if not (isinstance(encoder, FrameEncoder) and encoder.frozen):
        return shards
    features = Features(encoder.application, _digest(encoder), tuple(encoder.feature_shape))
    folder = shards.folder / f"features-{features.network}-{features.weights}"
    plan = fingerprint(shards.info.fingerprint, dataclasses.asdict(features))
    if fallback and not is_finished(folder) and not os.access(shards.folder, os.W_OK):
        folder = fallback / f"{folder.name}-{plan[:8]}"
    if is_finished(folder):
        info = DatasetInfo.load(folder)
        if info.fingerprint == plan:
            return ShardDataset(folder, info)
        shutil.rmtree(folder)  # of clips that have changed since
    writer = ShardWriter(folder, shards.info.clip_spec, plan, features)
    return ShardDataset(folder, _compute(encoder, shards, writer))
