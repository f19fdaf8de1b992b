"""All drawn GIFs, APNGs and WebPs: what Chromium makes of each lies in `goldens/chromium.npz`.

`benchmarks/chromium_goldens.py` takes the goldens.
"""

from apng_corpus import apng_corpus
from broken_gifs import broken_gifs
from gif_corpus import gif_corpus
from webp_corpus import webp_corpus


def corpus() -> dict[str, bytes]:
    """Every drawn picture that moves, by name."""
    return gif_corpus() | broken_gifs() | apng_corpus() | webp_corpus()
