"""A widget for one claim: its words marked by what the clip says of them, and the verdict."""

import dataclasses
import html

from v2t_lib.models.verification import Verification
from v2t_lib.models.verifier import Calibration
from v2t_lib.views.caption_view import CaptionView
from v2t_lib.views.claim_marks import (
    Mark,
    caption_of,
    certainty,
    dependence,
    headline,
    marks,
    most_telling,
)

#: Letters stay readable on the marks in every theme; hatching needs no colour vision.
_STYLE = """<style>
  .v2t-claim-word { color: #000 !important; }
  .v2t-claim-against { background-image: repeating-linear-gradient(
    135deg, transparent 0 6px, #0004 6px 8px) !important; }
</style>"""
_COLOURS = {"for": (0, 158, 115), "against": (211, 47, 47), "": (255, 255, 255)}


def _colour(mark: Mark) -> str:
    """A mark's colour on white, as ipywidgets 7 and 8 both take it."""
    opacity = 0.7 * mark.strength
    mixed = (round(255 + opacity * (part - 255)) for part in _COLOURS[mark.side])
    return "#" + "".join(f"{part:02x}" for part in mixed)


class ClaimView(CaptionView):
    """One claim: green words are more likely with the clip, red ones less; the verdict above.

    Clear words have "+" or "−" too, contradicted ones are hatched, unknown ones have "?".

    Args:
        found: The claim's verification, with its caption.
        title: A line above it.
        calibration: The model's, which says how often its verdicts are right.
    """

    def __init__(self, found: Verification, title: str, calibration: Calibration | None = None):
        self.found, self.marks = found, marks(found)
        caption = dataclasses.replace(caption_of(found), unlike_training=found.unlike_training)
        super().__init__(caption, title)
        self.heading.value += _STYLE + self._verdict(calibration)
        for mark, button in zip(self.marks, self.buttons, strict=True):
            button.description = f"{mark.sign} {mark.word}".strip()
            button.tooltip = f"{mark.word}: {mark.note}"
            button.style.button_color = _colour(mark)
            button.add_class("v2t-claim-word")
            if mark.sign == "−":
                button.add_class("v2t-claim-against")
        self.seek((found.frame + 0.5) / len(caption.frames))

    def _verdict(self, calibration: Calibration | None) -> str:
        said = html.escape(headline(self.found))
        sure = html.escape(certainty(self.found, calibration))
        at = f"Evidence: frame {self.found.frame + 1}, at {self.found.seconds:.2f} s. "
        at += html.escape(dependence(self.found))
        return f"<br>“{html.escape(self.found.sentence)}”<br><b>{said}</b> {sure}<br>{at}"

    def _first_word(self) -> int:
        return most_telling(self.found)

    def choose(self, word: int) -> None:
        """Selects a word, framing its button, as its colour says something else."""
        super().choose(word)
        for number, button in enumerate(self.buttons):
            button.layout.border = f"3px solid {'#f6a800' if number == self.word else '#8886'}"

    def _facts(self) -> str:
        if self.word < 0:
            return super()._facts()
        mark = self.marks[self.word]
        return f"“{mark.word}”: {mark.note}. Probability: {super()._facts()}"
