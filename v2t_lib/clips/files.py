"""Clips in files and folders: which there are, and reading one, or what it lacks."""

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


def read_clip(source: str | Path) -> bytes | mmap.mmap:
    """Reads a clip's file; one of over `MAX_BYTES`, if a video, is mapped into memory instead.

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
        raise ClipError(
            kind, f"{expected}. Received: no such file{what}{_hint(str(source))}"
        ) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ClipError("unreachable", f"{expected}. Received: {why}{_hint(str(source))}") from None
    if not data and stat.S_ISFIFO(about.st_mode):
        raise ClipError("unreachable", f"{expected}. Received: a pipe that nobody writes to")
    if not data:
        raise ClipError("not-a-clip", f"expected a clip in {source}. Received: no bytes at all")
    if len(data) > MAX_BYTES:
        sniff(data)  # Raises for what isn't a video.
    return data


def _open_at_once(path: str, flags: int) -> int:
    """Opens a file; a named pipe too, without waiting for somebody who writes to it."""
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if hasattr(os, "O_NONBLOCK"):
        os.set_blocking(descriptor, True)
    return descriptor


_SCHEME = re.compile(r"\s*([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_HOSTS = re.compile(r"(^|/)(www\.[^/]+|[a-z0-9-]+\.(com|org|net|io|tv|gif|me))/", re.IGNORECASE)


def shown(source: str) -> str:
    """A source in a message: of a long one, its beginning."""
    return source if len(source) <= 300 else f"{source[:60]}..."


def _hint(source: str) -> str:
    """What may be meant by a path where there is no file, after "; "; "" if nothing is likely."""
    path = Path(source)
    if source.startswith("data:"):
        found = "data: URLs are not read; save it to a file"
    elif re.search(r"(^|/)file:/", source):
        found = "file: URLs are not read; write the path alone"
    elif re.match(r"https?:/[^/]", source):
        found = "a URL has two slashes after its colon"
    elif scheme := _SCHEME.match(source):
        found = f"{scheme[1]}: URLs are not read; download it and write the file's path"
        if scheme[1].lower() in ("http", "https"):
            found = "a URL has no space in front"
    elif re.search(r"(^|/)~[^/]*/", source):
        found = f"~ is not expanded in a file; write the whole path, {os.path.expanduser('~')}/..."
    elif "\\" in path.name and os.sep == "/":
        found = f"a backslash is part of a name on this system; write {path.name}"
        found = found.replace("\\", "/")
    elif _HOSTS.search(source) and not path.parent.is_dir():
        found = "if it is a URL, it lacks http:// in front"
    else:
        found = _neighbour(path)
    return f"; {found}" if found else ""


def _neighbour(path: Path) -> str:
    """A file of almost the same name in the same folder."""

    def plain(name: str) -> str:
        return unicodedata.normalize("NFC", name)

    names = os.listdir(path.parent) if path.parent.is_dir() else []
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
