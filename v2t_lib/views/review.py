"""Captions for people to look through: a table, and a page on which they are corrected."""

import dataclasses
import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np

from v2t_lib.files import write_table
from v2t_lib.models.caption import Caption
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.verifier import Calibration
from v2t_lib.views.gallery import clip_picture
from v2t_lib.views.pages import write_page

COLUMNS = ("file", "alt", "caption", "log_prob", "surer_than", "unsure", "unlike_training", "note")
#: A caption is unsure if fewer than this share of the captions of held-out clips are less sure.
UNSURE = 0.25
# A captions file takes sources in UTF-8 without tabs and line ends.
_WORDS = {None: "", True: "yes", False: "no"}
_UNNAMEABLE = re.compile("[\t\n\r\0\ud800-\udfff]")


@dataclasses.dataclass(frozen=True)
class AltText:
    """A caption to stand in a clip's place, and how sure the model is of it."""

    text: str  # after a hedge where it is unsure
    #: The share of held-out clips' captions of lower log-probability; None without calibration.
    surer_than: float | None
    unsure: bool  # that share is below `UNSURE`, or the clip is unlike the training data


def alt_text(
    caption: Caption, calibration: Calibration | None, hedge: str = "perhaps", unit: str = "word"
) -> AltText:
    """A caption as alt text; no space follows the hedge if the captions' unit is "character"."""
    surer_than = None
    if calibration is not None and calibration.caption_log_probs:
        shares = np.linspace(0, 1, len(calibration.caption_log_probs))
        surer_than = float(np.interp(caption.log_prob, calibration.caption_log_probs, shares))
    unsure = bool(caption.unlike_training) or (surer_than is not None and surer_than < UNSURE)
    text = caption.text
    if unsure and text:
        text = f"{hedge}{'' if unit == 'character' else ' '}{text}"
    return AltText(text, surer_than, unsure)


class Review:
    """Collects captions, then writes them as a table and, with `pictures`, as a page.

    The captioner's calibration says how sure it is; `hedge` is what an unsure alt text begins with,
    `place` the folder that sources are relative to, in words, "" where they aren't.
    """

    def __init__(
        self, captioner: Captioner, hedge: str = "perhaps", pictures: bool = True, place: str = ""
    ):
        self._calibration = captioner.verifier.calibration
        self._unit, self._hedge = captioner.caption_spec.unit, hedge
        self._pictures, self._place = pictures, place
        self._rows: list[dict] = []
        self._cards: list[dict] = []

    def add(self, file: str, source: str, caption: Caption, doubt: str = "") -> None:
        """Adds a clip: its name for people, its source in a captions file, its caption, and why
        there should be none, if so; the page then asks for one."""
        alt = alt_text(caption, self._calibration, self._hedge, self._unit)
        said = {} if doubt else {"alt": alt.text, "caption": caption.text}
        row = {
            "file": file,
            "log_prob": round(caption.log_prob, 4),
            "surer_than": None if alt.surer_than is None else round(alt.surer_than, 3),
            "unsure": _WORDS[alt.unsure],
            "unlike_training": _WORDS[caption.unlike_training],
            "note": doubt,
        }
        self._rows.append(row | said)
        if self._pictures:
            name = source if self._place else file
            self._cards.append(_card(name, source, caption, alt, doubt))

    def add_error(self, file: str, error: str) -> None:
        """Adds a clip that gave no caption."""
        self._rows.append({"file": file, "note": error})

    def write_table(self, path: str | Path) -> None:
        """Writes a CSV of `COLUMNS`, a row for each clip; see `files.write_table`."""
        write_table(path, {name: [row.get(name) for row in self._rows] for name in COLUMNS})

    def write_page(self, path: str | Path) -> None:
        """Writes the page; it works offline and holds all it shows."""
        write_page(
            path,
            "review.html",
            title="Captions to look through",
            folder=self._place,
            hedge=self._hedge,
            sure=f"{1 - UNSURE:.0%}",
            calibrated=self._calibration is not None,
            failed=[row for row in self._rows if "log_prob" not in row],
            cards=self._cards,
        )


def _card(name: str, source: str, caption: Caption, alt: AltText, doubt: str) -> dict[str, Any]:
    what = {
        "unlike the training data": caption.unlike_training,
        "unsure": alt.unsure,
        "no caption: not sure enough": doubt and not caption.unlike_training,
    }
    known = alt.surer_than is not None
    picture = clip_picture(caption.frames, caption.seconds, caption.evidence_frame())
    # By the picture too: clips of other folders may have the same names.
    same_clip = f"{source}\n{picture['still']}".encode(errors="replace")
    return {
        "name": name,
        "source": source,
        "key": f"v2t {hashlib.sha256(same_clip).hexdigest()[:24]}",
        "nameable": source == source.strip() and not _UNNAMEABLE.search(source),
        "picture": picture,
        "alt": "" if doubt else alt.text,
        "text": "" if doubt else caption.text,
        "unsure": alt.unsure,
        "marks": [mark for mark, said in what.items() if said],
        "surer": f"surer than {alt.surer_than:.0%} of held-out captions" if known else "",
    }
