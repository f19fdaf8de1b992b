"""The kind of a file, read from its first bytes; its name doesn't matter."""

from v2t_lib.clips.limits import check_file
from v2t_lib.errors import ClipError

VIDEOS = ("mov", "matroska", "avi")
_SIGNATURES = (
    ("gif", 0, b"GIF87a"),
    ("gif", 0, b"GIF89a"),
    ("png", 0, b"\x89PNG\r\n\x1a\n"),
    ("webp", 8, b"WEBP"),
    ("jpeg", 0, b"\xff\xd8\xff"),
    ("avi", 8, b"AVI "),
    ("matroska", 0, b"\x1a\x45\xdf\xa3"),
    ("bmp", 0, b"BM"),
)
_MOV_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
#: Videos that are told apart but not read.
_OTHERS = (
    ("Flash video", b"FLV"),
    ("Windows Media video", b"\x30\x26\xb2\x75"),
    ("Ogg video", b"OggS"),
    ("MPEG video", b"\0\0\1\xba"),
    ("an MPEG transport stream", b"G@"),
)
_READ = "GIF, APNG, WebP, AVIF, MP4, WebM, MOV, AVI"


def sniff(data: bytes) -> str:
    """Returns "gif", "png", "webp", "jpeg", "bmp" or one of `VIDEOS`.

    MP4, MOV and AVIF share the name "mov" and WebM is "matroska", as in FFmpeg.

    Raises:
        ClipError: `not-a-clip` for any other file, `too-big` for pictures over `MAX_BYTES`.
    """
    for name, at, signature in _SIGNATURES:
        if data[at : at + len(signature)] == signature:
            if name not in VIDEOS:
                check_file(len(data))
            return name
    if data[4:8] in _MOV_BOXES:
        return "mov"
    raise ClipError("not-a-clip", f"expected {_READ} or a picture. Received: {_describe(data)}")


def _describe(data: bytes) -> str:
    """Describes a file that is no clip: servers often send a page instead."""
    if not data:
        return "no bytes at all"
    for name, signature in _OTHERS:
        if data.startswith(signature):
            return f"{name}; turn it into an MP4 first: ffmpeg -i IN OUT.mp4"
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<script")):
        return "an HTML page"
    if start.startswith((b"<?xml", b"<error", b"{", b"<svg")):
        return "a text answer, not a clip"
    return f"{len(data):,} bytes that begin with {bytes(data[:12])!r}"
