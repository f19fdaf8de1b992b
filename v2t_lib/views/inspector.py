"""The inspector: click a word of a caption to see its attention; in a notebook or as a page."""

import base64
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from v2t_lib.models.caption import Caption
from v2t_lib.models.verification import Verification
from v2t_lib.models.verifier import Calibration
from v2t_lib.views import claim_marks
from v2t_lib.views.animation import frame_durations
from v2t_lib.views.lettering import right_to_left
from v2t_lib.views.pages import data_url, encoded, framed, write_page


def _rounded(values: npt.ArrayLike, digits: int = 4) -> list:
    return np.round(np.asarray(values, np.float64), digits).tolist()


def _film_strip(frames: np.ndarray) -> str:
    """uint8 `(T, H, W, 3)` as the URL of one JPEG, the frames below one another."""
    # Narrow frames are shown enlarged, and their artefacts too.
    options = {"quality": 93, "subsampling": 0} if frames.shape[2] < 128 else {"quality": 75}
    strip = frames.reshape(-1, *frames.shape[2:])
    return data_url(encoded(strip, "jpeg", optimize=True, **options), "jpeg")


def _caption_card(caption: Caption, name: str, truth: str, evidence: int) -> dict[str, Any]:
    """A caption as the page's script reads it; weights are a byte a cell, 255 at a word's peak."""
    peaks = caption.attention.max(axis=(1, 2, 3))  # (words,)
    heat = np.round(255 * caption.attention / np.maximum(peaks, 1e-12)[:, None, None, None])
    shares = caption.frame_share()
    return {
        "name": name,
        "truth": truth,
        "strip": _film_strip(caption.frames),
        "still": _film_strip(caption.frames[evidence : evidence + 1]),
        "frames": list(caption.frames.shape[:3]),
        "grid": list(caption.attention.shape[1:]),
        "shift": _rounded(caption.cell_shift, 3),
        "seconds": _rounded(caption.seconds, 3),
        "step": round(float(frame_durations(caption.seconds).mean()), 3),
        "text": caption.text,
        "words": list(caption.words),
        "direction": "rtl" if right_to_left(caption.words) else "ltr",
        "probs": _rounded(caption.probs),
        "runners": [[[word, round(p, 4)] for word, p in row] for row in caption.runners_up]
        or [[] for _ in caption.words],
        "heat": base64.b64encode(heat.astype(np.uint8).tobytes()).decode(),
        "peaks": _rounded(peaks, 6),
        "shares": _rounded(shares),
        "overall": _rounded(shares.mean(axis=0)) if caption.words else [0] * len(caption.frames),
        "top": [caption.frame_of(word) for word in range(len(caption.words))],
        "entropy": _rounded(caption.entropy()),
        "nowhere": [caption.looked_nowhere(word) for word in range(len(caption.words))],
        "evidence": evidence,
        "unlike": bool(caption.unlike_training),
        "chosen": caption.sharpest_word() if caption.words else -1,
        "marks": None,
    }


def cards(
    shown: Sequence[Caption | Verification],
    names: Sequence[str] = (),
    truths: Sequence[str] = (),
    calibration: Calibration | None = None,
) -> list[dict[str, Any]]:
    """What the template `inspector.html` shows side by side, as `cards`.

    Args:
        shown: Captions, or claims as `Captioner.verify` gives them, whose words are marked by
            whether the clip supports or contradicts them.
        names: A heading for each.
        truths: A reference caption for each; several are joined by " | ".
        calibration: Says how often the verdicts on claims are right.
    """
    names, truths = names or [""] * len(shown), truths or [""] * len(shown)
    made = []
    for one, name, truth in zip(shown, names, truths, strict=True):
        caption = claim_marks.caption_of(one)
        evidence = one.frame if isinstance(one, Verification) else caption.evidence_frame()
        made.append(_caption_card(caption, name, truth, evidence))
        if isinstance(one, Verification):
            made[-1] |= {
                "chosen": claim_marks.most_telling(one),
                "headline": claim_marks.headline(one),
                "certainty": claim_marks.certainty(one, calibration),
                "marks": [dataclasses.asdict(claim_marks.mark(word)) for word in one.words],
            }
    return made


def save_page(
    path: str | Path,
    captions: Sequence[Caption | Verification],
    names: Sequence[str] = (),
    truths: Sequence[str] = (),
    calibration: Calibration | None = None,
) -> None:
    """Writes the inspector as one HTML file that works offline; the arguments are those of `cards`,
    after the path."""
    title = "Video-to-Text: captions and attention"
    shown = cards(captions, names, truths, calibration)
    write_page(path, "inspector_page.html", title=title, cards=shown)


def in_frame(cards: Sequence[dict[str, Any]]) -> str:
    """The inspector of `cards` in a frame, for the output of a notebook's cell or a widget."""
    return framed("inspector_page.html", title="", cards=cards)


def inspect(
    *captions: Caption | Verification, names: Sequence[str] = (), truths: Sequence[str] = ()
) -> None:
    """Shows captions in a notebook: a contact sheet of each, for where scripts don't run, as on
    GitHub or in an untrusted notebook, then the inspector.

    Args:
        captions: One, or several to compare side by side: captions, or claims as
            `Captioner.verify` gives them.
        names: A heading for each.
        truths: A reference caption for each; several are joined by " | ".
    """
    from IPython.display import display

    for caption in map(claim_marks.caption_of, captions):
        # The text is for front ends that show no pictures.
        sheet = {
            "image/png": base64.b64encode(caption.sheet()).decode(),
            "text/plain": f"Attention weights of: {caption.text}",
        }
        display(sheet, raw=True)
    page = in_frame(cards(captions, names, truths))
    display({"text/html": page, "text/plain": "the inspector, in a frame"}, raw=True)
