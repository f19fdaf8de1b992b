"""Selective captioning: what is gained by captioning only the clips that the model is surest of."""

from collections.abc import Callable, Sequence

import numpy as np

#: Shares of the clips that keep their caption.
COVERAGES = (1.0, 0.9, 0.75, 0.5, 0.25)


def risk_coverage(
    sureness: Sequence[float], scores: Callable[[np.ndarray], dict[str, float]]
) -> list[dict]:
    """Scores of the captions that the model is surest of (arXiv 1705.08500).

    Args:
        sureness: For each clip how sure the model is of its caption; the order alone counts.
        scores: From the numbers of some clips to the scores of their captions.

    Returns:
        For each of `COVERAGES`, the share `coverage`, the `least` sureness in it, and its scores.
    """
    order = np.argsort(-np.asarray(sureness), kind="stable")
    rows = []
    for coverage in COVERAGES:
        kept = order[: max(1, round(coverage * len(order)))]
        rows.append({"coverage": coverage, "least": float(sureness[kept[-1]]), **scores(kept)})
    return rows
