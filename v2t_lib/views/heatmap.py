"""Still and moving pictures of attention: heat over frames, as a GIF and as a contact sheet."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from v2t_lib.files import replacing
from v2t_lib.models.cells import cell_of

#: Even where the heat is full this much of the frame shows through.
HEAT_OPACITY = 0.65
MARK = "#f6a800"
_FONT, _LINE = 15, 19
_MARGIN = 5


def heat_maps(attention: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """One word's attention as a picture over every frame.

    Args:
        attention: `(T', h', w')`.
        shape: `(T, H, W)` of the frames.

    Returns:
        float32 `(T, H, W)`, interpolated in space, 1 at the word's highest cell.
    """
    frames, height, width = shape
    scaled = attention.astype(np.float32) / max(float(attention.max()), 1e-12)
    bilinear = Image.Resampling.BILINEAR
    return np.stack(
        [
            np.asarray(Image.fromarray(scaled[cell]).resize((width, height), bilinear))
            for cell in cell_of(np.arange(frames), frames, len(scaled))
        ]
    )


def overlay(frames: np.ndarray, heat: np.ndarray, opacity: float = HEAT_OPACITY) -> np.ndarray:
    """Lays heat over frames in a colour map that colour-blind readers can read.

    Args:
        frames: uint8 `(T, H, W, 3)`.
        heat: `(T, H, W)`, 0 to 1.
        opacity: Of the heat where it is 1; it fades with the heat.

    Returns:
        uint8 `(T, H, W, 3)`.
    """
    import matplotlib

    colours = matplotlib.colormaps["inferno"](heat)[..., :3] * 255
    opacity = opacity * heat[..., None]
    return np.round(frames * (1 - opacity) + colours * opacity).astype(np.uint8)


def enlarge(frames: np.ndarray, width: int) -> np.ndarray:
    """Frames `(..., H, W, 3)` enlarged by a whole factor, to at most `width` where that is more."""
    scale = max(1, width // frames.shape[-2])
    return frames.repeat(scale, axis=-3).repeat(scale, axis=-2)


def frame_milliseconds(seconds: np.ndarray) -> int:
    """How long each sampled frame plays, in the clip's own time; at least 20, like browsers."""
    step = float(np.diff(seconds).mean()) if len(seconds) > 1 else 0.2
    return max(20, 10 * round(100 * step))


def strip(frames: np.ndarray, seconds: np.ndarray, height: int = 96) -> bytes:
    """Frames side by side, each under its moment, as the bytes of a PNG.

    Args:
        frames: uint8 `(T, H, W, 3)`.
        seconds: `(T,)`, when they show.
        height: Of a frame in the picture, in pixels.
    """
    width = max(1, round(height * frames.shape[2] / frames.shape[1]))
    page = Image.new("RGB", (len(frames) * (width + 4), _LINE + height), "white")
    pen = ImageDraw.Draw(page)
    for number, frame in enumerate(frames):
        x = number * (width + 4)
        pen.text((x, 2), f"{seconds[number]:.2f} s", fill="black", font_size=12)
        shrunk = height < frames.shape[1]
        way = Image.Resampling.BOX if shrunk else Image.Resampling.NEAREST
        page.paste(Image.fromarray(frame).resize((width, height), way), (x, _LINE))
    file = io.BytesIO()
    page.save(file, "PNG", optimize=True)
    return file.getvalue()


def write(path: str | Path, data: bytes) -> None:
    """Writes a file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def _titled(picture: np.ndarray, words: Sequence[str], chosen: int) -> Image.Image:
    """The picture over its caption, the chosen word set off."""
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    places, x, y = [], _MARGIN, picture.shape[0] + 4
    for word in words:
        length = pen.textlength(word, font_size=_FONT)
        if x > _MARGIN and x + length > picture.shape[1] - _MARGIN:
            x, y = _MARGIN, y + _LINE
        places.append((x, y, length))
        x += length + 7
    page = Image.new("RGB", (picture.shape[1], y + _LINE + 4), "white")
    page.paste(Image.fromarray(picture))
    pen = ImageDraw.Draw(page)
    for number, (word, (x, y, length)) in enumerate(zip(words, places, strict=True)):
        if number == chosen:
            pen.rectangle((x - 2, y, x + length + 2, y + _LINE - 1), fill=MARK)
        pen.text((x, y), word, fill="black", font_size=_FONT)
    return page


def save_gif(
    path: str | Path,
    frames: np.ndarray,
    seconds: np.ndarray,
    words: Sequence[str],
    attention: np.ndarray,
    chosen: int,
    width: int,
) -> None:
    """Writes the clip twice, side by side, as it is and under a word's heat, above the caption.

    Args:
        path: Where to.
        frames: uint8 `(T, H, W, 3)`.
        seconds: `(T,)`, when they show.
        words: The caption.
        attention: `(T', h', w')`, of the word number `chosen`.
        chosen: The word to set off.
        width: Of each half, in pixels, at most.
    """
    frames = enlarge(frames, width)
    both = np.concatenate([frames, overlay(frames, heat_maps(attention, frames.shape[:3]))], axis=2)
    first, *others = (_titled(picture, words, chosen) for picture in both)
    file = io.BytesIO()
    first.save(
        file,
        "GIF",
        save_all=True,
        append_images=others,
        duration=frame_milliseconds(seconds),
        loop=0,
    )
    write(path, file.getvalue())


def key_frames(attention: np.ndarray, frames: int, count: int) -> list[int]:
    """The middle frames of the `count` time cells that got most attention, in order of time.

    Args:
        attention: `(words, T', h', w')`.
        frames: `T`.
        count: At most so many.
    """
    times = attention.sum(axis=(0, 2, 3))  # (T',)
    best = np.sort(np.argsort(-times, kind="stable")[:count])
    return [int((cell + 0.5) * frames / len(times)) for cell in best]


def sheet(
    frames: np.ndarray,
    seconds: np.ndarray,
    words: Sequence[str],
    probs: np.ndarray,
    attention: np.ndarray,
    columns: int,
) -> bytes:
    """A contact sheet as the bytes of a PNG: the key frames, then a row a word with its heat.

    Args:
        frames: uint8 `(T, H, W, 3)`.
        seconds: `(T,)`.
        words: The caption.
        probs: `(words,)`.
        attention: `(words, T', h', w')`.
        columns: Key frames, at most.
    """
    shown = key_frames(attention, len(frames), columns)
    size = 64
    height = max(1, round(size * frames.shape[1] / frames.shape[2]))
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    left = max([40, *(pen.textlength(word, font_size=_FONT) for word in words)]) + 2 * _MARGIN
    rows = 1 + len(words)
    page = Image.new(
        "RGB", (int(left) + len(shown) * (size + 4), _LINE + 4 + rows * (height + 4)), "white"
    )
    pen = ImageDraw.Draw(page)
    heats = [
        overlay(frames[shown], heat_maps(weights, frames.shape[:3])[shown]) for weights in attention
    ]
    for column, number in enumerate(shown):
        x = int(left) + column * (size + 4)
        pen.text((x, 2), f"{seconds[number]:.1f} s", fill="black", font_size=13)
        for row, pictures in enumerate([frames[shown], *heats]):
            picture = Image.fromarray(pictures[column]).resize((size, height), Image.Resampling.BOX)
            page.paste(picture, (x, _LINE + 4 + row * (height + 4)))
    for row, word in enumerate(words, start=1):
        y = _LINE + 4 + row * (height + 4) + height // 2
        pen.text((_MARGIN, y - _FONT), word, fill="black", font_size=_FONT)
        pen.text((_MARGIN, y + 3), f"{probs[row - 1]:.0%}", fill="#555555", font_size=12)
    file = io.BytesIO()
    # A palette is plenty for thumbnails and takes a third of the bytes.
    page.quantize(96, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return file.getvalue()
