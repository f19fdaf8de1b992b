"""Finds clips in folders and lists, and reads their files."""

import collections
import contextlib
import mmap
import os
import re
import unicodedata
import urllib.parse
from collections.abc import Iterable, Iterator
from pathlib import Path

from v2t_lib.captions_file import is_url, located, read_split
from v2t_lib.clips.problems import MAX_BYTES, PIECES, sniff
from v2t_lib.errors import ClipError, DataError
from v2t_lib.progress import log, warn_once
from v2t_lib.signatures import HEAD, what_is

#: What the names of clips end in, most often. A file named so is a clip without being opened.
ENDINGS = (".gif", ".apng", ".webp", ".avif", ".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi")
#: What the names of lists of clips end in.
LISTS = (".tsv", ".txt")
#: What the names of unfinished downloads end in.
_UNFINISHED = (".part", ".partial", ".crdownload", ".download", ".opdownload", ".tmp", ".!qb")
#: Bytes in which a PNG says that it is animated, or a JPEG that there is a video in it.
_SAYS = 2**16


def clips_in(*paths: str | Path) -> Iterator[str]:
    """Yields clips' paths and URLs: those named, those in folders, and those in lists.

    A list is a TSV or TXT file with a clip in the first column of each row, relative to the list.
    A folder or list without clips, among others, is logged and yielded as it is.

    Raises:
        DataError: The only folder has no clip or can't be read, or the only list can't be read.
    """
    for path in map(str, paths):
        try:
            yield from _clips_of(path)
        except DataError as error:
            if len(paths) == 1:
                raise
            log.warning("%s", error)
            yield path


def _clips_of(path: str) -> Iterable[str]:
    if os.path.isdir(path):
        return [os.path.join(path, name) for name in folder_clips(path)]
    if path.lower().endswith(LISTS) and not is_url(path) and not is_clip(path):
        return [located(source, path) for source in read_split(path)]
    return [path]


def is_clip(path: str | Path) -> bool:
    """Whether a file is named as clips are or, by its first bytes, moves: no picture, no sound."""
    name = os.path.basename(path).lower()
    if name.endswith(ENDINGS):
        return True
    if name.endswith(_UNFINISHED) or not os.path.isfile(path):
        return False
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
            kind = "" if what_is(head) or head[4:8] in PIECES else sniff(head)
            head += file.read(_SAYS) if kind in ("png", "jpeg") else b""
    except (OSError, ClipError):
        return False
    if kind in ("png", "jpeg"):
        return any(sign in head for sign in (b"acTL", b"MotionPhoto", b"MicroVideo"))
    return kind not in ("", "bmp")


def folder_clips(folder: str | Path) -> list[str]:
    """The clips in a folder and the folders in it, as paths relative to it, sorted; see `is_clip`.

    A folder in it that can't be read is among them, as reading it says why. Hidden files and
    folders are left out, links to folders are not followed; a line says what was looked past.

    Raises:
        DataError: There is no such folder, it can't be read, or it has no clip.
    """
    if not os.path.isdir(folder):
        what = "a file" if os.path.exists(folder) else "nothing of that name"
        raise DataError(f"expected a folder of clips at {folder}. Received: {what}")
    found: list[str] = []
    faults: list[OSError] = []
    past: collections.Counter[str] = collections.Counter()
    for current, folders, files in os.walk(folder, onerror=faults.append):
        hidden = [name for name in folders + files if name.startswith(".")]
        past["hidden"] += sum(not name.startswith(".v2t-") for name in hidden)
        folders[:] = [name for name in folders if name not in hidden]
        past["linked folders"] += sum(os.path.islink(os.path.join(current, n)) for n in folders)
        for path in (os.path.join(current, name) for name in files if name not in hidden):
            if os.path.exists(path) and not os.path.isfile(path):
                past["pipes or devices"] += 1
            elif is_clip(path):
                found.append(path)
            else:
                past[os.path.splitext(path)[1].lower() or "without an ending"] += 1
    if not found and faults:
        raise DataError(
            f"expected to read the folder {faults[0].filename}. Received: {faults[0].strerror}; "
            "make it readable, or name another folder"
        )
    counts = ", ".join(f"{count} {what}" for what, count in past.most_common() if count)
    looked = f"looked past {past.total()} file{'s' * (past.total() != 1)}: {counts}"
    if not found:
        raise DataError(
            f"expected clips in {folder}. Received: none; {looked if counts else 'it is empty'}"
        )
    if counts:
        warn_once(f"{folder}: {looked}")
    found += [fault.filename for fault in faults]
    return sorted(os.path.relpath(path, folder) for path in found)


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
        error = _of_folder(source) if isinstance(error, IsADirectoryError) else error
        why = f"{getattr(error, 'strerror', None) or error}{_hint(Path(source))}"
        raise ClipError("unreachable", f"{expected}. Received: {why}") from None
    if not data:
        raise ClipError("not-a-clip", f"{expected}. Received: no bytes at all")
    if len(data) > MAX_BYTES:
        sniff(data)  # Raises for what isn't a video.
        if isinstance(data, bytes):  # of a pipe
            raise ClipError("too-big", f"{expected} of at most {MAX_BYTES:,} bytes. Received: more")
    return data


def _of_folder(source: str | Path) -> OSError:
    """Why a folder gives no clip: why it can't be read, if it can't, or that it is one."""
    try:
        os.scandir(source).close()
    except OSError as error:
        return error
    return IsADirectoryError("a folder")


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
