"""What a frozen picture network makes of every clip, computed once and kept in shards."""

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from v2t_lib.models.distribution import split
from v2t_lib.models.encoders.frame import FrameEncoder
from v2t_lib.shards.format import clip_spec, describe, feature_example, write_json, write_records
from v2t_lib.shards.reader import Example, iter_examples

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
    """Eight letters that change with the picture network's weights."""
    digest = hashlib.sha256()
    for weight in encoder.backbone.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()[:8]


def _rows(
    examples: Iterator[Example], count: int, model: FeatureWriter, progress
) -> Iterator[bytes]:
    for first in range(0, count, BATCH):
        batch = list(itertools.islice(examples, min(BATCH, count - first)))
        cells = model.predict_on_batch(split(np.stack([example.frames for example in batch])))
        for example, features in zip(batch, cells, strict=True):
            yield feature_example(example.source, example.captions, features)
            progress.update()


def cached_features(encoder: keras.layers.Layer, shards: str | Path) -> Path:
    """Shards with the features of the clips in `shards`, made where they aren't there yet; `shards`
    themselves for an encoder without a frozen picture network, whose features change.

    They lie in `shards`, in a directory named after the picture network and its weights; its
    `dataset.json` names both and the clip spec, and is written last. Interrupted, the work goes on
    with the shard it was in.

    Args:
        encoder: A built encoder.
        shards: Clips of the size that the encoder was built for.
    """
    if not (isinstance(encoder, FrameEncoder) and encoder.frozen):
        return Path(shards)
    described, digest = describe(shards), _digest(encoder)
    out = Path(shards) / f"features-{encoder.application}-{digest}"
    if (out / "dataset.json").exists():
        return out
    out.mkdir(exist_ok=True)
    model, examples, made = FeatureWriter(encoder), iter_examples(shards), []
    with tqdm(total=described["clips"], unit="clip", desc="features") as progress:
        for shard in described["shards"]:
            path = out / shard["name"]
            if path.exists():
                progress.update(sum(1 for _ in itertools.islice(examples, shard["clips"])))
            else:
                write_records(path, _rows(examples, shard["clips"], model, progress))
            made.append(shard | {"bytes": path.stat().st_size})
    about = {
        "network": encoder.application,
        "weights": digest,
        "shape": list(encoder.feature_shape),
    }
    write_json(
        out / "dataset.json",
        {
            "format": described["format"],
            "plan": hashlib.sha256(json.dumps([described["plan"], about]).encode()).hexdigest(),
            "clip_spec": dataclasses.asdict(clip_spec(shards)),
            "clips": described["clips"],
            "captions": described["captions"],
            "masks": 0,
            "bytes": sum(shard["bytes"] for shard in made),
            "left_out": [],
            "shards": made,
            "features": about,
        },
    )
    return out
