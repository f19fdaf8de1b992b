"""Calibration: from the lifts of a sentence's words to a probability and a verdict."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

BORNE_OUT, NOT_BORNE_OUT, CANT_TELL = "borne out", "not borne out", "can't tell"


def evidence(lifts: Sequence[float]) -> tuple[float, float]:
    """What a probability is made from: the mean lift of a sentence's words, and the lowest."""
    return float(np.mean(lifts)), float(np.min(lifts))


@dataclasses.dataclass(frozen=True)
class Calibration:
    """A logistic regression on `evidence`, and the thresholds of the verdicts.

    Fitted by `training.calibrate` on held-out clips with as many true sentences as false ones; a
    probability is meant for that proportion.

    Attributes:
        weights: Of the mean and the lowest lift.
        bias: The log-odds where both are 0.
        borne_out: The lowest probability of what is "borne out"; None if no threshold was precise
            enough.
        not_borne_out: The highest probability of what is "not borne out", or None.
        caption_log_probs: The log-probabilities of the model's own captions of held-out clips, by
            greedy search: the quantiles 0%, 1%, ... 100%.
        figures: How good verification is on the held-out clips, in JSON's types; see
            `training.calibrate`.
    """

    weights: tuple[float, float]
    bias: float
    borne_out: float | None = None
    not_borne_out: float | None = None
    caption_log_probs: tuple[float, ...] = ()
    figures: dict = dataclasses.field(default_factory=dict)

    def probability(self, lifts: Sequence[float]) -> float:
        """That the sentence is true of the clip, by the lifts of its words in nats."""
        log_odds = self.bias + float(np.dot(self.weights, evidence(lifts)))
        return 1 / (1 + math.exp(-np.clip(log_odds, -500, 500)))

    def least_log_prob(self, share: float) -> float:
        """The log-probability that a caption must have to be among the surest `share`."""
        if not self.caption_log_probs:
            return -math.inf
        return float(np.interp(100 * (1 - share), np.arange(101), self.caption_log_probs))

    def verdict(self, probability: float) -> str:
        """`BORNE_OUT`, `NOT_BORNE_OUT` or, between the thresholds, `CANT_TELL`."""
        if self.borne_out is not None and probability >= self.borne_out:
            return BORNE_OUT
        if self.not_borne_out is not None and probability <= self.not_borne_out:
            return NOT_BORNE_OUT
        return CANT_TELL
