"""Features of a frozen image network: computed once for every clip, then kept in shards."""

import dataclasses
import hashlib
import itertools
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import keras
import numpy as np
from keras import ops

from v2t_lib.errors import DataError
from v2t_lib.files import locked, replacing
from v2t_lib.models.compiled import Compiled, of_distinct_frames
from v2t_lib.models.encoders.frame import FrameEncoder
from v2t_lib.progress import Progress, log
from v2t_lib.shards.example import Example, StoredExample, feature_example
from v2t_lib.shards.format import Features, digest_of, is_finished
from v2t_lib.shards.reader import ShardDataset, Shards
from v2t_lib.shards.slices import SliceWriter, slices_in, sum_up

BATCH = 16
#: Clips that the principal components are fitted on.
FITTED_ON = 256
_COMPONENTS = ("mean", "axes", "deviation")


def frozen_variables(encoder: keras.layers.Layer) -> list:
    """Those of a frozen image network, without its projection, which is fitted to clips."""
    return encoder.backbone.variables if getattr(encoder, "frozen", False) else []


def weights_digest(weights: Iterable) -> str:
    """The SHA-256 of weights, arrays or variables."""
    digest = hashlib.sha256()
    for weight in weights:
        digest.update(np.ascontiguousarray(weight).data)
    return digest.hexdigest()


def cached_features(
    encoder: keras.layers.Layer,
    shards: Shards,
    cache: str | Path | None = None,
    fallback: Path | None = None,
) -> ShardDataset:
    """The features of the clips in `shards`, computed where they aren't there yet.

    A folder of features is named after all that they depend on: image network, weights, components
    and data set. Of two processes that need the same ones, one computes them and the other waits.
    Interrupted, the next call continues after the last whole slice.

    Args:
        encoder: A built encoder; its principal components are fitted to the first clips unless
            they are fitted already, and kept beside the features.
        shards: Clips of the size that the encoder was built for; returned as they are for an
            encoder without a frozen image network.
        cache: Where the folders are made; in `shards` when left out.
        fallback: Where they are made for shards that lie where nothing can be written.
    """
    shards = ShardDataset.open(shards)
    if not (isinstance(encoder, FrameEncoder) and encoder.frozen):
        return shards
    if shards.info.features is not None:
        raise DataError(
            f"{shards.folder}: expected shards of clips. Received: features of "
            f"{shards.info.features.network}; name the folder that they were computed from"
        )
    roots = [Path(cache or shards.folder)]
    if not cache and fallback and not os.access(shards.folder, os.W_OK):
        roots.append(fallback)
    if encoder.projection is not None and not encoder.projection.fitted:
        _set_projection(encoder, shards, roots)
    weights = encoder.projection.get_weights() if encoder.projection is not None else []
    digest = weights_digest([encoder.stride, *encoder.backbone.get_weights(), *weights])[:8]
    shape, dtype = tuple(encoder.feature_shape), encoder.feature_dtype
    features = Features(encoder.network, digest, shape, dtype)
    key = digest_of(*_about(shards), dataclasses.asdict(features))
    folder = _entry(roots, f"features-{features.network}-{digest}-{key[:8]}", "dataset.json")
    if not is_finished(folder):
        with locked(folder):
            if not is_finished(folder):  # by a process that this one waited for
                return _computed(encoder, shards, folder, key, features)
    return ShardDataset.open(folder)


def _about(shards: ShardDataset) -> tuple:
    """What features depend on besides the encoder: captions, clips by their size, and clip spec."""
    info = shards.info
    sizes = [dataclasses.asdict(shard) for shard in info.shards]
    return info.digest, sizes, dataclasses.asdict(info.clip_spec)


def _entry(roots: list[Path], name: str, file: str) -> Path:
    """The cache's folder of this name: the first that has `file`, else one in the last root."""
    folders = [root / name for root in roots]
    return next((folder for folder in folders if (folder / file).exists()), folders[-1])


def _set_projection(encoder: FrameEncoder, shards: ShardDataset, roots: list[Path]) -> None:
    """Sets the components: those of an earlier training, or fitted to clips of the shards."""
    projection = encoder.projection
    weights = weights_digest([encoder.stride, *encoder.backbone.get_weights()])
    key = digest_of(*_about(shards), weights, projection.components)
    name = f"components-{encoder.network}-{projection.components}-{key[:12]}"
    path = _entry(roots, name, "components.npz") / "components.npz"
    if not path.exists():
        with locked(path.parent):
            if not path.exists():
                _fit_projection(encoder, shards)
                parts = dict(zip(_COMPONENTS, projection.get_weights(), strict=True))
                with replacing(path) as temporary, open(temporary, "wb") as file:
                    np.savez(file, **parts)
    with np.load(path) as parts:
        projection.set_weights([parts[name] for name in _COMPONENTS])


def _fit_projection(encoder: FrameEncoder, shards: ShardDataset) -> None:
    model, cells = Compiled(lambda f: ops.cast(encoder.cells_of(f), "float16"), encoder), []
    for clips, _ in itertools.islice(shards.clip_batches(BATCH), -(-FITTED_ON // BATCH)):
        found = of_distinct_frames(model, clips, encoder.together)
        cells.append(found.reshape(-1, found.shape[-1]))
    encoder.projection.fit(np.concatenate(cells))


def _computed(
    encoder: FrameEncoder, shards: ShardDataset, folder: Path, key: str, features: Features
) -> ShardDataset:
    """Computes the features a slice for a shard, so that their order by seed is the clips'."""
    model, examples = Compiled(encoder.stored, encoder), shards.examples()
    spec = shards.info.clip_spec
    _check_space(encoder, shards.info.clips, folder)
    done = {one.number for one in slices_in(folder) if one.digest == key and one.is_whole(folder)}
    with Progress(total=shards.info.clips, unit="clip", desc="features") as progress:
        for number, shard in enumerate(shards.info.shards):
            of_shard = itertools.islice(examples, shard.clips)
            if number in done:
                progress.update(sum(1 for _ in of_shard))
                continue
            writer = SliceWriter(folder, number)
            for stored in _featured(of_shard, encoder, model):
                writer.add(stored)
                progress.update()
            writer.finish(spec, key)
    return ShardDataset(folder, sum_up(folder, spec, key, features))


def _featured(
    examples: Iterator[Example], encoder: FrameEncoder, model: Compiled
) -> Iterator[StoredExample]:
    while batch := list(itertools.islice(examples, BATCH)):
        frames = np.stack([example.frames for example in batch])
        cells = of_distinct_frames(model, frames, encoder.together)
        for example, features in zip(batch, cells, strict=True):
            yield feature_example(example.source, example.captions, features)


def _check_space(encoder: FrameEncoder, clips: int, folder: Path) -> None:
    needed = clips * encoder.feature_bytes
    written = sum(path.stat().st_size for path in folder.glob("*"))  # by an interrupted run
    free = shutil.disk_usage(folder.parent).free
    size = f"{needed / 1e6:,.1f} MB for the features of {clips:,} clips"
    if needed - written > free:
        raise DataError(
            f"{folder}: expected {size}. Received: {free / 1e6:,.0f} MB free; keep fewer "
            "components (--encoder-option components=128), delete features that are no longer "
            f"used ({folder.parent / 'features-*'}), or name another disk: --cache DIR"
        )
    log.info(f"{folder}: {size}, computed once")
