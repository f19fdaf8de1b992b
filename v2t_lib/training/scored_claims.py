"""Scoring true sentences and foils about the clips of shards, each clip encoded once."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from v2t_lib.errors import DataError, SentenceError
from v2t_lib.metrics.foils import TRUE, Claim, claims
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.compiled import filled_up
from v2t_lib.models.verification import words_of
from v2t_lib.models.verifier import pooled
from v2t_lib.progress import Progress
from v2t_lib.shards.reader import ShardDataset, Shards

#: Clips at once; each has some 16 sentences, whose logits take most of the memory.
BATCH = 8
#: Clips that claims are made of, at most.
CLIPS = 1000


@dataclasses.dataclass(frozen=True)
class ScoredClaims:
    """Claims with each word's log-probabilities.

    Attributes:
        claims: The claims.
        seeing: For each claim float32 `(words,)`, log-probabilities given the clip.
        blind: The same where nothing is seen.
        pooled: float32 `(clips, F)`, the clips' `pooled` memories.
    """

    claims: list[Claim]
    seeing: list[np.ndarray]
    blind: list[np.ndarray]
    pooled: np.ndarray

    @property
    def lifts(self) -> list[np.ndarray]:
        """Each claim's lifts, `(words,)`."""
        return [a - b for a, b in zip(self.seeing, self.blind, strict=True)]

    @property
    def true(self) -> np.ndarray:
        """bool `(claims,)`: whether each is true."""
        return np.array([claim.kind == TRUE for claim in self.claims])

    @property
    def clips(self) -> np.ndarray:
        """int `(claims,)`: each claim's clip."""
        return np.array([claim.clip for claim in self.claims])


def judgeable_by(captioner: Captioner) -> Callable[[str], bool]:
    """The test whether the model can judge a sentence: it knows the words and writes as many."""

    def judgeable(sentence: str) -> bool:
        try:
            words = words_of(sentence, captioner.caption_spec)
        except SentenceError:
            return False
        return all(word in captioner.vocabulary for word in words)

    return judgeable


def score_claims(
    captioner: Captioner, shards: Shards, per_clip: int = 4, seed: int = 0
) -> ScoredClaims:
    """Scores true sentences and foils about every clip, each clip encoded once.

    Args:
        captioner: A model with its null memory.
        shards: Held-out clips, or their features.
        per_clip: Captions of a clip that are claimed of it, at most.
        seed: Of the choice of captions and foils.
    """
    shards = ShardDataset.open(shards)
    captions = list(itertools.islice(shards.sentences(), CLIPS))
    unit = captioner.caption_spec.unit
    found = claims(captions, judgeable_by(captioner), per_clip, seed, unit)
    of_clip = [[] for _ in captions]
    for claim in found:
        of_clip[claim.clip].append(claim.sentence)
    if not found:
        raise DataError(
            f"{shards.folder}: expected captions that the model can judge. Received: none whose "
            "words it knows; calibrate on clips like those it was trained on"
        )
    most = max(map(len, of_clip))
    seeing, blind, means = [], [], []
    starts, batches = range(0, len(captions), BATCH), _even(shards.clip_batches(BATCH))
    with Progress(total=len(captions), unit="clip", desc="verify") as progress:
        for first, (inputs, _) in zip(starts, batches, strict=False):
            sentences = of_clip[first : first + BATCH]
            tokens = _tokens(captioner, sentences, most, len(inputs))
            memory = captioner.encode(inputs)
            scored, unseen = captioner.score_tokens(memory, tokens)
            for row, texts in enumerate(sentences):
                for column, text in enumerate(texts):
                    words = len(text.split())
                    seeing.append(scored.log_probs[row, column, :words])
                    blind.append(unseen[row, column, :words])
            means.append(pooled(memory)[: len(sentences)])
            progress.update(len(sentences))
    return ScoredClaims(found, seeing, blind, np.concatenate(means))


def _even(batches: Iterator) -> Iterator:
    """The batches, all of the first one's size."""
    size = 0
    for inputs, captions in batches:
        size = max(size, len(inputs))
        yield np.stack(filled_up(inputs, size)), captions


def _tokens(captioner: Captioner, sentences: Sequence, count: int, rows: int) -> np.ndarray:
    """int32 `(rows, count, L + 1)`; where there is no sentence, one without words."""
    length = captioner.caption_spec.length
    nothing = captioner.vocabulary.pack("", length)
    tokens = np.tile(nothing, (rows, count, 1))
    for row, texts in enumerate(sentences):
        for column, text in enumerate(texts):
            tokens[row, column] = captioner.vocabulary.pack(text, length)
    return tokens


def pooled_memories(captioner: Captioner, shards: Shards, clips: int) -> np.ndarray:
    """float32 `(clips, F)`: the `pooled` memories of the first clips of `shards`."""
    shards = ShardDataset.open(shards)
    clips = min(clips, shards.info.clips)
    batches = itertools.islice(_even(shards.clip_batches(BATCH)), -(-clips // BATCH))
    return np.concatenate([pooled(captioner.encode(inputs)) for inputs, _ in batches])[:clips]


def caption_log_probs(captioner: Captioner, shards: Shards) -> tuple[float, ...]:
    """Quantiles 0%, 1%, ... 100% of the log-probabilities of the clips' greedy captions."""
    shards = ShardDataset.open(shards)
    found = [
        captioner.search(captioner.encode(inputs)).log_probs.sum(axis=1)
        for inputs, _ in _even(shards.clip_batches(BATCH))
    ]
    of_clips = np.concatenate(found)[: shards.info.clips]
    return tuple(float(value) for value in np.percentile(of_clips, np.arange(101)))
