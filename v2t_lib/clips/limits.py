"""How large a clip may be. Headers are checked before anything of their size is allocated."""

from v2t_lib.errors import ClipError

#: Size of a file in bytes.
MAX_BYTES = 100 * 2**20
#: Pixels of one picture: 3840 x 2160 and a little more, in any shape.
MAX_PIXELS = 2**23
#: Frames of a clip.
MAX_FRAMES = 20_000
#: Pixels of all frames of an animation: 2,600 frames of 500 x 400.
MAX_TOTAL_PIXELS = 2**29
#: Pixels of all frames of a video, which decode faster: 35 seconds of full HD at 60 a second.
MAX_VIDEO_PIXELS = 2**32


def check_canvas(width: int, height: int) -> None:
    """Checks the size of one picture.

    Raises:
        ClipError: `corrupt` where it has no pixels, `too-big` over `MAX_PIXELS`.
    """
    if width < 1 or height < 1:
        raise ClipError("corrupt", f"expected a canvas. Received: {width} x {height} pixels")
    if width * height > MAX_PIXELS:
        raise ClipError(
            "too-big", f"expected at most {MAX_PIXELS:,} pixels. Received: {width} x {height}"
        )


def check_frames(count: int, pixels: int, limit: int = MAX_TOTAL_PIXELS) -> None:
    """Checks the number of frames and the sum of their pixels.

    Raises:
        ClipError: `too-big` over `MAX_FRAMES` frames or `limit` pixels.
    """
    if count > MAX_FRAMES:
        raise ClipError("too-big", f"expected at most {MAX_FRAMES:,} frames. Received: more")
    if pixels > limit:
        raise ClipError("too-big", f"expected at most {limit:,} pixels in all. Received: more")
