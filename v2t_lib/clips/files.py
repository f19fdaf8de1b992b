"""Finds clips in folders and lists, and reads their files."""

import mmap
import os
import re
import stat
import unicodedata
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

from v2t_lib.captions_file import is_url, iter_rows, located
from v2t_lib.clips.problems import MAX_BYTES, sniff
from v2t_lib.errors import ClipError, DataError

#: What the names of clips end in. A PNG or JPEG, which most often is a still picture, isn't looked
#: for; it can be named by itself.
ENDINGS = (".gif", ".apng", ".webp", ".avif", ".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi")
#: What the names of lists of clips end in.
LISTS = (".tsv", ".txt")


def clips_in(*paths: str | Path) -> Iterator[str]:
    """Yields clips' paths and URLs: those named, those in folders, and those in lists.

    A list is a TSV or TXT file with one clip a row, in its first column, relative to the list.

    Raises:
        DataError: A folder has no clip or can't be read, or a list can't be read.
    """
    for path in map(str, paths):
        if os.path.isdir(path):
            yield from (os.path.join(path, name) for name in folder_clips(path))
        elif path.lower().endswith(LISTS) and not is_url(path):
            for _, (source, *_) in iter_rows(path):
                yield located(source, path)
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
            about = os.fstat(file.fileno())
            data: bytes | mmap.mmap
            if about.st_size > MAX_BYTES:
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            else:
                data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        # A drive that isn't mounted says nothing of its clips.
        mounted = Path(source).parent.is_dir()
        kind, what = ("gone", "") if mounted else ("unreachable", ", nor its folder")
        why = f"no such file{what}{_hint(str(source))}"
        raise ClipError(kind, f"{expected}. Received: {why}") from None
    except (OSError, ValueError) as error:
        why = f"{getattr(error, 'strerror', None) or error}{_hint(str(source))}"
        raise ClipError("unreachable", f"{expected}. Received: {why}") from None
    if not data and stat.S_ISFIFO(about.st_mode):
        raise ClipError("unreachable", f"{expected}. Received: a pipe that nobody writes to")
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


#: Likely mistakes where a source is no file.
_MEANT = (
    ("data:", "data: URLs are not read; save it to a file"),
    ("(.*/)?file:/", "file: URLs are not read; write the path alone"),
    ("https?:/[^/]", "a URL has two slashes after its colon"),
    (r"\s+https?://", "a URL has no space in front"),
    (r"\s*[a-z][a-z0-9+.-]+://", "URLs of this kind are not read; download it and write its path"),
    ("(.*/)?~[^/]*/", "~ is not expanded in a file; write the whole path"),
    (r"(.*/)?(www\.[^/]+|[a-z0-9-]+\.(com|org|net|io|tv))/", "a URL has http:// in front"),
)


def shown(source: str) -> str:
    """A source in a message: of a long one, its beginning."""
    return source if len(source) <= 300 else f"{source[:60]}..."


def _hint(source: str) -> str:
    """The likely mistake in a path without a file, after "; "; "" where none is known."""
    if os.path.isdir(os.path.dirname(source) or "."):
        found = _neighbour(Path(source))
    else:
        fitting = (words for pattern, words in _MEANT if re.match(pattern, source, re.IGNORECASE))
        found = next(fitting, "")
    return f"; {found}" if found else ""


def _neighbour(path: Path) -> str:
    """A file of almost the same name in the same folder."""

    def plain(name: str) -> str:
        return unicodedata.normalize("NFC", name)

    if "\\" in path.name and os.sep == "/":
        return "a backslash is part of a name on this system; write / instead"
    names = os.listdir(path.parent)
    for name in names:
        if name != path.name and plain(name) == plain(path.name):
            form = "NFD" if name != plain(name) else "NFC"
            return f"there is one whose accents are written otherwise ({form})"
    wanted = urllib.parse.unquote(plain(path.name)).strip("\"' ").casefold()
    for name in names:
        near = plain(name).casefold()
        if name != path.name and wanted in (near, near if path.suffix else Path(near).stem):
            return f"there is {name}"
    return ""
