"""Animations of attention: the clip beside one word's heat map, as a GIF or an MP4."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw

from v2t_lib.clips.decode import sample_times
from v2t_lib.files import replacing
from v2t_lib.models.caption import Caption
from v2t_lib.views.heatmap import enlarge, heated
from v2t_lib.views.lettering import font_for, right_to_left
from v2t_lib.views.pages import encoded

_HIGHLIGHT = "#f6a800"
_FONT, _LINE, _MARGIN = 15, 19, 5
#: Browsers slow GIFs down whose frames are shorter.
_SHORTEST = 0.02


def frame_durations(seconds: np.ndarray) -> np.ndarray:
    """How long to show frames sampled at `seconds` `(T,)`: from halfway since the one before until
    halfway to the next, at least 0.02 seconds."""
    if len(seconds) < 2:
        return np.full(len(seconds), 0.2)
    return np.maximum(np.gradient(seconds), _SHORTEST)


def side_by_side(caption: Caption, word: int | None, width: int) -> np.ndarray:
    """Draws each frame twice, plain and under a word's heat map, above the caption.

    The word, by its number, is highlighted; without one there is no heat. Each half has at most
    `width` pixels across if the frames aren't wider already: uint8 `(T, height, 2 * width, 3)`,
    both even.
    """
    left = right = enlarge(caption.frames, width)
    if word is not None:
        right = heated(left, caption.attention[word], caption.cell_shift)
    both = np.concatenate([left, right], axis=2)
    below = _text(caption.words, word, both.shape[2], both.shape[1] % 2)
    return np.concatenate([both, np.broadcast_to(below, (len(both), *below.shape))], axis=1)


def _text(words: Sequence[str], highlighted: int | None, width: int, odd: int) -> np.ndarray:
    """The caption in lines of at most `width` pixels; its height is odd if `odd` is 1."""
    lines: list[tuple[str, float, int, float]] = []  # word, x, y, length
    x, y = float(_MARGIN), 4
    for word in words:
        length = font_for(word, _FONT).getlength(word)
        if x > _MARGIN and x + length > width - _MARGIN:
            x, y = _MARGIN, y + _LINE
        lines.append((word, x, y, length))
        x += length + 7
    height = y + _LINE + 4
    page = Image.new("RGB", (width, height + (height + odd) % 2), "white")
    pen, mirrored = ImageDraw.Draw(page), right_to_left(words)
    for number, (word, start, y, length) in enumerate(lines):
        x = width - start - length if mirrored else start
        if number == highlighted:
            pen.rectangle((x - 2, y, x + length + 2, y + _LINE - 1), fill=_HIGHLIGHT)
        font = font_for(word, _FONT)
        pen.text((x, y + _FONT - 1), word, fill="black", font=font, anchor="ls")
    return np.asarray(page)


def write_gif(path: str | Path, pictures: np.ndarray, durations: np.ndarray) -> None:
    """Writes a GIF of pictures uint8 `(T, H, W, 3)` that loops for ever.

    GIFs count hundredths of a second: the sum of the `durations` is rounded, not each.
    """
    _check_suffix(path, ".gif")
    ends = np.round(100 * np.cumsum(durations)).astype(int)
    with replacing(path) as temporary:
        temporary.write_bytes(animated(pictures, 10 * np.diff(ends, prepend=0), "gif"))


def animated(pictures: np.ndarray, milliseconds: np.ndarray, kind: str, **options) -> bytes:
    """Pictures uint8 `(T, H, W, 3)`, shown for `milliseconds` int `(T,)`, that loop for ever, as a
    file's bytes; kind and `options` are Pillow's."""
    first, *others = map(Image.fromarray, pictures)
    # Of a single picture's duration Pillow takes no list.
    duration = milliseconds.tolist() if others else int(milliseconds[0])
    options |= {"save_all": True, "append_images": others, "duration": duration, "loop": 0}
    return encoded(first, kind, **options)


def write_mp4(path: str | Path, pictures: np.ndarray, durations: np.ndarray) -> None:
    """Writes an MP4 of pictures uint8 `(T, H, W, 3)`, both even, that browsers play and stream.

    The frame rate is constant. Frames that are shown equally long are written once each; else
    there are 50 frames a second, and each picture is repeated for as long as it is shown.
    """
    _check_suffix(path, ".mp4")
    total = float(np.sum(durations))
    even = np.allclose(durations, durations[0], atol=1e-3)
    count = len(pictures) if even else round(total / _SHORTEST)
    numbers, _ = sample_times(list(durations), count)
    rate = Fraction(count / total).limit_denominator(10_000)
    options = {"movflags": "faststart"}
    with (
        replacing(path) as temporary,
        # Of a relative name FFmpeg would take "a:" for a protocol.
        av.open(str(temporary.absolute()), "w", format="mp4", options=options) as video,
    ):
        stream = video.add_stream("libx264", rate=rate, pix_fmt="yuv420p")
        stream.height, stream.width = pictures.shape[1:3]
        for number in numbers:
            video.mux(stream.encode(av.VideoFrame.from_ndarray(pictures[number], "rgb24")))
        video.mux(stream.encode())


def _check_suffix(path: str | Path, suffix: str) -> None:
    if Path(path).suffix.lower() != suffix:
        raise ValueError(f"expected a file name that ends in {suffix}. Received: {path}")
