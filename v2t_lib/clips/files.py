"""Finds clips in folders and lists, and reads their files."""

import contextlib
import mmap
import os
import re
import unicodedata
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

from v2t_lib.captions_file import is_url, located, read_split
from v2t_lib.clips.problems import MAX_BYTES, sniff
from v2t_lib.errors import ClipError, DataError

#: What the names of clips end in. A PNG or JPEG, which most often is a still picture, isn't looked
#: for; it can be named by itself.
ENDINGS = (".gif", ".apng", ".webp", ".avif", ".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi")
#: What the names of lists of clips end in.
LISTS = (".tsv", ".txt")


def clips_in(*paths: str | Path) -> Iterator[str]:
    """Yields clips' paths and URLs: those named, those in folders, and those in lists.

    A list is a TSV or TXT file with a clip in the first column of each row, relative to the list.

    Raises:
        DataError: A folder has no clip or can't be read, or a list can't be read.
    """
    for path in map(str, paths):
        if os.path.isdir(path):
            yield from (os.path.join(path, name) for name in folder_clips(path))
        elif path.lower().endswith(LISTS) and not is_url(path):
            yield from (located(source, path) for source in read_split(path))
        else:
            yield path


def folder_clips(folder: str | Path) -> list[str]:
    """The clips in a folder and the folders in it, as paths relative to it, sorted.

    They are recognised by the endings of their names. Hidden files and folders are left out, and
    links to folders are not followed.

    Raises:
        DataError: There is no such folder, a folder in it can't be read, or it has no clip.
    """
    if not os.path.isdir(folder):
        what = "a file" if os.path.exists(folder) else "nothing of that name"
        raise DataError(f"expected a folder of clips at {folder}. Received: {what}")
    found = []
    for current, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = os.path.relpath(current, folder)
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


def read_clip(source: str | Path) -> bytes | mmap.mmap:
    """Reads a clip's file; a video of over `MAX_BYTES` is mapped into memory instead.

    Raises:
        ClipError: `gone` where there is no file, `unreachable` where it can't be read,
            `not-a-clip` where it is empty, `too-big` where an animation is over `MAX_BYTES`.
    """
    expected = f"expected a clip at {shown(str(source))}"
    try:
        with open(source, "rb", opener=_open_at_once) as file:
            data: bytes | mmap.mmap
            if os.fstat(file.fileno()).st_size > MAX_BYTES:
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            else:
                data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        # A drive that isn't mounted says nothing of its clips.
        mounted = Path(source).parent.is_dir()
        kind, what = ("gone", "") if mounted else ("unreachable", ", nor its folder")
        why = f"no such file{what}{_hint(Path(source))}"
        raise ClipError(kind, f"{expected}. Received: {why}") from None
    except (OSError, ValueError) as error:
        why = f"{getattr(error, 'strerror', None) or error}{_hint(Path(source))}"
        raise ClipError("unreachable", f"{expected}. Received: {why}") from None
    if not data:
        raise ClipError("not-a-clip", f"{expected}. Received: no bytes at all")
    if len(data) > MAX_BYTES:
        sniff(data)  # Raises for what isn't a video.
    return data


def _open_at_once(path: str, flags: int) -> int:
    """Opens a file; a named pipe too, without waiting for somebody who writes to it."""
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if hasattr(os, "O_NONBLOCK"):
        os.set_blocking(descriptor, True)
    return descriptor


def shown(source: str) -> str:
    """A source in a message: of a long one, its beginning."""
    return source if len(source) <= 300 else f"{source[:60]}..."


#: What looks like a URL and isn't one that is read; in a file its path is joined to a folder's.
_LIKE_A_URL = re.compile(r"(^|/)\s*([a-z][a-z0-9+.-]+:|www\.|[a-z0-9-]+\.(com|org|net)/)", re.I)


def _hint(path: Path) -> str:
    """The likely mistake in a path without a file, after "; "; "" where none is known."""
    if _LIKE_A_URL.search(str(path)):
        return "; a URL begins with http:// or https://, what others name is to be downloaded first"
    with contextlib.suppress(OSError, ValueError):
        for name in os.listdir(path.parent):
            if name != path.name and _alike(name) == _alike(path.name):
                return f"; there is {name!a}"
    return ""


def _alike(name: str) -> str:
    """Equal for names that differ in case, in escapes, or in how accents are written."""
    return unicodedata.normalize("NFC", urllib.parse.unquote(name)).casefold()
