"""The evidence page: claims about a clip with verdict, evidence and limits, to show to others."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import v2t_lib
from v2t_lib.models.caption import Caption, cell_of
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.verification import Verification
from v2t_lib.models.verifier import REFUTED
from v2t_lib.views.claim_marks import caption_of, most_contradicted
from v2t_lib.views.heatmap import enlarge, heated
from v2t_lib.views.inspector import cards
from v2t_lib.views.pages import data_url, encoded, write_page
from v2t_lib.views.sheet import strip

#: Pixels across the picture of the frame of evidence, and across one word's.
_LARGE, _SMALL = 480, 192


def save_evidence_page(
    path: str | Path, claims: Sequence[Verification], captioner: Captioner, model: str
) -> None:
    """Writes claims with their evidence as one HTML file that works offline and prints well.

    It tells the calibration and limits of the captioner that judged them, under the name `model`.
    """
    calibration = captioner.verifier.calibration
    shown = cards(claims, [found.source for found in claims], calibration=calibration)
    # When the first and the last frame that the model saw lie in their clips.
    seconds = np.array([caption_of(found).seconds[[0, -1]] for found in claims])  # (claims,2)
    write_page(
        path,
        "evidence.html",
        title="Does the clip support the claim?",
        claims=[_claim(*pair) for pair in zip(claims, shown, strict=True)],
        spec=captioner.clip_spec,
        words=len(captioner.vocabulary),
        span=(seconds.min(), seconds.max()) if claims else (),
        judges_clips=all(found.unlike_training is not None for found in claims),
        model=model,
        calibration=calibration,
        version=v2t_lib.__version__,
        rows=[found.to_dict() for found in claims],
        cards=shown,
    )


def _claim(found: Verification, card: dict[str, Any]) -> dict[str, Any]:
    """What the template shows of a claim beside its card in the inspector."""
    caption = caption_of(found)
    return {
        "found": found,
        "card": card,
        "evidence": _evidence(found, caption),
        "by_word": _by_word(caption, card["marks"]),
        "strip": data_url(strip(caption.frames, caption.seconds), "png"),
    }


def _evidence(found: Verification, caption: Caption) -> list[dict[str, str]]:
    """The frame of evidence under its heat, beside what speaks against the claim, or plain."""
    frame, against = found.frame, most_contradicted(found)
    supported = any(word.lift is not None and word.lift > 0 for word in found.words)
    basis = "the words that the clip supports" if supported else "all words"
    evidence = {
        "picture": _picture(caption, frame, found.evidence(), _LARGE),
        "title": f"Evidence: frame {frame + 1} of {len(caption.frames)}, at {found.seconds:.2f} s.",
        "text": f"Bright where the model attended for {basis}.",
    }
    if found.verdict == REFUTED and against >= 0:
        word, other = found.words[against].word, caption.frame_of(against)
        contradicted = {
            "picture": _picture(caption, other, caption.attention[against], _LARGE),
            "title": f"Against it: “{word}”, at {caption.seconds[other]:.2f} s.",
            "text": "Bright where the model attended for that word.",
        }
        return [contradicted, evidence]
    plain = {
        "picture": _picture(caption, frame, None, _LARGE),
        "title": "",
        "text": "The same frame, as the model saw it.",
    }
    return [evidence, plain]


def _by_word(caption: Caption, marks: Sequence[dict]) -> list[dict[str, Any]]:
    """For each word with a clear lift its frame under its heat."""
    figures = []
    for number, mark in enumerate(marks):
        if mark["sign"] in ("+", "−"):
            frame = caption.frame_of(number)
            vague = "; attention close to uniform" if caption.looked_nowhere(number) else ""
            picture = _picture(caption, frame, caption.attention[number], _SMALL)
            text = f"{caption.seconds[frame]:.2f} s{vague}"
            figures.append({"picture": picture, "mark": mark, "text": text})
    return figures


def _picture(caption: Caption, frame: int, attention: np.ndarray | None, width: int) -> str:
    """A frame, under heat `(T', h', w')` scaled to its brightest cell there, as a JPEG's URL."""
    pictures = enlarge(caption.frames[frame : frame + 1], width)
    if attention is not None:
        step = cell_of(np.array([frame]), len(caption.frames), len(attention))
        pictures = heated(pictures, attention[step], caption.cell_shift)
    return data_url(encoded(pictures[0], "jpeg", quality=88), "jpeg")
