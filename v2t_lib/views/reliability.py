"""The reliability picture: of sentences with a probability of p, is a share of p true?"""

import io
from collections.abc import Sequence

from matplotlib.figure import Figure


def reliability_picture(bins: Sequence[dict]) -> bytes:
    """Draws what became of sentences by their probability, as the bytes of a PNG.

    Args:
        bins: From `metrics.verification_scores.reliability`: `Calibration.figures["reliability"]`.
    """
    figure = Figure(figsize=(4.2, 4), dpi=80, layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", label="calibrated")
    probabilities, shares = zip(*((b["probability"], b["share"]) for b in bins), strict=True)
    axes.plot(probabilities, shares, color="tab:blue")
    # The area of a point is the number of sentences it stands for.
    axes.scatter(probabilities, shares, [20 + 600 * b["weight"] for b in bins], alpha=0.6)
    for part in bins:
        axes.annotate(str(part["claims"]), (part["probability"], part["share"]), ha="center")
    gap = sum(b["weight"] * abs(b["probability"] - b["share"]) for b in bins)
    axes.set(
        xlabel="probability that a sentence is true",
        ylabel="share that is true",
        xlim=(-0.08, 1.08),
        ylim=(-0.08, 1.08),
        title=f"expected calibration error {gap:.3f}",
    )
    axes.legend(loc="upper left")
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
