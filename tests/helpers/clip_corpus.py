"""All drawn GIFs, APNGs and WebPs: what Chromium makes of each lies in `tests/clips/chromium.npz`.

`benchmarks/chromium_goldens.py` takes the goldens.
"""

from helpers.apng_corpus import apng_corpus
from helpers.broken_gifs import broken_gifs
from helpers.gif_corpus import gif_corpus
from helpers.webp_corpus import webp_corpus


def corpus() -> dict[str, bytes]:
    """Every drawn picture that moves, by name."""
    return gif_corpus() | broken_gifs() | apng_corpus() | webp_corpus()
