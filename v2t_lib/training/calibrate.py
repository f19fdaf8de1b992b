"""Calibrating verification on held-out clips: null memory, probabilities, verdicts, familiarity."""

import dataclasses
import itertools
import time
from pathlib import Path

import keras
import numpy as np

from v2t_lib.errors import DataError
from v2t_lib.metrics import claims
from v2t_lib.metrics.foils import FOILS, TRUE
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.compiled import JIT_COMPILE
from v2t_lib.models.saving import load, save
from v2t_lib.models.verifier import (
    NULL_CELLS,
    REFUTED,
    SUPPORTED,
    Calibration,
    Familiarity,
    NullMemory,
    Verdicts,
    VerifierState,
    evidence,
)
from v2t_lib.progress import log
from v2t_lib.shards.reader import ShardDataset, Shards
from v2t_lib.training.feature_cache import cached_features
from v2t_lib.training.losses import sequence_loss

#: Of learning the null memory.
BATCH, EPOCHS, STEPS, LEARNING_RATE = 64, 10, 200, 0.03
#: Training clips that null memory and familiarity are fitted on, at most.
FITTED_ON = 1000
#: The share of verdicts that has to be right on held-out clips.
PRECISION = 0.95
#: How much more foils count in that for "supported": of what may be said of a clip most is false.
ODDS = 4
#: The share of true sentences that may count as phrases.
PHRASES = 0.01
#: No sentence is supported below this probability, nor refuted above one less it.
CLEAR = 0.8
#: Parts that the claims are split into, clip by clip, to measure each with a fit on the others.
FOLDS = 5


class LanguageModel(keras.Model):
    """The captioner's decoder with a null memory, of which the null memory alone is trained."""

    def __init__(self, captioner: Captioner, memory: NullMemory):
        super().__init__()
        self.memory = memory
        object.__setattr__(self, "decoder", captioner.decoder)  # not tracked: it stays as it is
        self.built = True

    def call(self, tokens):
        return self.decoder(tokens, self.memory(tokens), training=False)[0]


def fit_null_memory(
    captioner: Captioner, captions: list[str], start: np.ndarray, seed: int = 0
) -> NullMemory:
    """The null memory under which the decoder, which stays as it is, finds captions likeliest; the
    cells begin, but for noise, with `start`, `(D,)`: the mean of clips' memory cells."""
    rng, length = np.random.default_rng(seed), captioner.caption_spec.length
    memory = NullMemory(NULL_CELLS, len(start))
    # Equal cells would stay equal.
    noise = 0.1 * start.std() * rng.standard_normal((NULL_CELLS, len(start)))
    memory.values.assign((start + noise).astype(np.float32))
    batch = min(BATCH, len(captions))
    steps = min(STEPS, EPOCHS * -(-len(captions) // batch))
    rows = np.concatenate([rng.permutation(len(captions)) for _ in range(EPOCHS + 1)])
    chosen = [captions[row] for row in rows[: steps * batch]]
    tokens = np.stack([captioner.vocabulary.pack(text, length) for text in chosen])
    model = LanguageModel(captioner, memory)
    schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    model.compile(keras.optimizers.Adam(schedule), sequence_loss, jit_compile=JIT_COMPILE)
    model.fit(tokens[:, :-1], tokens[:, 1:], batch, verbose=0, shuffle=False)
    return memory


def fit_calibration(scored: claims.ScoredClaims, seed: int = 0) -> Calibration:
    """Fits verdicts by form of claim, and measures them by cross-validation over clips."""
    true, lifts = scored.true, zip(scored.lifts, scored.anywhere, strict=True)
    if true.all() or not true.any():
        raise DataError(
            "expected clips with captions that differ, to make false sentences of. Received: "
            f"{len(true)} true sentences and no false one; calibrate on more clips"
        )
    sentences, held_out = _fit([evidence(*each) for each in lifts], true, scored.clips, seed)
    figures, forms = _figures(scored, held_out, sentences, seed) | {"forms": {}}, {}
    for form, (made, lifts_of) in scored.parts.items():
        true = np.array([claim.kind == TRUE for claim in made], bool)
        clips = np.array([claim.clip for claim in made], int)
        if true.any() and not true.all():
            features = [evidence(*each) for each in lifts_of]
            forms[form], held_out = _fit(features, true, clips, seed)
            counts = {"claims": {TRUE: int(true.sum()), "false": int((~true).sum())}}
            figures["forms"][form] = counts | _verdicts(held_out, true, forms[form])
    fluent = [
        float(blind.mean())
        for claim, blind in zip(scored.claims, scored.blind, strict=True)
        if claim.kind == TRUE
    ]
    return Calibration(
        **dataclasses.asdict(sentences),
        figures=figures,
        forms=forms,
        fluency=float(np.quantile(fluent, PHRASES)),
        longest=max(map(len, scored.seeing)),
    )


def _fit(
    evidences: list[list[float]], true: np.ndarray, clips: np.ndarray, seed: int
) -> tuple[Verdicts, np.ndarray]:
    """A form's verdicts; and each claim's probability by a fit on other clips, NaN without one."""
    from sklearn.linear_model import LogisticRegression

    features = np.array(evidences)
    model = LogisticRegression(class_weight="balanced")  # Platt scaling
    held_out = np.full(len(true), np.nan)
    folds = np.random.default_rng(seed).permutation(clips.max() + 1)[clips] % FOLDS
    for fold in np.unique(folds):
        test = folds == fold
        if len(np.unique(true[~test])) == 2:
            model.fit(features[~test], true[~test])
            held_out[test] = model.predict_proba(features[test])[:, 1]
    model.fit(features, true)
    known = ~np.isnan(held_out)
    weights = tuple(map(float, model.coef_[0]))
    thresholds = _thresholds(held_out[known], true[known])
    return Verdicts(weights, float(model.intercept_[0]), *thresholds), held_out


def _thresholds(probabilities: np.ndarray, true: np.ndarray) -> tuple[float | None, float | None]:
    """The probabilities beyond which a share of `PRECISION` of the claims is true, and false: the
    lower end of Wilson's 80% interval has to reach it, a margin for chance."""
    ends = []
    for sign, right, foils in ((-1, true, ODDS), (1, ~true, 1)):
        weights = claims.balance(true) * np.where(true, 1, foils)
        order = np.argsort(sign * probabilities, kind="stable")
        share = np.cumsum((weights * right)[order]) / np.cumsum(weights[order])
        enough = np.flatnonzero(_wilson(share, np.arange(1, len(order) + 1)) >= PRECISION)
        ends.append(float(probabilities[order][enough[-1]]) if len(enough) else None)
    low, high = ends
    low = None if low is None else max(low, CLEAR)
    return low, None if high is None else min(high, 1 - CLEAR)


def _wilson(share: np.ndarray, count: np.ndarray, z: float = 1.2816) -> np.ndarray:
    """The lower end of Wilson's interval for a share of `count`; `z` for 80%."""
    spread = z * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return (share + z**2 / (2 * count) - spread) / (1 + z**2 / count)


def _verdicts(held_out: np.ndarray, true: np.ndarray, fitted: Verdicts) -> dict:
    """Threshold, precision and coverage of a form's verdicts."""
    known = ~np.isnan(held_out)
    given = np.array([fitted.verdict(probability) for probability in held_out[known]])
    found = {}
    for verdict, right in ((SUPPORTED, true[known]), (REFUTED, ~true[known])):
        precision, coverage = claims.precision_and_coverage(given == verdict, right)
        threshold = getattr(fitted, verdict)
        found[verdict] = {"threshold": threshold, "precision": precision, "coverage": coverage}
    return found


def _figures(
    scored: claims.ScoredClaims, held_out: np.ndarray, fitted: Verdicts, seed: int
) -> dict:
    known = ~np.isnan(held_out)
    kinds = np.array([claim.kind for claim in scored.claims])
    lifts = np.array([lifts.mean() for lifts in scored.lifts])
    bins = claims.reliability(held_out[known], scored.true[known])
    return {
        "claims": {kind: int((kinds == kind).sum()) for kind in (TRUE, *FOILS)},
        "auroc": claims.aurocs(lifts, kinds, scored.clips, seed),
        "calibration_error": claims.calibration_error(bins),
        "reliability": bins,
        **_verdicts(held_out, scored.true, fitted),
    }


def summary(calibration: Calibration) -> str:
    """How good verification is on held-out clips, in words."""
    figures = calibration.figures
    areas = ", ".join(f"{kind} {area['value']:.3f}" for kind, area in figures["auroc"].items())
    shares = "; ".join(
        f"{figures[verdict]['coverage'] or 0:.0%} of the {which} ones are {verdict!r}"
        for verdict, which in ((SUPPORTED, "true"), (REFUTED, "false"))
    )
    return (
        f"verification of {figures['claims'][TRUE]} true sentences against false ones, area under "
        f"the ROC curve: {areas}; expected calibration error {figures['calibration_error']:.3f}; "
        f"{shares}"
    )


def caption_log_probs(captioner: Captioner, shards: ShardDataset) -> tuple[float, ...]:
    """Quantiles 0%, 1%, ... 100% of the log-probabilities of the clips' greedy captions."""
    clips = shards.info.clips
    memories = (memory for _, memory in claims.encoded_batches(captioner, shards, clips))
    found = np.concatenate([captioner.search(memory).log_probs.sum(axis=1) for memory in memories])
    quantiles = np.percentile(found[:clips], np.arange(101))
    return tuple(float(value) for value in quantiles)


def calibrate(
    captioner: Captioner,
    shards: Shards,
    training: Shards | None = None,
    cache: str | Path | None = None,
    fallback: Path | None = None,
    seed: int = 0,
) -> Calibration:
    """Fits what turns a captioner's lifts into probabilities, and what tells unlike clips.

    Args:
        captioner: A trained model; its `verifier` is set to what could be fitted.
        shards: Held-out clips, or their features: those that chose the best epoch, say.
        training: The training clips, which familiarity and null memory are fitted on; the
            held-out ones when left out.
        cache, fallback: As for `cached_features`.
        seed: Of the choice of captions and foils.
    """
    start = time.monotonic()
    held_out = _opened(captioner, shards, cache, fallback)
    home = held_out if training is None else _opened(captioner, training, cache, fallback)
    known = claims.pooled_memories(captioner, home, FITTED_ON)
    captions = [text for of in itertools.islice(home.sentences(), FITTED_ON) for text in of]
    mean_cell = known.mean(axis=0)[: known.shape[1] // 2]
    memory = fit_null_memory(captioner, captions, mean_cell, seed)
    if training is None:
        familiarity = Familiarity.fit(known[::2], known[1::2])
    else:
        familiarity = Familiarity.fit(known, claims.pooled_memories(captioner, held_out, FITTED_ON))
    captioner.verifier = VerifierState(memory, familiarity=familiarity)
    calibration = dataclasses.replace(
        fit_calibration(claims.score_claims(captioner, held_out, seed=seed), seed),
        caption_log_probs=caption_log_probs(captioner, held_out),
    )
    log.info("%s (%.0f s)", summary(calibration), time.monotonic() - start)
    captioner.verifier = VerifierState(memory, calibration, familiarity)
    return calibration


def _opened(
    captioner: Captioner, shards: Shards, cache: str | Path | None, fallback: Path | None
) -> ShardDataset:
    shards = ShardDataset.open(shards, captioner.clip_spec)
    if shards.info.features:
        return shards
    return cached_features(captioner.encoder, shards, cache, fallback)


def calibrated(captioner: Captioner, path: Path, *places, **options) -> None:
    """Calibrates a trained model as `calibrate` does, and saves it at `path`; not a second time."""
    before = load(path).verifier if path.exists() else captioner.verifier
    if before.calibration is not None:
        captioner.verifier = before
        return
    try:
        calibrate(captioner, *places, **options)
    except DataError as error:
        log.warning("verification has lifts, but no probabilities: %s", error)
    save(captioner, path)
