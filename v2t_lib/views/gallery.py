"""Pages of cards, a clip each, that open in any browser and need nothing beside them."""

import html
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from v2t_lib.files import replacing
from v2t_lib.views.animation import frame_durations
from v2t_lib.views.templates import data_url, filled

#: Most pixels across a clip on a page; of a hundred clips it has about 2 MB.
_WIDTH = 192
_FEWEST = 96  # pixels across; smaller frames are enlarged


def picture(frames: np.ndarray, seconds: np.ndarray, still: int, alt: str) -> str:
    """An `<img>` of one frame, with the moving clip that the page's script shows in its place.

    Args:
        frames: uint8 `(T, H, W, 3)`.
        seconds: `(T,)`, the frames' times.
        still: The frame's number.
        alt: What the clip shows, in words.
    """
    width = min(frames.shape[2], _WIDTH)
    size = width, max(1, round(frames.shape[1] * width / frames.shape[2]))
    if width < _FEWEST:
        factor = -(-_FEWEST // width)
        size = size[0] * factor, size[1] * factor
    small = [Image.fromarray(f).resize(size, Image.Resampling.BICUBIC) for f in frames]
    milliseconds = np.round(1000 * frame_durations(seconds)).astype(int).tolist()
    moving = {"save_all": True, "append_images": small[1:], "duration": milliseconds, "loop": 0}
    return (
        f'<img src="{_webp(small[still])}" data-moving="{_webp(small[0], **moving)}" '
        f'alt="{html.escape(alt)}" width="{size[0]}" height="{size[1]}">'
    )


def _webp(image: Image.Image, **options) -> str:
    file = io.BytesIO()
    image.save(file, "WEBP", quality=55, **options)
    return data_url(file.getvalue(), "webp")


def save_gallery(
    path: str | Path, title: str, about: str, cards: Iterable[str], controls: str = ""
) -> None:
    """Writes a page.

    Args:
        path: The file to write.
        title: The page's heading, as plain text.
        about: What follows the heading, as HTML.
        cards: `<article>` elements.
        controls: Buttons and the like for the page's script, as HTML.
    """
    parts = {"TITLE": html.escape(title), "ABOUT": about, "CONTROLS": controls}
    page = filled("gallery.html", **parts, CARDS="\n".join(cards))
    with replacing(path) as temporary:
        temporary.write_bytes(page.encode(errors="replace"))
