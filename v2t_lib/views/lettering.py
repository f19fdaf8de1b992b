"""How words of every script are shown: in which font, and in which direction."""

import functools
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import ImageFont


@functools.lru_cache(maxsize=256)
def font_for(word: str, size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib, or else the machine's first font with all letters.

    If no font has them, they are boxes of DejaVu Sans.

    Args:
        word: What will be drawn.
        size: Height of the letters, in pixels.
    """
    letters = {ord(letter) for letter in word}
    path = next((path for path in _paths() if letters <= _letters(path)), _default())
    return ImageFont.truetype(path, size)


def right_to_left(words: Sequence[str]) -> bool:
    """Whether a caption reads from right to left: its first letter is Arabic or Hebrew, say."""
    kinds = (unicodedata.bidirectional(letter) for word in words for letter in word)
    return next((kind for kind in kinds if kind in ("L", "R", "AL")), "L") != "L"


def _default() -> str:
    import matplotlib

    return str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")


def _paths() -> Iterator[str]:
    yield _default()
    # Only words that DejaVu Sans hasn't wait for matplotlib to look for the machine's fonts.
    from matplotlib import font_manager

    for entry in font_manager.fontManager.ttflist:
        if not entry.name.startswith("Last Resort"):  # which has boxes for every letter there is
            yield entry.fname


@functools.lru_cache(maxsize=32)
def _letters(path: str) -> frozenset[int]:
    """The letters of a font; none if it is damaged, removed since, or of pictures, as emoji are."""
    from matplotlib.ft2font import FT2Font

    try:
        ImageFont.truetype(path, 15)
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()
