"""The evidence page: claims about a clip with verdict, evidence and limits, to show to others."""

import html
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from v2t_lib.files import replacing
from v2t_lib.models.caption import Caption, cell_of
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.verification import Verification
from v2t_lib.models.verifier import REFUTED
from v2t_lib.views.claim_marks import (
    UNLIKE,
    Mark,
    caption_of,
    certainty,
    dependence,
    headline,
    marks,
    most_contradicted,
)
from v2t_lib.views.heatmap import enlarge, heat_maps, overlay
from v2t_lib.views.inspector import as_script, fragment
from v2t_lib.views.lettering import right_to_left
from v2t_lib.views.sheet import strip
from v2t_lib.views.templates import data_url, filled

#: Pixels across the picture of the frame of evidence, and across one word's.
_LARGE, _SMALL = 480, 192


def save_evidence_page(
    path: str | Path, claims: Sequence[Verification], captioner: Captioner, model: str
) -> None:
    """Writes claims with their evidence as one HTML file that works offline and prints well.

    Args:
        path: The file to write.
        claims: What `captioner.verify` said of each.
        captioner: The model that judged them; its calibration and limits are told.
        model: The model's name.
    """
    page = filled(
        "evidence.html",
        MARKS=filled("marks.html"),
        CLAIMS="\n".join(_claim(found, captioner) for found in claims),
        LIMITS=_items(_limits(claims, captioner)),
        MODEL=html.escape(_about(captioner, model)),
        ROWS=as_script([found.to_dict() for found in claims]),
        INSPECTOR=fragment(claims, [found.source for found in claims]),
    )
    with replacing(path) as temporary:
        temporary.write_bytes(page.encode(errors="replace"))


def _claim(found: Verification, captioner: Captioner) -> str:
    """One claim's part of the page."""
    words, caption = marks(found), caption_of(found)
    direction = "rtl" if right_to_left(caption.words) else "ltr"
    spans = " ".join(map(_span, words))
    verdict = found.verdict.replace(" ", "-").replace("'", "")
    sure = certainty(found, captioner.verifier.calibration)
    warning = f'<p class="warning">⚠ {UNLIKE}</p>' if found.unlike_training else ""
    return f"""<section class="claim">
<p class="source">{html.escape(found.source)}</p>
<h2 dir="{direction}">“{html.escape(found.sentence)}”</h2>
<p class="verdict {verdict}">{html.escape(headline(found))}</p>
{warning}<p>{html.escape(sure)}</p>
<p class="marks" dir="{direction}">{spans}</p>
{_notes(words, direction)}
{_evidence(found)}
{_by_word(found, words)}
<figure class="strip"><img src="{data_url(strip(caption.frames, caption.seconds), "png")}" alt="">
<figcaption>All {len(caption.frames)} frames that the model saw.</figcaption></figure>
</section>"""


def _span(mark: Mark) -> str:
    return (
        f'<span class="v2t-mark" data-side="{mark.side}" data-sign="{mark.sign}" '
        f'style="--alpha: {0.7 * mark.strength:.2f}" title="{html.escape(mark.note)}">'
        f"{html.escape(mark.word)}</span>"
    )


def _notes(words: Sequence[Mark], direction: str) -> str:
    """What the clip supports, contradicts and what the model doesn't know, word by word."""
    titles = {"+": "The clip supports", "−": "The clip contradicts", "?": "Not judged"}
    parts = []
    for sign, title in titles.items():
        of_sign = [mark for mark in words if mark.sign == sign]
        if of_sign:
            items = [f"{_bold(mark.word, direction)}: {html.escape(mark.note)}" for mark in of_sign]
            parts.append(f"<h3>{title}</h3><ul>{''.join(f'<li>{i}</li>' for i in items)}</ul>")
    if not parts:
        parts = ["<p>No word is clearly more or less likely with the clip than without.</p>"]
    return f'<div class="notes">{"".join(f"<div>{part}</div>" for part in parts)}</div>'


def _bold(word: str, direction: str) -> str:
    return f'<b dir="{direction}">{html.escape(word)}</b>'


def _evidence(found: Verification) -> str:
    """The frame of evidence under its heat, beside what speaks against the claim, or plain."""
    caption, frame = found.caption, found.frame
    supported = any(word.lift is not None and word.lift > 0 for word in found.words)
    basis = "the words that the clip supports" if supported else "all words"
    at = f"frame {frame + 1} of {len(caption.frames)}, at {found.seconds:.2f} s"
    text = f"<b>Evidence: {at}.</b> Bright where the model attended for {basis}."
    shown = [_large(caption, frame, found.evidence(), text)]
    against = most_contradicted(found)
    if found.verdict == REFUTED and against >= 0:
        word, other = found.words[against].word, caption.frame_of(against)
        text = f"<b>Against it: “{html.escape(word)}”, at {caption.seconds[other]:.2f} s.</b> "
        text += "Bright where the model attended for that word."
        shown.insert(0, _large(caption, other, caption.attention[against], text))
    else:
        shown.append(_large(caption, frame, None, "The same frame, as the model saw it."))
    return f'<div class="evidence">{"".join(shown)}</div><p>{html.escape(dependence(found))}</p>'


def _large(caption: Caption, frame: int, attention: np.ndarray | None, text: str) -> str:
    picture = data_url(_jpeg(caption, frame, attention, _LARGE))
    return f'<figure><img src="{picture}" alt=""><figcaption>{text}</figcaption></figure>'


def _evidence_heat(found: Verification) -> np.ndarray:
    """Attention `(T', h', w')` as the frame of evidence is chosen by: weighted by positive lift."""
    caption = found.caption
    lifts = np.array([max(word.lift or 0, 0) for word in found.words], np.float32)
    if not lifts.any():
        lifts = np.maximum(1 - caption.entropy(), 1e-6)
    return np.tensordot(lifts, caption.attention, 1)


def _by_word(found: Verification, words: Sequence[Mark]) -> str:
    """For each word with a clear lift its frame under its heat."""
    caption, figures = found.caption, []
    for number, mark in enumerate(words):
        if mark.sign not in ("+", "−"):
            continue
        frame = caption.frame_of(number)
        picture = data_url(_jpeg(caption, frame, caption.attention[number], _SMALL))
        vague = "; attention close to uniform" if caption.looked_nowhere(number) else ""
        figures.append(
            f'<figure><img src="{picture}" alt=""><figcaption>{_span(mark)} '
            f"{caption.seconds[frame]:.2f} s{vague}</figcaption></figure>"
        )
    if not figures:
        return ""
    title = "<h3>Where the model looked, word by word</h3>"
    return f'{title}<div class="by-word">{"".join(figures)}</div>'


def _jpeg(caption: Caption, frame: int, attention: np.ndarray | None, width: int) -> bytes:
    """A frame, under heat `(T', h', w')` scaled to its brightest cell there, as a JPEG."""
    pictures = enlarge(caption.frames[frame : frame + 1], width)
    if attention is not None:
        step = cell_of(np.array([frame]), len(caption.frames), len(attention))
        heat = heat_maps(attention[step], pictures.shape[:3], caption.cell_shift)
        pictures = overlay(pictures, heat)
    file = io.BytesIO()
    Image.fromarray(pictures[0]).save(file, "JPEG", quality=88)
    return file.getvalue()


def _limits(claims: Sequence[Verification], captioner: Captioner) -> list[str]:
    """What the model can't know."""
    spec = captioner.clip_spec
    ends = [(found.caption.seconds[0], found.caption.seconds[-1]) for found in claims]
    span = f", from {min(ends)[0]:.2f} to {max(end for _, end in ends):.2f} s" if ends else ""
    limits = [
        f"It saw {spec.frames} frames of {spec.width} × {spec.height} pixels{span}, without sound: "
        "what happens between them, or is too small, it can't have seen.",
        f"It knows {len(captioner.vocabulary):,} words and what things look like, not who or where "
        "somebody is, when or why something happened: names, places and dates it can't check.",
        "A supported claim may leave out what matters. The verdict is an estimate, no "
        "proof: watch the clip at the second given.",
    ]
    if any(found.unlike_training is None for found in claims):
        limits.append("It can't tell whether the clip is like those it was trained on.")
    return limits


def _items(texts: Sequence[str]) -> str:
    return "".join(f"<li>{html.escape(text)}</li>" for text in texts)


def _about(captioner: Captioner, model: str) -> str:
    from v2t_lib import __version__

    calibration = captioner.verifier.calibration
    error = calibration.figures.get("calibration_error") if calibration else None
    told = "not calibrated" if calibration is None else "calibrated on held-out clips"
    told += f", expected calibration error {error:.3f}" if error is not None else ""
    return f"{model}; {told}; v2t {__version__}"
