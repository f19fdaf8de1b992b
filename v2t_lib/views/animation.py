"""Animations of attention: the clip beside one word's heat map, as a GIF or an MP4."""

from collections.abc import Sequence
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
from PIL import Image, ImageDraw

from v2t_lib.clips.decode import sample_times
from v2t_lib.files import replacing
from v2t_lib.views.heatmap import enlarge, heat_maps, overlay
from v2t_lib.views.lettering import font_for, right_to_left

_HIGHLIGHT = "#f6a800"
_FONT, _LINE, _MARGIN = 15, 19, 5
#: Browsers slow GIFs down whose frames are shorter.
_SHORTEST = 0.02


def frame_durations(seconds: np.ndarray) -> np.ndarray:
    """How long each sampled frame is shown, so that the animation runs at the clip's speed.

    Args:
        seconds: `(T,)`, the times at which the frames were sampled, ascending. A frame is shown
            from halfway since the one before it until halfway to the next.

    Returns:
        float64 `(T,)`, in seconds, at least 0.02 each.
    """
    if len(seconds) < 2:
        return np.full(len(seconds), 0.2)
    gaps = np.diff(seconds)
    halves = np.concatenate([gaps[:1], gaps, gaps[-1:]]) / 2  # (T+1,)
    return np.maximum(halves[:-1] + halves[1:], _SHORTEST)


def side_by_side(
    frames: np.ndarray,
    words: Sequence[str],
    attention: np.ndarray,
    word: int,
    width: int,
    shift: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """Draws each frame twice, plain and under a word's heat map, above the caption.

    Args:
        frames: uint8 `(T, H, W, 3)`.
        words: The caption.
        attention: Weights `(T', h', w')` of word number `word`.
        word: The number of the word to highlight in the caption.
        width: Most pixels across each half, if the frames aren't wider already.
        shift: `Caption.cell_shift`.

    Returns:
        uint8 `(T, height, 2 * width, 3)`, both even.
    """
    frames = enlarge(frames, width)
    heated = overlay(frames, heat_maps(attention, frames.shape[:3], shift))
    return np.stack(
        [_above_caption(both, words, word) for both in np.concatenate([frames, heated], axis=2)]
    )


def _above_caption(picture: np.ndarray, words: Sequence[str], highlighted: int) -> np.ndarray:
    """Adds the caption below a picture, in lines as long as the picture is wide."""
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    places, x, y = [], float(_MARGIN), picture.shape[0] + 4
    for word in words:
        length = pen.textlength(word, font=font_for(word, _FONT))
        if x > _MARGIN and x + length > picture.shape[1] - _MARGIN:
            x, y = _MARGIN, y + _LINE
        places.append((x, y, length))
        x += length + 7
    if right_to_left(words):
        places = [(picture.shape[1] - x - length, y, length) for x, y, length in places]
    height = y + _LINE + 4
    page = Image.new("RGB", (picture.shape[1], height + height % 2), "white")
    page.paste(Image.fromarray(picture))
    pen = ImageDraw.Draw(page)
    for number, (word, (x, y, length)) in enumerate(zip(words, places, strict=True)):
        if number == highlighted:
            pen.rectangle((x - 2, y, x + length + 2, y + _LINE - 1), fill=_HIGHLIGHT)
        font = font_for(word, _FONT)
        pen.text((x, y + _FONT - 1), word, fill="black", font=font, anchor="ls")
    return np.asarray(page)


def write_gif(path: str | Path, pictures: np.ndarray, durations: np.ndarray) -> None:
    """Writes a GIF that loops for ever.

    Args:
        path: A file name that ends in `.gif`.
        pictures: uint8 `(T, H, W, 3)`.
        durations: `(T,)`, in seconds. GIFs count hundredths: the sum is rounded, not each.

    Raises:
        ValueError: Another file name.
    """
    _check_suffix(path, ".gif")
    ends = np.round(100 * np.cumsum(durations)).astype(int)
    milliseconds = (10 * np.diff(ends, prepend=0)).tolist()
    duration = milliseconds if len(pictures) > 1 else milliseconds[0]  # as Pillow has it
    data = imageio.imwrite(
        "<bytes>", pictures, plugin="pillow", extension=".gif", duration=duration, loop=0
    )
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_mp4(path: str | Path, pictures: np.ndarray, durations: np.ndarray) -> None:
    """Writes an MP4 that browsers play and stream: H.264, 4:2:0, index first.

    The frame rate is constant. Frames that are shown equally long are written once each; else
    there are 50 frames a second, and each picture is repeated for as long as it is shown.

    Args:
        path: A file name that ends in `.mp4`.
        pictures: uint8 `(T, H, W, 3)`, height and width even.
        durations: `(T,)`, in seconds.

    Raises:
        ValueError: Another file name.
    """
    _check_suffix(path, ".mp4")
    total = float(np.sum(durations))
    even = np.allclose(durations, durations[0], atol=1e-3)
    count = len(pictures) if even else round(total / _SHORTEST)
    numbers, _ = sample_times(list(durations), count)
    with (
        replacing(path) as temporary,
        # FFmpeg reopens the file by its name to move the index to the front: nothing may be left in
        # a buffer, and of a relative name it would take "a:" for a protocol.
        open(temporary.absolute(), "wb", buffering=0) as file,
        imageio.imopen(
            file,
            "w",
            plugin="pyav",
            extension=".mp4",
            container="mp4",
            container_options={"movflags": "faststart"},
        ) as video,
    ):
        video.write(
            pictures[numbers], codec="libx264", fps=count / total, out_pixel_format="yuv420p"
        )


def _check_suffix(path: str | Path, suffix: str) -> None:
    if Path(path).suffix.lower() != suffix:
        raise ValueError(f"expected a file name that ends in {suffix}. Received: {path}")
