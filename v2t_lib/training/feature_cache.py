"""Features of a frozen image network: computed once for every clip, then kept in shards."""

import dataclasses
import hashlib
import itertools
import math
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np

from v2t_lib.errors import DataError
from v2t_lib.files import replacing
from v2t_lib.models.compiled import FRAMES, CompiledFeatures
from v2t_lib.models.encoders.frame import FrameEncoder
from v2t_lib.progress import Progress, log
from v2t_lib.shards.example import StoredExample, feature_example
from v2t_lib.shards.format import DatasetInfo, Features, digest_of, is_finished, slices_in
from v2t_lib.shards.reader import Example, ShardDataset, Shards
from v2t_lib.shards.slices import SliceWriter

BATCH = 16
#: Clips that the principal components are fitted on.
FITTED_ON = 256


def _digest(encoder: FrameEncoder) -> str:
    """Eight hexadecimal digits that change with the image network's weights."""
    digest = hashlib.sha256(str(encoder.stride).encode())
    parts = encoder.backbone.get_weights()
    if encoder.projection is not None and encoder.projection.fitted:
        parts += encoder.projection.get_weights()
    for weight in parts:
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()[:8]


def _featured(examples: Iterator[Example], model: CompiledFeatures) -> Iterator[StoredExample]:
    while batch := list(itertools.islice(examples, BATCH)):
        cells = model.of_clips(np.stack([example.frames for example in batch]))
        for example, features in zip(batch, cells, strict=True):
            yield feature_example(example.source, example.captions, features)


def _compute(
    model: CompiledFeatures, shards: ShardDataset, folder: Path, digest: str, features: Features
) -> DatasetInfo:
    """Computes the features a shard for a shard, so that their order by seed is the clips'."""
    examples, spec = shards.examples(), shards.info.clip_spec
    done = {
        one.number for one in slices_in(folder) if one.digest == digest and one.is_whole(folder)
    }
    with Progress(total=shards.info.clips, unit="clip", desc="features") as progress:
        for number, shard in enumerate(shards.info.shards):
            of_shard = itertools.islice(examples, shard.clips)
            if number in done:
                progress.update(sum(1 for _ in of_shard))
                continue
            writer = SliceWriter(folder, number)
            for stored in _featured(of_shard, model):
                writer.add(stored)
                progress.update()
            writer.finish(spec, digest)
    info = DatasetInfo.of_slices(folder, spec, digest, features)
    info.save(folder)
    return info


def _fit_projection(encoder: FrameEncoder, shards: ShardDataset, path: Path) -> None:
    """Sets the components from the file of an earlier run, or from clips of the shards."""
    if path.exists():
        with np.load(path) as parts:
            encoder.projection.set_weights([parts[name] for name in ("mean", "axes", "deviation")])
        return
    model, cells = CompiledFeatures(encoder, projected=False), []
    batches = itertools.islice(shards.clip_batches(BATCH), -(-FITTED_ON // BATCH))
    for clips, _ in batches:
        found = model.of_clips(clips)
        cells.append(found.reshape(-1, found.shape[-1]))
    encoder.projection.fit(np.concatenate(cells))
    mean, axes, deviation = encoder.projection.get_weights()
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, mean=mean, axes=axes, deviation=deviation)


def cached_features(
    encoder: keras.layers.Layer,
    shards: Shards,
    cache: str | Path | None = None,
    fallback: Path | None = None,
) -> ShardDataset:
    """The features of the clips in `shards`, computed where they aren't there yet.

    They are kept in a folder named after the image network and its weights; its `dataset.json`
    names both. Interrupted, the next call continues after the last whole shard. Principal
    components are fitted on the first clips of the first shards that an encoder is called with,
    the training shards, and kept beside the features.

    Args:
        encoder: A built encoder.
        shards: Clips of the size that the encoder was built for.
        cache: Where the folder is made; in `shards` when left out.
        fallback: The folder for the features of shards that lie where nothing can be written.

    Returns:
        Shards of features; `shards` themselves for an encoder without a frozen image network,
        whose features change as it trains.

    Raises:
        DataError: `shards` hold features, or the disk has no room for more.
    """
    shards = ShardDataset.open(shards)
    if not (isinstance(encoder, FrameEncoder) and encoder.frozen):
        return shards
    if shards.info.features is not None:
        raise DataError(
            f"{shards.folder}: expected shards of clips. Received: features of "
            f"{shards.info.features.network}; name the folder that they were computed from"
        )
    root = Path(cache) if cache else shards.folder
    if cache or os.access(root, os.W_OK):
        fallback = None
    (fallback or root).mkdir(parents=True, exist_ok=True)
    if encoder.projection is not None and not encoder.projection.fitted:
        path = root / f"components-{encoder.network}-{_digest(encoder)}.npz"
        if fallback and not path.exists():
            path = fallback / path.name
        _fit_projection(encoder, shards, path)
    shape, dtype = tuple(encoder.feature_shape), encoder.feature_dtype
    features = Features(encoder.network, _digest(encoder), shape, dtype)
    plan = digest_of(shards.info.digest, dataclasses.asdict(features))
    name = f"features-{features.network}-{features.weights}"
    # Where features of several data sets meet, each has a name of its own.
    folder = root / (f"{name}-{plan[:8]}" if cache else name)
    if fallback and not is_finished(folder):
        folder = fallback / f"{name}-{plan[:8]}"
    if is_finished(folder):
        info = DatasetInfo.load(folder)
        if info.digest == plan:
            return ShardDataset(folder, info)
        shutil.rmtree(folder)  # of clips that have changed since
    model = CompiledFeatures(encoder)
    _check_space(model, shards.info.clips, folder)
    return ShardDataset(folder, _compute(model, shards, folder, plan, features))


def _check_space(model: CompiledFeatures, clips: int, folder: Path) -> None:
    needed = clips * model.encoder.feature_bytes
    there = sum(path.stat().st_size for path in folder.glob("*"))  # of a run that was interrupted
    free = shutil.disk_usage(folder.parent).free
    size = f"{needed / 1e6:,.1f} MB for the features of {clips:,} clips"
    if needed - there > free:
        raise DataError(
            f"{folder}: expected {size}. Received: {free / 1e6:,.0f} MB free; keep fewer "
            "components (--encoder-option components=128), or name another disk: --cache DIR"
        )
    minutes = _seconds_a_frame(model) * clips * model.encoder.feature_shape[0] / 60
    log.info(f"{folder}: {size}, computed once, in {math.ceil(minutes)} min or less")


def _seconds_a_frame(model: CompiledFeatures) -> float:
    """Measured on frames that all differ, as they do in long clips."""
    picture = model.encoder.backbone.input.shape[1:]
    noise = np.random.default_rng(0).integers(0, 256, (1, FRAMES, *picture), dtype=np.uint8)
    model.of_clips(noise)  # compiles
    start = time.perf_counter()
    model.of_clips(noise)
    return (time.perf_counter() - start) / FRAMES
