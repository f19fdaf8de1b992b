"""JPEG and BMP: still pictures, read as an animation of one subframe."""

import io
import warnings
from collections.abc import Iterator

from PIL import ExifTags, Image

from v2t_lib.clips.subframe import KEEP, Subframe
from v2t_lib.errors import ClipError


def read_still(data: bytes) -> Iterator:
    """Yields the size of a JPEG or BMP, then its one subframe."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data), formats=("JPEG", "BMP"))
        # Orientations 5 to 8 swap width and height when `Subframe.draw` applies them.
        rotated = picture.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ClipError("too-big", f"expected a smaller picture. Received: {error}") from None
    except Exception:
        return  # Pillow raises many kinds of exception; each means that there is no picture.
    size = picture.size[::-1] if rotated else picture.size
    yield size
    yield Subframe((0, 0, *size), 0, KEEP, False, data)
