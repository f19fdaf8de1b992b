"""Pictures of attention: heat over frames as a GIF, and a page to click words in."""

import base64
import html
import io
import json
import os
from importlib import resources
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from v2t_lib.search import Caption

#: Even where the heat is full this much of the frame shows through.
HEAT_OPACITY = 0.65


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
    cells = (np.arange(frames) + 0.5) * len(scaled) / frames
    bilinear = Image.Resampling.BILINEAR
    return np.stack(
        [
            np.asarray(Image.fromarray(scaled[int(cell)]).resize((width, height), bilinear))
            for cell in cells
        ]
    )


def overlay(frames: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Lays heat over frames in a colour map that colour-blind readers can read.

    Args:
        frames: uint8 `(T, H, W, 3)`.
        heat: `(T, H, W)`, 0 to 1.

    Returns:
        uint8 `(T, H, W, 3)`.
    """
    import matplotlib

    colours = matplotlib.colormaps["inferno"](heat)[..., :3] * 255
    opacity = HEAT_OPACITY * heat[..., None]
    return np.round(frames * (1 - opacity) + colours * opacity).astype(np.uint8)


def _enlarge(frames: np.ndarray, width: int) -> np.ndarray:
    scale = max(1, width // frames.shape[2])
    return frames.repeat(scale, axis=1).repeat(scale, axis=2)


def _titled(picture: np.ndarray, words: tuple[str, ...], chosen: int) -> Image.Image:
    """The picture over its caption, the chosen word set off."""
    font_height, line = 15, 19
    page = Image.new("RGB", (picture.shape[1], picture.shape[0] + 2 * line + 8), "white")
    page.paste(Image.fromarray(picture))
    pen, x, y = ImageDraw.Draw(page), 5, picture.shape[0] + 4
    for number, word in enumerate(words):
        length = pen.textlength(word, font_size=font_height)
        if x + length > page.width - 5:
            x, y = 5, y + line
        if number == chosen:
            pen.rectangle((x - 2, y, x + length + 2, y + line - 1), fill="#f6a800")
        pen.text((x, y), word, fill="black", font_size=font_height)
        x += length + 7
    return page


def save_gif(caption: Caption, path: str | Path, word: int, width: int = 240) -> None:
    """Writes the clip twice, side by side, as it is and under a word's heat, above the caption.

    Args:
        caption: What the model wrote.
        path: Where to.
        word: The word's number, from 0.
        width: Of each half, in pixels, at most.
    """
    frames = _enlarge(caption.frames, width)
    heat = overlay(frames, heat_maps(caption.attention[word], frames.shape[:3]))
    both = np.concatenate([frames, heat], axis=2)
    pages = [_titled(picture, caption.words, word) for picture in both]
    step = 1000 * float(np.diff(caption.seconds).mean()) if len(caption.seconds) > 1 else 200
    path = Path(path)
    temporary = path.with_name(f".{path.name}.tmp")
    pages[0].save(
        temporary,
        "GIF",
        save_all=True,
        append_images=pages[1:],
        duration=max(20, 10 * round(step / 10)),
        loop=0,
    )
    os.replace(temporary, path)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _clip_data(caption: Caption, truth: str) -> dict:
    """What the page's script needs of one caption: a JPEG film strip and a byte a cell."""
    strip = io.BytesIO()
    frames = caption.frames
    Image.fromarray(frames.reshape(-1, *frames.shape[2:])).save(
        strip, "JPEG", quality=88, subsampling=0
    )
    peak = caption.attention.max(axis=(1, 2, 3), keepdims=True) if caption.words else 1.0
    heat = np.round(255 * caption.attention / peak).astype(np.uint8)
    step = float(np.diff(caption.seconds).mean()) if len(caption.seconds) > 1 else 0.2
    return {
        "strip": "data:image/jpeg;base64," + _base64(strip.getvalue()),
        "frames": list(frames.shape[:3]),
        "grid": list(caption.attention.shape[1:]),
        "heat": _base64(heat.tobytes()),
        "words": list(caption.words),
        "probs": [round(float(p), 4) for p in caption.probs],
        "chosen": caption.sharpest_word() if caption.words else -1,
        "truth": truth,
        "step": max(0.02, step),
    }


def page(
    captions: list[Caption],
    truths: list[str] | None = None,
    title: str = "Video-to-Text: where the model looked",
    summary: str = "",
) -> str:
    """One HTML page, with nothing outside it, that plays clips and shows a clicked word's heat.

    Args:
        captions: What to show.
        truths: A reference for each; left out where there is none.
        title: The page's heading.
        summary: A line below it, as text.
    """
    clips = [
        _clip_data(c, t) for c, t in zip(captions, truths or [""] * len(captions), strict=True)
    ]
    # "<" can't stand in a script element as it is: "</script>" in a caption would end it.
    data = json.dumps(clips).replace("<", "\\u003c")
    template = resources.files("v2t_lib").joinpath("page.html").read_text(encoding="utf-8")
    filled = template.replace("$TITLE", html.escape(title)).replace(
        "$SUMMARY", html.escape(summary)
    )
    return filled.replace("$CLIPS", data)


def save_page(path: str | Path, *args, **options) -> None:
    """Writes `page(...)` to a file, whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(page(*args, **options), encoding="utf-8")
    os.replace(temporary, path)
