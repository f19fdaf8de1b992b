"""Contact sheets: frames side by side, and a table of words by key frames, as PNGs."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from v2t_lib.views.heatmap import heat_maps, overlay
from v2t_lib.views.lettering import font_for

_THUMBNAIL, _GAP, _MARGIN = 64, 4, 5
#: Sizes of the text, and the height of a line above the pictures, in pixels.
_WORD, _NOTE, _LINE = 15, 12, 19


def strip(frames: np.ndarray, seconds: np.ndarray, height: int = 96) -> bytes:
    """Frames side by side with their times above them, as the bytes of a PNG.

    Args:
        frames: uint8 `(T, H, W, 3)`.
        seconds: `(T,)`, each frame's time in the clip.
        height: Height of a frame in the picture, in pixels.
    """
    width = max(1, round(height * frames.shape[2] / frames.shape[1]))
    page = Image.new("RGB", (len(frames) * (width + _GAP), _LINE + height), "white")
    pen = ImageDraw.Draw(page)
    smaller = height < frames.shape[1]
    resampling = Image.Resampling.BOX if smaller else Image.Resampling.NEAREST
    for number, frame in enumerate(frames):
        x = number * (width + _GAP)
        pen.text((x, 2), f"{seconds[number]:.2f} s", fill="black", font=font_for("0", _NOTE))
        page.paste(Image.fromarray(frame).resize((width, height), resampling), (x, _LINE))
    return _png(page)


def key_frames(attention: np.ndarray, frames: int, count: int) -> list[int]:
    """The frames in the middle of the `count` time steps with the most attention, in time order.

    Args:
        attention: Weights `(words, T', h', w')`.
        frames: Number of frames, `T`.
        count: Most frames to return.
    """
    times = attention.sum(axis=(0, 2, 3))  # (T',)
    best = np.sort(np.argsort(-times, kind="stable")[:count])
    return [int((step + 0.5) * frames / len(times)) for step in best]


def sheet(
    frames: np.ndarray,
    seconds: np.ndarray,
    words: Sequence[str],
    probs: np.ndarray,
    attention: np.ndarray,
    columns: int,
    shift: tuple[float, float] = (0.0, 0.0),
) -> bytes:
    """A contact sheet as the bytes of a PNG: the key frames, then one row of heat maps a word.

    Args:
        frames: uint8 `(T, H, W, 3)`.
        seconds: `(T,)`, each frame's time in the clip.
        words: The caption.
        probs: `(words,)`.
        attention: Weights `(words, T', h', w')`.
        columns: Most key frames to show.
        shift: `Caption.cell_shift`.
    """
    shown = key_frames(attention, len(frames), columns)
    heats = [heat_maps(weights, frames.shape[:3], shift)[shown] for weights in attention]
    rows = [frames[shown], *(overlay(frames[shown], heat) for heat in heats)]
    height = max(1, round(_THUMBNAIL * frames.shape[1] / frames.shape[2]))
    left, across, down = _label_width(words), _THUMBNAIL + _GAP, height + _GAP
    top = _LINE + _GAP
    page = Image.new("RGB", (left + len(shown) * across, top + len(rows) * down), "white")
    pen = ImageDraw.Draw(page)
    for column, number in enumerate(shown):
        x = left + column * across
        pen.text((x, 2), f"{seconds[number]:.1f} s", fill="black", font=font_for("0", _NOTE))
        for row, pictures in enumerate(rows):
            picture = Image.fromarray(pictures[column])
            thumbnail = picture.resize((_THUMBNAIL, height), Image.Resampling.BOX)
            page.paste(thumbnail, (x, top + row * down))
    for row, (word, prob) in enumerate(zip(words, probs, strict=True), start=1):
        y = top + row * down + height // 2
        font, note = font_for(word, _WORD), font_for("0", _NOTE)
        pen.text((_MARGIN, y - 2), word, fill="black", font=font, anchor="ls")
        pen.text((_MARGIN, y + 3), f"{prob:.0%}", fill="#555555", font=note)
    # 96 colours are enough for thumbnails and take a third of the bytes.
    return _png(page.quantize(96, dither=Image.Dither.NONE))


def _label_width(words: Sequence[str]) -> int:
    """Pixels that the longest word needs, margins included."""
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    widths = [pen.textlength(word, font=font_for(word, _WORD)) for word in words]
    return int(max([40, *widths]) + 2 * _MARGIN)


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()
