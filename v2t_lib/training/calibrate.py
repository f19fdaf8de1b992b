"""Calibrating verification: probabilities, thresholds and familiarity, from held-out clips."""

import dataclasses
import itertools
import time
from pathlib import Path

import numpy as np

from v2t_lib.errors import DataError
from v2t_lib.metrics.foils import FOILS, TRUE
from v2t_lib.metrics.verification_scores import (
    aurocs,
    balance,
    calibration_error,
    precision_and_coverage,
    reliability,
)
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.saving import load, save
from v2t_lib.models.verifier import (
    REFUTED,
    SUPPORTED,
    Calibration,
    Familiarity,
    VerifierState,
    evidence,
)
from v2t_lib.progress import log
from v2t_lib.shards.reader import ShardDataset, Shards
from v2t_lib.training.feature_cache import cached_features
from v2t_lib.training.null_memory import fit_null_memory
from v2t_lib.training.scored_claims import (
    ScoredClaims,
    caption_log_probs,
    pooled_memories,
    score_claims,
)

#: Training clips that familiarity is fitted on, at most.
FITTED_ON = 1000
#: The share of verdicts that has to be right on held-out clips.
PRECISION = 0.95
#: No sentence is "supported" below this probability, nor "refuted" above one less it.
CLEAR = 0.8
#: The share of held-out clips that may count as unlike the training data.
UNLIKE = 0.01
#: Parts that the claims are split into, clip by clip, to measure each with a fit on the others.
FOLDS = 5


def fit_calibration(scored: ScoredClaims, seed: int = 0) -> Calibration:
    """Fits probabilities and thresholds, and measures them on claims they were not fitted on.

    Claims about the clips of one part are judged by what was fitted on the other parts.
    """
    features = np.array([evidence(lifts) for lifts in scored.lifts])
    true, clips = scored.true, scored.clips
    if true.all() or not true.any():
        raise DataError(
            "expected clips with captions that differ, to make false sentences of. Received: "
            f"{len(true)} true sentences and no false one; calibrate on more clips"
        )
    held_out = np.full(len(true), np.nan)
    part = np.random.default_rng(seed).permutation(clips.max() + 1)[clips] % FOLDS
    for number in range(FOLDS):
        here = part == number
        if here.any() and 0 < true[~here].mean() < 1:
            weights, bias = _logistic(features[~here], true[~here])
            held_out[here] = 1 / (1 + np.exp(-np.clip(features[here] @ weights + bias, -500, 500)))
    weights, bias = _logistic(features, true)
    known = ~np.isnan(held_out)
    thresholds = _thresholds(held_out[known], true[known])
    fitted = Calibration(tuple(map(float, weights)), float(bias), *thresholds)
    return dataclasses.replace(fitted, figures=_figures(scored, held_out, fitted, seed))


def _logistic(features: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, float]:
    """Platt scaling: weights and bias of a logistic regression; true and false weigh the same."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(class_weight="balanced").fit(features, true)
    return fitted.coef_[0], fitted.intercept_[0]


def _thresholds(probabilities: np.ndarray, true: np.ndarray) -> tuple[float | None, float | None]:
    """The probabilities beyond which a share of `PRECISION` of the claims is true, and false.

    With a margin for chance: the lower end of Wilson's 80% interval has to reach it.
    """
    weights = balance(true)
    found = []
    for sign, right in ((-1, true), (1, ~true)):
        order = np.argsort(sign * probabilities, kind="stable")
        of_right, of_all = np.cumsum((weights * right)[order]), np.cumsum(weights[order])
        share, count = of_right / of_all, np.arange(1, len(order) + 1)
        enough = np.flatnonzero(_wilson(share, count) >= PRECISION)
        found.append(float(probabilities[order][enough[-1]]) if len(enough) else None)
    low, high = found
    return (
        None if low is None else max(low, CLEAR),
        None if high is None else min(high, 1 - CLEAR),
    )


def _wilson(share: np.ndarray, count: np.ndarray, z: float = 1.2816) -> np.ndarray:
    """The lower end of Wilson's interval for a share of `count`; `z` for 80%."""
    spread = z * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return (share + z**2 / (2 * count) - spread) / (1 + z**2 / count)


def _figures(scored: ScoredClaims, probabilities, fitted: Calibration, seed: int) -> dict:
    """What `Calibration.figures` holds."""
    known = ~np.isnan(probabilities)
    p, true, weights = probabilities[known], scored.true[known], balance(scored.true[known])
    bins = reliability(p, true)
    lift = np.array([lifts.mean() for lifts in scored.lifts])
    kinds = np.array([claim.kind for claim in scored.claims])
    verdicts = {}
    for name, right in (("supported", true), ("refuted", ~true)):
        threshold = getattr(fitted, name)
        chosen = np.zeros(len(p), bool)
        if threshold is not None:
            chosen = p >= threshold if name == "supported" else p <= threshold
        precision, coverage = precision_and_coverage(chosen, right, weights)
        verdicts[name] = {"threshold": threshold, "precision": precision, "coverage": coverage}
    return {
        "claims": {kind: int((kinds == kind).sum()) for kind in (TRUE, *FOILS)},
        "auroc": aurocs(lift, kinds, scored.clips, seed),
        "calibration_error": calibration_error(bins),
        "reliability": bins,
        **verdicts,
    }


def fit_familiarity(training: np.ndarray, held_out: np.ndarray) -> Familiarity:
    """The distribution of training clips' `pooled` memories, the threshold of held-out ones'."""
    if not len(held_out):
        raise DataError("expected at least two held-out clips. Received: one; calibrate on more")
    fitted = Familiarity.fit(training)
    threshold = float(np.quantile(fitted.distances(held_out), 1 - UNLIKE))
    return dataclasses.replace(fitted, threshold=threshold)


def summary(calibration: Calibration) -> str:
    """How good verification is on held-out clips, in words."""

    def percent(value: float | None) -> str:
        return "none" if value is None else f"{100 * value:.0f}%"

    figures = calibration.figures
    areas = (
        f"{kind} {area['value']:.3f} ({area['interval'][0]:.3f} to {area['interval'][1]:.3f})"
        for kind, area in figures["auroc"].items()
    )
    verdicts = (
        f"{percent(figures[name]['coverage'])} are {words!r}, of which "
        f"{percent(figures[name]['precision'])} rightly"
        for name, words in (("supported", SUPPORTED), ("refuted", REFUTED))
    )
    true, false = verdicts
    return (
        f"verification of {figures['claims'][TRUE]} true sentences against false ones, area under "
        f"the ROC curve: {', '.join(areas)}; expected calibration error "
        f"{figures['calibration_error']:.3f}; of the true sentences {true}; of the false ones "
        f"{false}"
    )


def calibrate(
    captioner: Captioner,
    shards: Shards,
    training: Shards | None = None,
    cache: str | Path | None = None,
    fallback: Path | None = None,
    seed: int = 0,
) -> VerifierState:
    """Fits what turns a captioner's lifts into probabilities, and what tells unlike clips.

    Args:
        captioner: A trained model; its `verifier` is set to what could be fitted.
        shards: Held-out clips, or their features: those that chose the best epoch, say.
        training: The training clips, which familiarity and null memory are fitted on; the
            held-out ones when left out.
        cache: Where features of a frozen image network are kept; see `cached_features`.
        fallback: As for `cached_features`.
        seed: Of the choice of captions and foils.

    Returns:
        `captioner.verifier`.

    Raises:
        DataError: Clips of another size, no captions that the model can judge, or nothing to make
            foils of.
    """
    start = time.monotonic()
    spec = captioner.clip_spec
    shards, training = (part and ShardDataset.open(part, spec) for part in (shards, training))
    shards, training = (
        part
        if part is None or part.info.features
        else cached_features(captioner.encoder, part, cache, fallback)
        for part in (shards, training)
    )
    home = training or shards
    known = pooled_memories(captioner, home, FITTED_ON)
    captions = [text for of in itertools.islice(home.sentences(), FITTED_ON) for text in of]
    start_from = known.mean(axis=0)[: known.shape[1] // 2]
    memory = fit_null_memory(captioner, captions, start_from, seed)
    others = pooled_memories(captioner, shards, FITTED_ON)
    if training is None:
        known, others = known[::2], known[1::2]
    familiarity = fit_familiarity(known, others)
    captioner.verifier = VerifierState(memory, familiarity=familiarity)
    scored = score_claims(captioner, shards, seed=seed)
    calibration = dataclasses.replace(
        fit_calibration(scored, seed), caption_log_probs=caption_log_probs(captioner, shards)
    )
    log.info("%s (%.0f s)", summary(calibration), time.monotonic() - start)
    captioner.verifier = VerifierState(memory, calibration, familiarity)
    return captioner.verifier


def calibrated(captioner: Captioner, path: Path, *places, **options) -> None:
    """Calibrates a model that was trained, and saves it, unless its file is calibrated already.

    Args:
        captioner: The model; its `verifier` is set here.
        path: Its file.
        places: As `calibrate` has them.
        options: As `calibrate` has them.
    """
    before = load(path).verifier if path.exists() else captioner.verifier
    if before.calibration is not None:
        captioner.verifier = before
        return
    try:
        calibrate(captioner, *places, **options)
    except DataError as error:
        log.warning("verification has lifts, but no probabilities: %s", error)
    save(captioner, path)
