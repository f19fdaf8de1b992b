"""What a model's file carries beside the network, to judge sentences and clips by.

`training.calibrate` fits it once the captioner is trained.
"""

import dataclasses
import math
from collections.abc import Mapping, MutableMapping, Sequence

import numpy as np
from keras import layers, ops

from v2t_lib.errors import DataError

SUPPORTED, REFUTED, CANT_TELL = "supported", "refuted", "can't tell"
#: Forms of claims: one content word, several, and a whole sentence as captions are.
WORD, PHRASE, SENTENCE = "word", "phrase", "sentence"
#: `Calibration.fluency` where it isn't known: that of the drawn clips' captions, in nats a token.
FLUENCY = -2.0
#: Cells of a null memory.
NULL_CELLS = 4
#: Principal components of the training clips that familiarity keeps, at most.
COMPONENTS = 32
#: The share of held-out clips that may count as unlike the training data.
UNLIKE = 0.01
#: Names in the files of older versions.
_RENAMED = {"borne_out": "supported", "not_borne_out": "refuted"}


class NullMemory(layers.Layer):
    """Learnt cells `(cells, size)` that stand in for a clip's memory, the same for every clip.

    With them the captioner's own decoder is a language model of its captions: how probable a word
    is before a clip is seen. They are the null condition of classifier-free guidance (arXiv
    2207.12598).

    Call arguments:
        tokens: `(batch, ...)`; only its batch size counts.

    Returns:
        float32 `(batch, cells, size)`.
    """

    def __init__(self, cells: int, size: int, **kwargs):
        super().__init__(**kwargs)
        self.values = self.add_weight(shape=(cells, size), initializer="zeros", dtype="float32")
        self.built = True

    def call(self, tokens):
        return ops.zeros((ops.shape(tokens)[0], 1, 1), "float32") + self.values[None]

    def get_config(self):
        return {"cells": self.values.shape[0], "size": self.values.shape[1]}


def evidence(*lifts: Sequence[float] | np.ndarray) -> list[float]:
    """What a probability is computed from: the mean and the lowest of each sequence of lifts."""
    return [float(of(part)) for part in lifts for of in (np.mean, np.min)]


@dataclasses.dataclass(frozen=True)
class Verdicts:
    """A logistic regression on `evidence` (Platt scaling), and the thresholds of the verdicts.

    Fitted on held-out clips with as many true claims as false ones; a probability is meant for
    that proportion.

    Attributes:
        weights: Of the mean and the lowest lift.
        bias: The log-odds where all are 0.
        supported: The lowest probability of the verdict "supported"; None if no threshold was
            precise enough.
        refuted: The highest probability of "refuted", or None.
    """

    weights: tuple[float, ...]
    bias: float
    supported: float | None = None
    refuted: float | None = None

    def probability(self, *lifts: Sequence[float] | np.ndarray) -> float:
        """The probability that a claim is true of the clip, by lifts in nats."""
        # What a model of before was not calibrated on stands last, and doesn't count.
        known = evidence(*lifts)[: len(self.weights)]
        log_odds = self.bias + float(np.dot(self.weights, known))
        return 1 / (1 + math.exp(-np.clip(log_odds, -500, 500)))

    def verdict(self, probability: float) -> str:
        """`SUPPORTED`, `REFUTED` or, between the thresholds, `CANT_TELL`: not enough evidence."""
        if self.supported is not None and probability >= self.supported:
            return SUPPORTED
        if self.refuted is not None and probability <= self.refuted:
            return REFUTED
        return CANT_TELL


@dataclasses.dataclass(frozen=True)
class Calibration(Verdicts):
    """The verdicts on whole sentences, on claims of other forms, and what is known of captions.

    Sentences are judged by their words' lifts each at its place, then by those of their content
    words wherever they stand; words and phrases by the latter alone.

    Attributes:
        caption_log_probs: Quantiles 0%, 1%, ... 100% of the log-probabilities of the model's own
            captions, by greedy search.
        figures: How good verification is on the held-out clips, in JSON's types.
        forms: Of "word" and "phrase" each; empty in models of before.
        fluency: The least mean log-probability a token, without a clip, of a whole sentence.
        longest: The most words that a sentence was calibrated with; None where unknown.
    """

    caption_log_probs: tuple[float, ...] = ()
    figures: dict = dataclasses.field(default_factory=dict)
    forms: dict[str, Verdicts] = dataclasses.field(default_factory=dict)
    fluency: float = FLUENCY
    longest: int | None = None

    @classmethod
    def from_config(cls, config: Mapping) -> "Calibration":
        """From `dataclasses.asdict`'s result, out of a file of this version or an older one."""
        parts = {_RENAMED.get(name, name): part for name, part in config.items()}
        for name in ("weights", "caption_log_probs"):
            parts[name] = tuple(parts[name])
        figures = parts.get("figures", {})
        parts["figures"] = {_RENAMED.get(name, name): part for name, part in figures.items()}
        parts["forms"] = {
            form: Verdicts(**verdicts | {"weights": tuple(verdicts["weights"])})
            for form, verdicts in parts.get("forms", {}).items()
        }
        return cls(**parts)

    def of(self, form: str) -> Verdicts | None:
        """The verdicts on claims of a form; None for one that was never calibrated."""
        return self if form == SENTENCE else self.forms.get(form)

    def least_log_prob(self, share: float) -> float:
        """The log-probability that a caption must have to be among the surest `share`."""
        if not self.caption_log_probs:
            return -math.inf
        return float(np.interp(100 * (1 - share), np.arange(101), self.caption_log_probs))


def pooled(memory: np.ndarray) -> np.ndarray:
    """Clips' memories `(batch, S, D)` to `(batch, 2 * D)`: mean and deviation over their cells."""
    return np.concatenate([memory.mean(axis=1), memory.std(axis=1)], axis=-1)


@dataclasses.dataclass(frozen=True)
class Familiarity:
    """Out-of-distribution detection: is a clip like those that the model was trained on?

    A normal distribution of the training clips' `pooled` memories in few principal components, and
    the Mahalanobis distance to it (arXiv 1807.03888).

    Attributes:
        mean: float32 `(F,)`, of the training clips.
        axes: float32 `(F, K)`, the first principal components.
        deviations: float32 `(K,)`, the standard deviation along each.
        residual: float32 `(1,)`, the root mean square of what the components leave.
        threshold: The distance that one held-out clip in a hundred exceeds.
    """

    mean: np.ndarray
    axes: np.ndarray
    deviations: np.ndarray
    residual: np.ndarray
    threshold: float = math.inf

    @classmethod
    def fit(cls, training: np.ndarray, held_out: np.ndarray) -> "Familiarity":
        """Fits the distribution to training clips `(clips, F)`, the threshold to held-out ones.

        Raises:
            DataError: There is no held-out clip.
        """
        if not len(held_out):
            raise DataError("expected two held-out clips at least. Received: one")
        mean = training.mean(axis=0)
        centred = training - mean
        count = max(1, min(COMPONENTS, len(training) // 4))
        _, scales, axes = np.linalg.svd(centred, full_matrices=False)
        axes = axes[:count].T
        residual = np.sqrt(np.mean((centred - centred @ axes @ axes.T) ** 2))
        parts = (mean, axes, scales[:count] / np.sqrt(len(training)), [residual])
        mean, axes, deviations, residual = (np.asarray(part, np.float32) for part in parts)
        fitted = cls(mean, axes, deviations, residual)
        threshold = np.quantile(fitted.distances(held_out), 1 - UNLIKE)
        return dataclasses.replace(fitted, threshold=float(threshold))

    def distances(self, pooled: np.ndarray) -> np.ndarray:
        """Mahalanobis distances `(clips,)` of `(clips, F)`, about 1 for a training clip."""
        centred, count, tiny = pooled - self.mean, len(self.deviations), 1e-6
        along = centred @ self.axes
        rest = centred - along @ self.axes.T
        inside = ((along / (self.deviations + tiny)) ** 2).sum(axis=1)
        outside = ((rest / (self.residual + tiny)) ** 2).mean(axis=1) * count
        return np.sqrt((inside + outside) / (2 * count))

    def unlike(self, pooled: np.ndarray) -> np.ndarray:
        """bool `(clips,)`: whether each is unlike the training clips."""
        return self.distances(pooled) > self.threshold


_ARRAYS = ("mean", "axes", "deviations", "residual")


@dataclasses.dataclass(frozen=True)
class VerifierState:
    """The parts that a model's file holds beside the network; each may be missing.

    Attributes:
        null_memory: For lifts.
        calibration: For probabilities and verdicts.
        familiarity: Tells clips that are unlike the training data.
    """

    null_memory: NullMemory | None = None
    calibration: Calibration | None = None
    familiarity: Familiarity | None = None

    def get_config(self) -> dict | None:
        """The parts in JSON's types, without their arrays; None where there are no parts."""
        parts = {
            "null_memory": self.null_memory and self.null_memory.get_config(),
            "calibration": self.calibration and dataclasses.asdict(self.calibration),
            "familiarity": self.familiarity and {"threshold": self.familiarity.threshold},
        }
        return {name: part for name, part in parts.items() if part} or None

    @classmethod
    def from_config(cls, config: dict | None, store: Mapping) -> "VerifierState":
        """The parts that `get_config` names, with arrays as `save` put them into `store`."""
        config = config or {}
        null_memory = calibration = familiarity = None
        if "null_memory" in config:
            null_memory = NullMemory(**config["null_memory"])
            null_memory.values.assign(np.asarray(store["null_memory"]))
        if "calibration" in config:
            calibration = Calibration.from_config(config["calibration"])
        if "familiarity" in config:
            parts = {name: np.asarray(store[f"familiarity_{name}"]) for name in _ARRAYS}
            familiarity = Familiarity(**parts | config["familiarity"])
        return cls(null_memory, calibration, familiarity)

    def save(self, store: MutableMapping) -> None:
        """Puts the parts' arrays into `store`."""
        if self.null_memory is not None:
            store["null_memory"] = ops.convert_to_numpy(self.null_memory.values)
        if self.familiarity is not None:
            for name in _ARRAYS:
                store[f"familiarity_{name}"] = getattr(self.familiarity, name)
