"""The loss over all captions of shards, with each caption's clip or with a wrong one."""

import collections
import itertools
from collections.abc import Sequence

import numpy as np

from v2t_lib.models.captioner import Captioner
from v2t_lib.progress import Progress
from v2t_lib.shards.reader import ShardDataset, Shards

BATCH = 64


class CaptionLoss:
    """The mean cross-entropy over captions, in nats a token, of clips that come one by one.

    At most `lag` clips and a batch of captions are kept.

    Args:
        captioner: The model. Where it is compiled for training, it stays so.
        lag: 0, or how many clips before a caption's own the clip lies that it is scored with: the
            loss of a model that gets the wrong clips. The first captions get the last clips.
    """

    def __init__(self, captioner: Captioner, lag: int = 0):
        self.captioner, self._lag = captioner, lag
        self._clips, self._first_captions = collections.deque(), []
        self._rows, self._size = [], 0  # captions to score, with their clips
        self._total, self._tokens = 0.0, 0

    def add(self, frames: np.ndarray, captions: Sequence[str], memory: np.ndarray) -> None:
        """Takes the next clip.

        Args:
            frames: uint8 `(T, H, W, 3)`.
            captions: The clip's captions.
            memory: `(S, D)`, what `Captioner.encode` made of the frames.
        """
        self._clips.append((frames, memory))
        if len(self._clips) > self._lag:
            self._pair(captions)
        else:
            self._first_captions.append(captions)

    def mean(self) -> float:
        """The loss over the clips so far, which are all there are."""
        while self._first_captions:
            self._pair(self._first_captions.pop(0))
        self._score(self._rows)
        self._rows = []
        return self._total / self._tokens

    def _pair(self, captions: Sequence[str]) -> None:
        self._rows += zip(itertools.repeat(self._clips.popleft()), captions)
        while len(self._rows) >= BATCH:
            self._score(self._rows[:BATCH])
            del self._rows[:BATCH]

    def _score(self, rows: list) -> None:
        if not rows:
            return
        self._size = max(self._size, len(rows))
        # A last batch of another size would be compiled anew.
        clips, texts = zip(*rows, *rows[-1:] * (self._size - len(rows)), strict=True)
        frames, memory = map(np.stack, zip(*clips, strict=True))
        scored = self.captioner.explain_frames(frames, texts, None, memory)
        for caption in scored[: len(rows)]:
            self._total -= caption.log_prob
            self._tokens += len(caption.words) + 1  # and END


def caption_loss(captioner: Captioner, shards: Shards, lag: int = 0) -> float:
    """The mean cross-entropy over every caption of `shards`, in nats a token.

    Args:
        captioner: As for `CaptionLoss`.
        shards: The clips.
        lag: As for `CaptionLoss`.
    """
    loss, examples = CaptionLoss(captioner, lag), ShardDataset.open(shards).examples()
    with Progress(unit="clip", desc="loss") as progress:
        while batch := list(itertools.islice(examples, BATCH)):
            memory = captioner.encode(np.stack([example.frames for example in batch]))
            for example, of_clip in zip(batch, memory, strict=True):
                loss.add(example.frames, example.captions, of_clip)
            progress.update(len(batch))
    return loss.mean()
