"""How well a model tells true sentences from false ones: scores of claims, and their figures."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from v2t_lib.errors import DataError
from v2t_lib.metrics.bootstrap import bootstrap, interval
from v2t_lib.metrics.foils import TRUE, Claim, claims, parts
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.compiled import filled_up
from v2t_lib.models.verification import part_evidence
from v2t_lib.models.verifier import pooled
from v2t_lib.progress import Progress
from v2t_lib.shards.reader import ShardDataset, Shards
from v2t_lib.text.content import content_words
from v2t_lib.text.vocabulary import tokenise

#: Clips at once; each has some 16 sentences, whose logits take most of the memory.
BATCH = 8
#: Clips that claims are made of, at most.
CLIPS = 1000
#: Equal parts of 0 to 1 that reliability is measured in.
BINS = 10


@dataclasses.dataclass(frozen=True)
class ScoredClaims:
    """Claims with each word's log-probabilities, float32 `(words,)` a claim.

    Attributes:
        claims: Whole sentences.
        seeing: The log-probabilities given the clip.
        blind: Those without a clip, and that of the end.
        anywhere: `WordLifts` of each claim's content words; of all its words where it has none.
        parts: By form, claims of words and phrases, each with what `Verdicts.probability` takes.
    """

    claims: list[Claim]
    seeing: list[np.ndarray]
    blind: list[np.ndarray]
    anywhere: list[np.ndarray]
    parts: dict[str, tuple[list[Claim], list[tuple]]] = dataclasses.field(default_factory=dict)

    @property
    def lifts(self) -> list[np.ndarray]:
        """Each claim's lifts, `(words,)`, of each word given those before."""
        return [a - b[:-1] for a, b in zip(self.seeing, self.blind, strict=True)]

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
    spec, known = captioner.caption_spec, captioner.vocabulary

    def judgeable(sentence: str) -> bool:
        words = tokenise(sentence, spec.unit)
        return 0 < len(words) < spec.length and all(word in known for word in words)

    return judgeable


def score_claims(
    captioner: Captioner, shards: Shards, per_clip: int = 4, seed: int = 0
) -> ScoredClaims:
    """Scores true claims and foils about every held-out clip, each clip encoded once.

    Args:
        captioner: A model with its null memory.
        shards: Held-out clips, or their features.
        per_clip: Captions of a clip that are claimed of it, at most.
        seed: Of the choice of captions and foils.

    Raises:
        DataError: The model can't judge any of the captions.
    """
    shards, spec = ShardDataset.open(shards), captioner.caption_spec
    captions = list(itertools.islice(shards.sentences(), CLIPS))
    made = claims(captions, judgeable_by(captioner), per_clip, seed, spec.unit)
    if not made:
        raise DataError(
            f"{shards.folder}: expected captions that the model can judge. Received: none whose "
            "words it knows; calibrate on clips like those it was trained on"
        )
    small = parts(captions, captioner.vocabulary.__contains__, per_clip, seed, spec.unit)
    of_clip: list[list[str]] = [[] for _ in captions]
    for claim in made:
        of_clip[claim.clip].append(claim.sentence)
    most, pack = max(map(len, of_clip)), captioner.vocabulary.pack
    seeing, blind, lifts, written = [], [], [], []
    with Progress(total=len(captions), unit="clip", desc="verify") as progress:
        for first, memory in encoded_batches(captioner, shards, len(captions)):
            texts = of_clip[first : first + BATCH]
            tokens = np.tile(pack("", spec.length), (len(memory), most, 1))
            for row, of in enumerate(texts):
                for column, text in enumerate(of):
                    tokens[row, column] = pack(text, spec.length)
            found, unseen = captioner.score_tokens(memory, tokens)
            lifts += list(captioner.word_lifts(memory)[: len(texts)])
            written += captioner.written(memory)[: len(texts)]
            for row, of in enumerate(texts):
                for column, words in enumerate(len(text.split()) for text in of):
                    seeing.append(found.log_probs[row, column, :words])
                    blind.append(unseen[row, column, : words + 1])
            progress.update(len(texts))

    def anywhere(made: list[Claim]) -> list[np.ndarray]:
        words = [claim.sentence.split() for claim in made]
        rows = [list(map(captioner.vocabulary.token, content_words(of) or of)) for of in words]
        return [lifts[claim.clip][row] for claim, row in zip(made, rows, strict=True)]

    by_form = {
        form: (of, [part_evidence(claim.sentence.split(), part, written[claim.clip])
                    for claim, part in zip(of, anywhere(of), strict=True)])
        for form, of in small.items()
    }  # fmt: skip
    return ScoredClaims(made, seeing, blind, anywhere(made), by_form)


def encoded_batches(
    captioner: Captioner, shards: ShardDataset, clips: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the first clips' memories `(batch, S, D)` with the number of the batch's first clip.

    All batches have the first one's size: a last smaller one is filled up with its last clip.
    """
    size, starts = 0, range(0, clips, BATCH)
    for first, (inputs, _) in zip(starts, shards.clip_batches(BATCH), strict=False):
        size = max(size, len(inputs))
        yield first, captioner.encode(np.stack(filled_up(inputs, size)))


def pooled_memories(captioner: Captioner, shards: Shards, clips: int) -> np.ndarray:
    """float32 `(clips, F)`: the `pooled` memories of the first clips of `shards`."""
    shards = ShardDataset.open(shards)
    clips = min(clips, shards.info.clips)
    batches = encoded_batches(captioner, shards, clips)
    return np.concatenate([pooled(memory) for _, memory in batches])[:clips]


def auroc(scores: np.ndarray, true: np.ndarray, weights: np.ndarray) -> float:
    """The area under the ROC curve: the chance that a true claim's score lies above a foil's.

    Equal to scikit-learn's `roc_auc_score` in a hundredth of the time, which a bootstrap needs.
    NaN where there is no true claim, or no foil.
    """
    _, rank = np.unique(scores, return_inverse=True)
    above, foils = (np.bincount(rank, weights * which) for which in (true, ~true))
    pairs = above.sum() * foils.sum()
    return float(above @ (foils.cumsum() - foils / 2) / pairs) if pairs else math.nan


def aurocs(scores: np.ndarray, kinds: np.ndarray, clips: np.ndarray, seed: int = 0) -> dict:
    """By kind of foil, `auroc` of true claims against it as `value`, and its 95% `interval`."""
    found = {}
    for kind in sorted({*kinds} - {TRUE}):
        rows = np.isin(kinds, (TRUE, kind))
        figure = functools.partial(auroc, scores[rows], kinds[rows] == TRUE)
        samples = bootstrap(figure, clips[rows], seed)
        found[kind] = {"value": figure(np.ones(rows.sum())), "interval": interval(samples)}
    return found


def balance(true: np.ndarray) -> np.ndarray:
    """Weights `(claims,)` with which true claims weigh as much as all foils together; sum 1."""
    from sklearn.utils.class_weight import compute_sample_weight

    return compute_sample_weight("balanced", true) / max(len(true), 1)


def reliability(probabilities: np.ndarray, true: np.ndarray) -> list[dict]:
    """What became of claims of about the same probability; true ones weigh as much as foils.

    Returns:
        For each tenth of 0 to 1 that has claims their mean `probability`, the `share` of them that
        is true, the `weight` of the tenth and the number of `claims`.
    """
    weights, true = balance(true), np.asarray(true, bool)
    tenth = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    return [
        {
            "probability": float(np.average(probabilities[within], weights=weights[within])),
            "share": float(np.average(true[within], weights=weights[within])),
            "weight": float(weights[within].sum()),
            "claims": int(within.sum()),
        }
        for within in (tenth == number for number in np.unique(tenth))
    ]


def calibration_error(bins: Sequence[dict]) -> float:
    """Expected calibration error: the bins' mean gap between probability and share true."""
    return float(sum(part["weight"] * abs(part["probability"] - part["share"]) for part in bins))


def precision_and_coverage(chosen: np.ndarray, right: np.ndarray) -> tuple:
    """Of the claims that got a verdict the share that is right (precision), and of the right ones
    the share that got it (recall); None where there are none. True claims weigh as much as foils.
    """
    from sklearn.metrics import precision_recall_fscore_support

    found = precision_recall_fscore_support(
        right, chosen, sample_weight=balance(right), average="binary", zero_division=math.nan
    )
    return tuple(None if math.isnan(value) else float(value) for value in found[:2])
