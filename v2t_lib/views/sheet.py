"""Contact sheets: frames side by side, and a table of words by key frames, as PNGs."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from v2t_lib.models.caption import Caption
from v2t_lib.views.heatmap import heated
from v2t_lib.views.lettering import font_for
from v2t_lib.views.pages import encoded

#: Width of a sheet's frames, height of a strip's, and what lies between them, in pixels.
_THUMBNAIL, _STRIP, _GAP, _MARGIN = 64, 96, 4, 5
#: Sizes of the text, and the height of a line above the pictures, in pixels.
_WORD, _NOTE, _LINE = 15, 12, 19


def strip(frames: np.ndarray, seconds: np.ndarray) -> bytes:
    """Frames uint8 `(T, H, W, 3)` side by side below their times `(T,)`, as the bytes of a PNG."""
    width = max(1, round(_STRIP * frames.shape[2] / frames.shape[1]))
    times = [f"{at:.2f} s" for at in seconds]
    return encoded(_table([frames], times, (width, _STRIP), 0), "png", optimize=True)


def key_frames(attention: np.ndarray, frames: int, count: int) -> list[int]:
    """Of `frames` those in the middle of the `count` time steps with the most attention, in time
    order, by weights `(words, T', h', w')`."""
    times = attention.sum(axis=(0, 2, 3))  # (T',)
    best = np.sort(np.argsort(-times, kind="stable")[:count])
    return [int((step + 0.5) * frames / len(times)) for step in best]


def sheet(caption: Caption, columns: int) -> bytes:
    """A contact sheet as the bytes of a PNG: at most `columns` key frames, then one row of heat
    maps a word."""
    frames, shift = caption.frames, caption.cell_shift
    shown = key_frames(caption.attention, len(frames), columns)
    heat = [heated(frames, weights, shift)[shown] for weights in caption.attention]
    height = max(1, round(_THUMBNAIL * frames.shape[1] / frames.shape[2]))
    times = [f"{caption.seconds[number]:.1f} s" for number in shown]
    widths = [font_for(word, _WORD).getlength(word) for word in caption.words]
    left = int(max([40, *widths]) + 2 * _MARGIN)
    page = _table([frames[shown], *heat], times, (_THUMBNAIL, height), left)
    pen = ImageDraw.Draw(page)
    for row, (word, prob) in enumerate(zip(caption.words, caption.probs, strict=True), start=1):
        y = _LINE + row * (height + _GAP) + height // 2
        font, note = font_for(word, _WORD), font_for("0", _NOTE)
        pen.text((_MARGIN, y - 2), word, fill="black", font=font, anchor="ls")
        pen.text((_MARGIN, y + 3), f"{prob:.0%}", fill="#555555", font=note)
    # 96 colours are enough for thumbnails and take a third of the bytes.
    return encoded(page.quantize(96, dither=Image.Dither.NONE), "png", optimize=True)


def _table(
    rows: Sequence[np.ndarray], times: Sequence[str], size: tuple[int, int], left: int
) -> Image.Image:
    """Rows of frames `(columns, H, W, 3)` below their times; `left` pixels stay free."""
    across, down = size[0] + _GAP, size[1] + _GAP
    page_size = (left + len(times) * across, _LINE + len(rows) * down - _GAP)
    page = Image.new("RGB", page_size, "white")
    pen = ImageDraw.Draw(page)
    smaller = size[1] < rows[0].shape[1]
    resampling = Image.Resampling.BOX if smaller else Image.Resampling.NEAREST
    for column, time in enumerate(times):
        x = left + column * across
        pen.text((x, 2), time, fill="black", font=font_for("0", _NOTE))
        for row, frames in enumerate(rows):
            picture = Image.fromarray(frames[column]).resize(size, resampling)
            page.paste(picture, (x, _LINE + row * down))
    return page
