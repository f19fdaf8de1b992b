"""A claim in words and marks: which of its words the clip supports or contradicts, and how sure."""

import dataclasses
import math

from v2t_lib.models.caption import Caption
from v2t_lib.models.verification import Verification, WordSupport
from v2t_lib.models.verifier import CANT_TELL, SENTENCE, SUPPORTED, Calibration

#: Words whose lift is at least this many nats are called supported, and at most minus this many
#: contradicted: 1.6 times as likely, or less likely, once the clip is seen.
CLEAR = 0.5
#: The lift from which on a mark's colour grows no stronger, in nats: 20 times as likely.
STRONGEST = 3.0


@dataclasses.dataclass(frozen=True)
class Mark:
    """How a word of a claim is shown."""

    word: str
    side: str  # "for" or "against" the claim, green or red; "" for an unknown word
    alpha: float  # opacity of the colour, 0 to 0.7
    sign: str  # "+" supported by the clip, "−" contradicted, "?" unknown, "" others
    note: str  # what the mark means, as the rest of a sentence about the word


def mark(word: WordSupport) -> Mark:
    """The mark of a word of a claim."""
    if word.lift is None:
        return Mark(word.word, "", 0.0, "?", "the model doesn't know this word")
    side = "for" if word.lift > 0 else "against"
    alpha = round(0.7 * min(1.0, abs(word.lift) / STRONGEST), 3)
    if abs(word.lift) < CLEAR:
        return Mark(word.word, side, alpha, "", "about as likely without the clip")
    if word.lift > 0:
        return Mark(word.word, side, alpha, "+", f"{_times(word.lift)} as likely with the clip")
    note = f"{_times(word.lift)} less likely with the clip"
    note += f"; the model expects “{word.instead}”" if word.instead else ""
    return Mark(word.word, side, alpha, "−", note)


def _times(lift: float) -> str:
    """By what factor a word becomes more or less likely: "1.6 times", "40 times"."""
    factor = math.exp(min(abs(lift), 50))
    if factor >= 1000:
        return "over 1,000 times"
    return f"{factor:.1f} times" if factor < 9.95 else f"{factor:.0f} times"


def caption_of(shown: Caption | Verification) -> Caption:
    """A caption itself, or a claim's; a ValueError where it was left out."""
    caption = shown if isinstance(shown, Caption) else shown.caption
    if caption is None:
        raise ValueError(
            "expected a claim as Captioner.verify gives it. Received: one of verify_pairs, which "
            "leaves the caption out"
        )
    return caption


def most_telling(found: Verification) -> int:
    """The number of the word whose probability the clip changes most; -1 if none is known."""
    lifts = [-1.0 if word.lift is None else abs(word.lift) for word in found.words]
    return lifts.index(max(lifts)) if max(lifts) >= 0 else -1


def most_contradicted(found: Verification) -> int:
    """The number of the word that the clip contradicts most clearly; -1 if there is none."""
    lifts = [word.lift or 0.0 for word in found.words]
    return lifts.index(min(lifts)) if min(lifts) <= -CLEAR else -1


def headline(found: Verification) -> str:
    """The verdict, with the reason where the model can't tell."""
    if found.verdict != CANT_TELL:
        return f"{found.verdict.capitalize()} by the clip."
    return f"Can't tell: {_why_not(found)}."


def _why_not(found: Verification) -> str:
    if found.unknown:
        words = ", ".join(f"“{word}”" for word in dict.fromkeys(found.unknown))
        return f"the model doesn't know {words}"
    if found.unlike_training:
        return "the clip is unlike the training data"
    return found.reason or "the evidence isn't clear enough"


def certainty(found: Verification, calibration: Calibration | None) -> str:
    """How sure the verdict is by the model's calibration; "" where there is no probability."""
    verdicts = calibration and calibration.of(found.form)
    if found.probability is None or calibration is None or verdicts is None:
        return ""
    said = f"Probability that the claim is true: {percent(found.probability)}"
    said += ", where true and false claims are equally frequent."
    if found.verdict == CANT_TELL:
        limits = [("at least", verdicts.supported), ("at most", verdicts.refuted)]
        needs = " or ".join(f"{side} {percent(at)}" for side, at in limits if at is not None)
        return f"{said} A verdict needs {needs}." if needs else said
    figures = calibration.figures
    if found.form != SENTENCE:
        figures = figures["forms"][found.form]
    precision = figures.get(found.verdict, {}).get("precision")
    if precision is None:
        return said
    right = "true" if found.verdict == SUPPORTED else "false"
    false = sum(figures["claims"].values()) - figures["claims"]["true"]
    return (
        f"{said} Of the held-out {found.form}s with this verdict {percent(precision)} were {right} "
        f"(measured on {figures['claims']['true']:,} true and {false:,} false ones)."
    )


def percent(share: float) -> str:
    """A share in per cent; never 0% or 100% of what isn't quite."""
    if 0.99 < share < 1:
        return "over 99%"
    return "under 1%" if 0 < share < 0.01 else f"{share:.0%}"
