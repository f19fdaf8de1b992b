"""The inspector: click a word of a caption to see its attention; in a notebook or as a page."""

import base64
import dataclasses
import html
import io
import json
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from v2t_lib.files import replacing
from v2t_lib.models.caption import Caption
from v2t_lib.models.verification import Verification
from v2t_lib.views import claim_marks
from v2t_lib.views.animation import frame_durations
from v2t_lib.views.heatmap import HEAT_OPACITY
from v2t_lib.views.lettering import right_to_left
from v2t_lib.views.templates import data_url, filled

#: JPEG options for frames that are narrow, and so shown enlarged with their artefacts, and others.
_JPEG = {True: {"quality": 93, "subsampling": 0}, False: {"quality": 75, "subsampling": 2}}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _rounded(values: npt.ArrayLike, digits: int = 4) -> list:
    return np.round(np.asarray(values, np.float64), digits).tolist()


def _film_strip(frames: np.ndarray) -> bytes:
    """uint8 `(T, H, W, 3)` as one JPEG, the frames below one another."""
    file = io.BytesIO()
    strip = Image.fromarray(frames.reshape(-1, *frames.shape[2:]))
    strip.save(file, "JPEG", **_JPEG[strip.width < 128], optimize=True)
    return file.getvalue()


def _clip_data(caption: Caption, name: str, truth: str) -> dict:
    """A caption as the page's script reads it; weights are a byte a cell, 255 at a word's peak."""
    peaks = caption.attention.max(axis=(1, 2, 3))  # (words,)
    heat = np.round(255 * caption.attention / np.maximum(peaks, 1e-12)[:, None, None, None])
    shares = caption.frame_share()
    return {
        "name": name,
        "truth": truth,
        "strip": data_url(_film_strip(caption.frames)),
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
        "heat": _base64(heat.astype(np.uint8).tobytes()),
        "peaks": _rounded(peaks, 6),
        "shares": _rounded(shares),
        "overall": _rounded(shares.mean(axis=0)) if caption.words else [0] * len(caption.frames),
        "top": [caption.frame_of(word) for word in range(len(caption.words))],
        "entropy": _rounded(caption.entropy()),
        "nowhere": [caption.looked_nowhere(word) for word in range(len(caption.words))],
        "evidence": caption.evidence_frame(),
        "unlike": claim_marks.UNLIKE if caption.unlike_training else "",
        "chosen": caption.sharpest_word() if caption.words else -1,
    }


def _claim_data(found: Verification, name: str, truth: str) -> dict:
    """A verified claim as the page's script reads it: its caption's data, its marks and verdict."""
    return _clip_data(claim_marks.caption_of(found), name, truth) | {
        "unlike": claim_marks.UNLIKE if found.unlike_training else "",
        "evidence": found.frame,
        "chosen": claim_marks.most_telling(found),
        "claim": found.to_dict(),
        "headline": claim_marks.headline(found),
        "marks": [dataclasses.asdict(mark) for mark in claim_marks.marks(found)],
    }


def _card_data(shown: Caption | Verification, name: str, truth: str) -> dict:
    if isinstance(shown, Caption):
        return _clip_data(shown, name, truth)
    return _claim_data(shown, name, truth)


def as_script(data: object) -> str:
    """JSON that can stand in a script element: "<" is escaped, as "</script>" would end it."""
    return json.dumps(data).replace("<", "\\u003c")


def fragment(
    captions: Sequence[Caption | Verification],
    names: Sequence[str] = (),
    truths: Sequence[str] = (),
) -> str:
    """The inspector of some captions, side by side, as HTML that loads nothing from elsewhere.

    Args:
        captions: The captions to show, or claims as `Captioner.verify` gives them, whose words are
            marked by whether the clip supports or contradicts them.
        names: A heading for each.
        truths: A reference caption for each; several are joined by " | ".
    """
    names, truths = names or [""] * len(captions), truths or [""] * len(captions)
    clips = [_card_data(*row) for row in zip(captions, names, truths, strict=True)]
    return filled(
        "inspector.html",
        ID=f"v2t-{uuid.uuid4().hex[:12]}",
        MARKS=filled("marks.html"),
        OPACITY=str(HEAT_OPACITY),
        CLIPS=as_script(clips),
    )


def save_page(
    path: str | Path,
    captions: Sequence[Caption | Verification],
    names: Sequence[str] = (),
    truths: Sequence[str] = (),
    title: str = "Video-to-Text: captions and attention",
    summary: str = "",
) -> None:
    """Writes the inspector as one HTML file that works offline.

    Args:
        path: The file to write.
        captions: The captions to show, or claims as `Captioner.verify` gives them.
        names: A heading for each.
        truths: A reference caption for each; several are joined by " | ".
        title: The page's heading.
        summary: A line below the heading, as plain text.
    """
    above = f"<p>{html.escape(summary)}</p>" if summary else ""
    write_page(path, title, above, fragment(captions, names, truths))


def write_page(path: str | Path, title: str, above: str, inspectors: str) -> None:
    """Writes a page of what `fragment` returns, once or more, below some other HTML."""
    page = filled("page.html", TITLE=html.escape(title), ABOVE=above, INSPECTOR=inspectors)
    with replacing(path) as temporary:
        temporary.write_bytes(page.encode(errors="replace"))


def inspect(
    *captions: Caption | Verification, names: Sequence[str] = (), truths: Sequence[str] = ()
) -> None:
    """Shows captions in a notebook: a contact sheet of each, then the inspector.

    The sheets remain visible where scripts don't run: on GitHub, or in an untrusted notebook.

    Args:
        captions: One, or several to compare side by side: captions, or claims as
            `Captioner.verify` gives them.
        names: A heading for each.
        truths: A reference caption for each; several are joined by " | ".
    """
    from IPython.display import HTML, display

    for shown in captions:
        caption = shown if isinstance(shown, Caption) else claim_marks.caption_of(shown)
        # The text is for front ends that show no pictures.
        sheet = {
            "image/png": _base64(caption.sheet()),
            "text/plain": f"Attention weights of: {caption.text}",
        }
        display(sheet, raw=True)
    display(HTML(fragment(captions, names, truths)))
