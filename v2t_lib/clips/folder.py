"""The clips in a folder."""

import os
from pathlib import Path

from v2t_lib.clips.decode import Clip, decode_clip, read_clip
from v2t_lib.errors import ClipError, DataError
from v2t_lib.specs import ClipSpec

#: What the names of clips end in. A PNG or JPEG, which most often is a still picture, isn't looked
#: for; it can be named by itself.
ENDINGS = (".gif", ".apng", ".webp", ".avif", ".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi")


def clips_in(folder: str | Path) -> list[str]:
    """The clips in a folder and the folders in it, as paths relative to it, sorted.

    They are told by the endings of their names. Hidden files and folders are left out, and links to
    folders are not followed.

    Raises:
        DataError: There is no such folder, a folder in it can't be read, or it has no clip.
    """
    if not os.path.isdir(folder):
        what = "a file" if os.path.exists(folder) else "nothing of that name"
        raise DataError(f"expected a folder of clips at {folder}. Received: {what}")
    found = []
    for place, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = os.path.relpath(place, folder)
        found += [
            os.path.normpath(os.path.join(below, name))
            for name in files
            if name.lower().endswith(ENDINGS) and not name.startswith(".")
        ]
    if not found:
        raise DataError(
            f"expected clips in {folder}, files whose names end in {', '.join(ENDINGS)}. "
            "Received: none"
        )
    return sorted(found)


def _refuse(error: OSError) -> None:
    raise DataError(
        f"expected to read the folder {error.filename}. Received: {error.strerror}; "
        "make it readable, or name another folder"
    ) from None


def decode_file(path: str, spec: ClipSpec) -> Clip | tuple[str, str]:
    """For worker processes: a decoded clip, or `(kind, why)`; errors travel as plain values."""
    try:
        return decode_clip(read_clip(path), spec)
    except ClipError as error:
        return error.kind, error.message
