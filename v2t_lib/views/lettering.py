"""How words of every script are shown: in which font, and in which direction."""

import functools
import itertools
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font
from PIL import ImageFont

_DEJAVU = str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")


@functools.lru_cache(maxsize=256)
def font_for(word: str, size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib, or else the machine's first font with all letters;
    if none has them, they are boxes. `size` is the letters' height in pixels."""
    # Last Resort has boxes for every letter there is.
    fonts = (f for f in font_manager.fontManager.ttflist if not f.name.startswith("Last Resort"))
    paths = itertools.chain([_DEJAVU], (font.fname for font in fonts))
    letters = {ord(letter) for letter in word}
    return ImageFont.truetype(next((p for p in paths if letters <= _letters(p)), _DEJAVU), size)


@functools.lru_cache(maxsize=32)
def _letters(path: str) -> frozenset[int]:
    """The letters of a font; none if it is damaged, removed since, or of pictures, as emoji are."""
    try:
        ImageFont.truetype(path, 15)
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()


def right_to_left(words: Sequence[str]) -> bool:
    """Whether a caption reads from right to left: its first letter is Arabic or Hebrew, say."""
    kinds = (unicodedata.bidirectional(letter) for word in words for letter in word)
    return next((kind for kind in kinds if kind in ("L", "R", "AL")), "L") != "L"
