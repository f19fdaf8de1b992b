"""What lies near a clip that isn't there: hints for its error message."""

import os
import re
import unicodedata
import urllib.parse
from pathlib import Path

_SCHEME = re.compile(r"\s*([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_HOSTS = re.compile(r"(^|/)(www\.[^/]+|[a-z0-9-]+\.(com|org|net|io|tv|gif|me))/", re.IGNORECASE)


def shown(source: str) -> str:
    """A source in a message: of a long one, its beginning."""
    return source if len(source) <= 300 else f"{source[:60]}..."


def hint(source: str) -> str:
    """Words to follow "no such file", with the separator before them; "" where nothing fits."""
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
        found = f"~ is not expanded here; write the whole path, {os.path.expanduser('~')}/..."
    elif "\\" in path.name and os.sep == "/":
        found = f"a backslash is part of a name here; write {path.name}".replace("\\", "/")
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
