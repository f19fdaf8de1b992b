"""The loss over all captions of shards, with each caption's clip or with a wrong one."""

import collections
import itertools
from collections.abc import Iterator

import numpy as np

from v2t_lib.models.captioner import Captioner
from v2t_lib.progress import Progress
from v2t_lib.shards.reader import ShardDataset, Shards

BATCH = 64


def caption_loss(captioner: Captioner, shards: Shards, lag: int = 0) -> float:
    """The mean cross-entropy over every caption of `shards`, in nats a token.

    Args:
        captioner: The model. Where it is compiled for training, it stays so.
        shards: The clips.
        lag: 0, or how many clips before a caption's own the clip lies that it is scored with: the
            loss of a model that gets the wrong clips.
    """
    total, tokens, pairs, size = 0.0, 0, _pairs(ShardDataset.open(shards), lag), 0
    with Progress(unit="caption", desc="loss") as progress:
        while batch := list(itertools.islice(pairs, BATCH)):
            size = max(size, len(batch))
            # A last batch of another size would be compiled anew.
            frames, texts = zip(*batch, *batch[-1:] * (size - len(batch)), strict=True)
            frames = np.stack(frames)
            features = captioner.features(frames)
            for caption in captioner.explain_frames(frames, texts, None, features)[: len(batch)]:
                total -= caption.log_prob
                tokens += len(caption.words) + 1  # and END
            progress.update(len(batch))
    return total / tokens


def _pairs(shards: ShardDataset, lag: int) -> Iterator[tuple[np.ndarray, str]]:
    """Every caption with the frames of the clip `lag` before its own; the first with the last."""
    frames, waiting = collections.deque(), []
    for example in shards.examples():
        frames.append(example.frames)
        waiting.append(example.captions)
        if len(frames) > lag:
            yield from zip(itertools.repeat(frames.popleft()), waiting.pop())
    for captions in waiting:
        yield from zip(itertools.repeat(frames.popleft()), captions)
