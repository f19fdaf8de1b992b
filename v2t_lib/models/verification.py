"""Verification: does a clip support a sentence, and which of its words?"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np

from v2t_lib.errors import SentenceError
from v2t_lib.models.caption import Caption, over_pixels
from v2t_lib.models.verifier import (
    CANT_TELL,
    FLUENCY,
    PHRASE,
    SENTENCE,
    WORD,
    Calibration,
    VerifierState,
)
from v2t_lib.specs import CaptionSpec
from v2t_lib.text.content import content_words, says, turned
from v2t_lib.text.vocabulary import SPECIALS, Vocabulary, tokenise

#: The share of a clip's cells that a deletion test blanks.
DELETED = 0.1
#: Random tenths of a clip that are blanked beside the one with the most evidence.
RANDOM_TENTHS = 3
#: Random orders of a claim's words that its own has to be more probable than.
ORDERS = 24
#: The most content words of a phrase, and words of a sentence.
PHRASE_WORDS, LONGEST = 4, 100


@dataclasses.dataclass(frozen=True)
class WordSupport:
    """What a clip says for or against one word of a sentence.

    Attributes:
        lift: The word's pointwise mutual information with the clip, in nats: by its expected
            occurrences in captions, see `WordLifts`. In a whole sentence the lower of that and
            `log p(word | clip, words before) - log p(word | words before)`. None for a word that
            the model doesn't know.
        instead: The model's most probable word at its position in a whole sentence, where that is
            another; else None.
    """

    word: str
    lift: float | None
    instead: str | None


@dataclasses.dataclass(frozen=True)
class Deletion:
    """How much a score depends on what the model attended to (deletion test, arXiv 1806.07421).

    Attributes:
        drop: How far the score falls, in nats a word, once the tenth of the clip's cells with the
            most evidence is blanked.
        random: The same for a random tenth, the mean of a few.
    """

    drop: float
    random: float


@dataclasses.dataclass(frozen=True)
class Verification:
    """Whether a clip supports a sentence, with the evidence.

    Attributes:
        source: The clip, as it was given; "" for bytes and frames.
        sentence: The sentence, as it was given.
        score: The mean lift, in nats, of a whole sentence's words each given those before, else of
            its content words; its end doesn't count, as a true sentence need not say everything.
            None where a word is unknown.
        probability: That the sentence is true of the clip, if true and false ones are equally
            frequent. None for a model without calibration, a clip unlike the training data, a
            sentence with unknown words, or one that there is a `reason` not to judge.
        verdict: "supported", "refuted" or "can't tell" (not enough evidence).
        words: What the clip says of each word.
        frame: The number of the frame with the most evidence: the attention of the words whose lift
            is positive, weighted by it.
        seconds: That frame's time in the clip.
        unlike_training: As `Caption` has it.
        unknown: The words that the model doesn't know.
        caption: The sentence as `explain` gives it; None where many were verified.
        verify: Verifies the sentence for other frames `(batch, T, H, W, 3)`; None where many
            sentences were verified at once.
        form: "word", "phrase" or "sentence", by which it is judged.
        reason: Why a sentence of its kind is not judged; "" where it is.
    """

    source: str
    sentence: str
    score: float | None
    probability: float | None
    verdict: str
    words: tuple[WordSupport, ...]
    frame: int
    seconds: float
    unlike_training: bool | None
    unknown: tuple[str, ...]
    caption: Caption | None
    verify: Callable[[np.ndarray], list["Verification"]] | None = dataclasses.field(
        default=None, repr=False, compare=False
    )
    form: str = SENTENCE
    reason: str = ""

    def evidence(self) -> np.ndarray:
        """`(T', h', w')`: the attention of the words whose lift is positive, weighted by it.

        If no word's is, the attention of all words, the sharpest weighted most. Needs `caption`.
        """
        assert self.caption is not None
        lifts = np.array([max(word.lift or 0, 0) for word in self.words], np.float32)
        if not lifts.any():
            lifts = np.maximum(1 - self.caption.entropy(), 1e-6)
        return np.tensordot(lifts, self.caption.attention, 1)

    @functools.cached_property
    def deletion(self) -> Deletion | None:
        """How much the score depends on the evidence; None without score, caption or `verify`."""
        if self.score is None or self.caption is None or self.verify is None:
            return None
        rng, evidence = np.random.default_rng(0), self.evidence()
        tenths = [evidence, *rng.random((RANDOM_TENTHS, *evidence.shape))]
        frames, shift = self.caption.frames, self.caption.cell_shift
        found = self.verify(np.stack([blanked(frames, tenth, shift) for tenth in tenths]))
        drops = self.score - np.array([each.score for each in found], float)
        return Deletion(float(drops[0]), float(drops[1:].mean()))

    def to_dict(self) -> dict:
        """The row that `v2t verify --json` prints."""
        return {
            "file": self.source,
            "sentence": self.sentence,
            "score": _rounded(self.score),
            "match": None,  # the cosine of two towers, of which there are none
            "probability": _rounded(self.probability),
            "verdict": self.verdict,
            "frame": self.frame,
            "seconds": round(self.seconds, 3),
            "words": [
                {"word": word.word, "lift": _rounded(word.lift), "instead": word.instead}
                for word in self.words
            ],
            "unlike_training": self.unlike_training,
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def blanked(frames: np.ndarray, values: np.ndarray, shift=(0.0, 0.0)) -> np.ndarray:
    """A copy of a clip whose tenth of cells with the highest values has the clip's mean colour.

    Args:
        frames: uint8 `(T, H, W, 3)`.
        values: float `(T', h', w')`, of each cell; at least one is blanked.
        shift: `Caption.cell_shift`.
    """
    order = np.argsort(-values, axis=None, kind="stable")
    cells = np.zeros(values.size, bool)
    cells[order[: max(1, round(DELETED * values.size))]] = True
    copy = frames.copy()
    pixels = over_pixels(cells.reshape(values.shape), frames.shape[:3], shift)
    copy[pixels] = np.round(frames.mean(axis=(0, 1, 2)))
    return copy


def words_of(sentence: str, spec: CaptionSpec) -> list[str]:
    """The words of a sentence that a model of captions like `spec` can judge.

    Raises:
        SentenceError: It has no word, or more than `LONGEST`.
    """
    words = tokenise(sentence, spec.unit)
    if not words:
        raise SentenceError(f"expected a sentence with a word. Received: {sentence!r}")
    if len(words) > LONGEST:
        raise SentenceError(
            f"expected a sentence of at most {LONGEST} words. Received: {len(words)} in "
            f"{sentence[:80]!r}; say it in several"
        )
    return words


def orders(words: list[str]) -> list[str]:
    """A claim's words as they stand, and in `ORDERS` random orders, always the same ones."""
    rng = np.random.default_rng(0)
    rows = [words, *([words[i] for i in rng.permutation(len(words))] for _ in range(ORDERS))]
    return [" ".join(row) for row in rows]


def form_of(words: tuple[str, ...], blind: np.ndarray, least: float) -> str:
    """The form of a claim: one content word, a whole sentence, or a phrase.

    A sentence is what is as probable a caption, without a clip, as calibration's captions are.

    Args:
        words: The claim's.
        blind: `(L,)`, the log-probabilities without a clip of its words and its end.
        least: `Calibration.fluency`.
    """
    if len(content_words(words)) <= 1:
        return WORD
    return SENTENCE if blind[: len(words) + 1].mean() >= least else PHRASE


def part_evidence(
    words: Sequence[str], lifts: np.ndarray, written: Sequence[str]
) -> tuple[np.ndarray, list[float]]:
    """What words and phrases are judged by: their content words' lifts, and whether the model's own
    caption says them, together where they are several: lifts don't tell what belongs to what."""
    return lifts, [float(says(written, words))]


def _reason(
    words: tuple[str, ...], form: str, blind: np.ndarray, calibration: Calibration | None
) -> str:
    """Why a claim of its kind is not judged; `blind` `(1 + ORDERS, L)` as of `orders`."""
    content, count = content_words(words), len(words)
    if turning := turned(words):
        return f"claims with “{turning}” are not judged"
    if not content:
        return "its words say nothing by themselves"
    after_first = blind[:, 1:count].sum(axis=1)
    if len(content) > 1 and after_first[0] < after_first.max() - 1e-4:
        return "its words stand in no order that captions have"
    if calibration is None:
        return "the model has no calibration; `v2t calibrate MODEL SHARDS` adds it"
    if calibration.of(form) is None:
        return f"the model was never calibrated on a {form}; `v2t calibrate MODEL SHARDS` does it"
    longest = calibration.longest if form == SENTENCE else None
    if (longest and count > longest) or (form == PHRASE and len(content) > PHRASE_WORDS):
        return f"it is longer than any {form} that the model was calibrated on"
    return ""


def verification(
    caption: Caption,
    blind: np.ndarray,
    sentence: str,
    verifier: VerifierState,
    vocabulary: Vocabulary,
    word_lifts: np.ndarray,
    written: Sequence[str],
) -> Verification:
    """The verification of a sentence that was scored with the clip and without.

    Args:
        caption: The sentence as `explain` gives it, with probabilities given the clip.
        blind: `(1 + ORDERS, L)`, the log-probabilities without a clip of the words of each of its
            `orders`, and of the end.
        sentence: As it was given.
        verifier: The model's; without a calibration there is no probability.
        vocabulary: The model's.
        word_lifts: `(vocabulary_size,)`, of the clip.
        written: The words of the caption that the model writes of the clip.
    """
    words, calibration = caption.words, verifier.calibration
    unknown = tuple(word for word in words if word not in vocabulary)
    form = form_of(words, blind[0], calibration.fluency if calibration else FLUENCY)
    reason = _reason(words, form, blind, calibration)
    content = np.isin(words, content_words(words))
    places = np.log(np.maximum(caption.probs, 1e-30)) - blind[0, : len(words)]
    anywhere = word_lifts[[vocabulary.token(word) for word in words]]
    parts = anywhere[content] if content.any() else anywhere
    lifts = anywhere
    if form == SENTENCE:
        lifts = np.where(content, np.minimum(places, anywhere), places)
    supports = tuple(
        WordSupport(word, float(lift), _instead(caption, number) if form == SENTENCE else None)
        if word in vocabulary
        else WordSupport(word, None, None)
        for number, (word, lift) in enumerate(zip(words, lifts, strict=True))
    )
    probability, verdict = None, CANT_TELL
    if calibration is not None and not (unknown or reason or caption.unlike_training):
        verdicts = calibration.of(form)
        assert verdicts is not None  # as there is no reason
        of_sentence, of_part = (places, parts), part_evidence(words, parts, written)
        probability = verdicts.probability(*of_sentence if form == SENTENCE else of_part)
        verdict = verdicts.verdict(probability)
    support = np.maximum(lifts, 0)
    frame = caption.evidence_frame(support if support.any() else None)
    return Verification(
        source="",
        sentence=sentence,
        score=None if unknown else float(np.mean(places if form == SENTENCE else parts)),
        probability=probability,
        verdict=verdict,
        words=supports,
        frame=frame,
        seconds=float(caption.seconds[frame]),
        unlike_training=caption.unlike_training,
        unknown=unknown,
        form=form,
        reason=reason,
        caption=caption,
    )


def _instead(caption: Caption, word: int) -> str | None:
    """The most probable other word, if it is more probable than the sentence's; never the end."""
    for other, probability in caption.runners_up[word]:
        if other not in SPECIALS:
            return other if probability > caption.probs[word] else None
    return None
