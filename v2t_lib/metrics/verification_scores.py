"""Figures of verification: ranking, calibration, and precision at a threshold."""

from collections.abc import Callable, Sequence

import numpy as np

from v2t_lib.metrics.foils import TRUE

#: Equal parts of 0 to 1 that reliability is measured in.
BINS = 10
RESAMPLES = 500


def auroc(true: np.ndarray, foils: np.ndarray) -> float:
    """The chance that a true sentence's score lies above a foil's: area under the ROC curve."""
    ranked = np.sort(foils)
    below = np.searchsorted(ranked, true, "left") + np.searchsorted(ranked, true, "right")
    return float(below.mean() / (2 * len(ranked)))


def interval(
    figure: Callable[[np.ndarray], float], clips: Sequence[int], seed: int = 0
) -> list[float]:
    """The 95% bootstrap interval of a figure over claims; all of a clip's are resampled together.

    Args:
        figure: From the numbers of some claims, which may recur, to the figure; NaN where they
            don't give it.
        clips: Each claim's clip.
        seed: Of the resampling.
    """
    rng = np.random.default_rng(seed)
    names, of = np.unique(clips, return_inverse=True)
    order = np.argsort(of, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(of))[:-1])
    values = []
    for _ in range(RESAMPLES):
        drawn = rng.integers(len(names), size=len(names))
        values.append(figure(np.concatenate([members[clip] for clip in drawn])))
    return [float(value) for value in np.nanpercentile(values, [2.5, 97.5])]


def aurocs(scores: np.ndarray, kinds: np.ndarray, clips: np.ndarray, seed: int = 0) -> dict:
    """By kind of foil the area under the ROC curve of true claims against it, and its interval."""

    def figure(kind: str, chosen: np.ndarray) -> float:
        true, foils = (scores[chosen][kinds[chosen] == name] for name in (TRUE, kind))
        return auroc(true, foils) if len(true) and len(foils) else float("nan")

    found = {}
    for kind in sorted({*kinds} - {TRUE}):
        clips_of = np.asarray(clips)
        found[kind] = {
            "value": figure(kind, np.arange(len(scores))),
            "interval": interval(lambda chosen, kind=kind: figure(kind, chosen), clips_of, seed),
        }
    return found


def balance(true: np.ndarray) -> np.ndarray:
    """Weights `(claims,)` with which true claims weigh as much as all foils together; sum 1."""
    true = np.asarray(true, bool)
    share = np.where(true, true.mean(), 1 - true.mean())
    return 1 / np.maximum(2 * share * len(true), 1e-12)


def reliability(probabilities: np.ndarray, true: np.ndarray) -> list[dict]:
    """What became of claims of about the same probability; true ones weigh as much as foils.

    Returns:
        For each tenth of 0 to 1 that has claims their mean `probability`, the `share` of them that
        is true, the `weight` of the tenth and the number of `claims`.
    """
    weights, true = balance(true), np.asarray(true, bool)
    tenth = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    found = []
    for number in np.unique(tenth):
        here = tenth == number
        weight = weights[here].sum()
        found.append(
            {
                "probability": float((weights * probabilities)[here].sum() / weight),
                "share": float(weights[here & true].sum() / weight),
                "weight": float(weight),
                "claims": int(here.sum()),
            }
        )
    return found


def calibration_error(bins: Sequence[dict]) -> float:
    """Expected calibration error: the bins' mean gap between probability and share true."""
    return float(sum(part["weight"] * abs(part["probability"] - part["share"]) for part in bins))


def precision_and_coverage(chosen: np.ndarray, right: np.ndarray, weights: np.ndarray) -> tuple:
    """Of the claims that got a verdict the share that is right, and of the right ones the share
    that got it; None where there are none."""
    precision = (weights * (chosen & right)).sum() / weights[chosen].sum() if chosen.any() else None
    coverage = (weights * (chosen & right)).sum() / weights[right].sum() if right.any() else None
    return (
        None if precision is None else float(precision),
        None if coverage is None else float(coverage),
    )
