"""What bytes are, told by themselves and never by a name, and the limits that their headers keep.

Every limit is checked on what a header promises, before anything of that size is allocated.
"""

from v2t_lib.errors import ClipError

#: A clip's file.
MAX_BYTES = 100 * 2**20
#: One picture: 3840 x 2160 and a little more, in any shape.
MAX_PIXELS = 2**23
#: Frames of a clip.
MAX_FRAMES = 20_000
#: All frames of an animation together: 2,600 of 500 x 400.
MAX_TOTAL_PIXELS = 2**29
#: Frames of a video together, which decode faster: 35 seconds of full HD at 60 a second.
MAX_VIDEO_PIXELS = 2**32

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
_READ = "GIF, APNG, WebP, MP4, WebM, MOV, AVI"


def sniff(data: bytes) -> str:
    """What the bytes are: "gif", "png", "webp", "jpeg", "bmp" or one of `VIDEOS`.

    MP4 and MOV are both "mov", WebM is "matroska": so the readers call them.

    Raises:
        ClipError: `not-a-clip`, which says what came instead; `too-big` over `MAX_BYTES`.
    """
    if len(data) > MAX_BYTES:
        raise ClipError("too-big", f"expected at most {MAX_BYTES:,} bytes. Received: {len(data):,}")
    for name, at, signature in _SIGNATURES:
        if data[at : at + len(signature)] == signature:
            return name
    if data[4:8] in _MOV_BOXES:
        return "mov"
    raise ClipError("not-a-clip", f"expected {_READ} or a picture. Received: {_looks_like(data)}")


def _looks_like(data: bytes) -> str:
    if not data:
        return "no bytes at all"
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<script")):
        return "an HTML page"
    if start.startswith((b"<?xml", b"<error", b"{", b"<svg")):
        return "a text answer, not a clip"
    return f"{len(data):,} bytes that begin with {bytes(data[:12])!r}"


def check_canvas(width: int, height: int) -> None:
    """Raises `ClipError` where a picture has no pixels, or more than `MAX_PIXELS`."""
    if width < 1 or height < 1:
        raise ClipError("corrupt", f"expected a canvas. Received: {width} x {height} pixels")
    if width * height > MAX_PIXELS:
        raise ClipError(
            "too-big", f"expected at most {MAX_PIXELS:,} pixels. Received: {width} x {height}"
        )


def check_frames(count: int, pixels: int, limit: int = MAX_TOTAL_PIXELS) -> None:
    """Raises `ClipError` where a clip has too many frames, or its frames too many pixels in all."""
    if count > MAX_FRAMES:
        raise ClipError("too-big", f"expected at most {MAX_FRAMES:,} frames. Received: more")
    if pixels > limit:
        raise ClipError("too-big", f"expected at most {limit:,} pixels in all. Received: more")
