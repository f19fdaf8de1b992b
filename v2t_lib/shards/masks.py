"""Masks of drawn clips: where their objects lie, read from the GIFs beside them."""

import re
from pathlib import Path

import numpy as np
from PIL import Image

from v2t_lib.clips.decode import iter_frames, sample_times
from v2t_lib.clips.files import read_clip
from v2t_lib.errors import ClipError
from v2t_lib.specs import ClipSpec

MASK_FOLDER = "masks"
#: A file in the folder of masks that says that they are those of drawn clips.
DRAWN_FILE = "drawn-by-v2t.txt"
#: Masks in folders from before that file was written; their colours tell them from other pictures.
_DRAWN_NAME = re.compile(r"(test|unseen)-\d{5}\.gif")


def read_masks(clip: Path, spec: ClipSpec) -> bytes:
    """The masks of a drawn clip as bits of `(T, H, W, 3)`; none of another, or damaged ones.

    A mask GIF's red, green and blue are objects 1 to 3.
    """
    path = clip.parent / MASK_FOLDER / clip.name
    marked = path.with_name(DRAWN_FILE).is_file()
    if not path.is_file() or not (marked or _DRAWN_NAME.fullmatch(path.name)):
        return b""
    try:
        frames, durations = zip(*iter_frames(read_clip(path)), strict=True)
    except ClipError:
        return b""
    if not (marked or all(map(_has_mask_colours, frames))):
        return b""
    wanted, _ = sample_times(durations, spec.frames)
    size, box = (spec.width, spec.height), Image.Resampling.BOX
    masks = [np.asarray(Image.fromarray(frames[n]).resize(size, box)) > 0 for n in wanted]
    return np.packbits(np.stack(masks)).tobytes()


def _has_mask_colours(frame: np.ndarray) -> bool:
    """Whether every pixel is black, red or green."""
    red, green, blue = np.moveaxis(frame, -1, 0)
    return bool(np.isin(frame, (0, 255)).all() and not blue.any() and not (red & green).any())


def decode_masks(masks: bytes, spec: ClipSpec) -> np.ndarray:
    """The bits of `PackedClip.masks` to bool `(T, H, W, 3)`."""
    bits = np.unpackbits(np.frombuffer(masks, np.uint8), count=int(np.prod(spec.shape)))
    return bits.astype(bool).reshape(spec.shape)
