"""Small clips that decoders take for real ones."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

#: What Chromium shows of the corpus, as `benchmarks/chromium_goldens.py` writes it.
GOLDENS = Path(__file__).parents[1] / "clips" / "chromium.npz"


def corpus() -> dict[str, bytes]:
    """GIFs, APNGs and WebPs by name: the corners of each format, and faults of many kinds."""
    with np.load(GOLDENS) as goldens:
        files = [name for name in goldens.files if name.endswith("/file")]
        return {name.removesuffix("/file"): goldens[name].tobytes() for name in files}


def write_gif(path, seed, count=5):
    rng = np.random.default_rng(seed)
    pictures = [Image.fromarray(p) for p in rng.integers(0, 256, (count, 4, 4, 3), np.uint8)]
    pictures = [picture.resize((32, 32), Image.Resampling.BICUBIC) for picture in pictures]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100, loop=0)


def removed(size) -> Image.Image:
    """A picture as hosts serve for a removed one: small grey text on a lighter grey."""
    picture = Image.new("RGB", size, (221, 221, 221))
    text = "This content is no longer\nto be had here."
    place = (size[0] // 2, size[1] // 2)
    ImageDraw.Draw(picture).multiline_text(place, text, (120, 120, 120), anchor="mm")
    return picture
