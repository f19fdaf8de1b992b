"""How large a clip may be. Headers are checked before anything of their size is allocated."""

from v2t_lib.errors import ClipError

#: Size in bytes of a file, except a local video's.
MAX_BYTES = 100 * 2**20
#: Pixels of one picture: 4096 x 2304, in any shape.
MAX_PIXELS = 4096 * 2304
#: Frames of an animation, and of a video: four hours at 60 a second.
MAX_FRAMES, MAX_VIDEO_FRAMES = 20_000, 2**20
#: Pixels to decode for one request, of an animation (2,600 frames of 500 x 400) and of a video,
#: which decodes faster (4,142 frames of 1920 x 1080).
MAX_DECODED, MAX_VIDEO_DECODED = 2**29, 2**33

_SHRINK = "scale it down first: ffmpeg -i IN -vf scale=-2:480"


def check_file(size: int) -> None:
    """Checks the size of an animation's or picture's file in bytes.

    Raises:
        ClipError: `too-big` over `MAX_BYTES`.
    """
    if size > MAX_BYTES:
        raise ClipError(
            "too-big",
            f"expected at most {MAX_BYTES:,} bytes. Received: {size:,}; {_SHRINK} OUT.mp4",
        )


def check_canvas(width: int, height: int) -> None:
    """Checks the size of one picture.

    Raises:
        ClipError: `corrupt` where it has no pixels, `too-big` over `MAX_PIXELS`.
    """
    if width < 1 or height < 1:
        raise ClipError("corrupt", f"expected a canvas. Received: {width} x {height} pixels")
    if width * height > MAX_PIXELS:
        raise ClipError(
            "too-big",
            f"expected at most {MAX_PIXELS:,} pixels, such as 4096 x 2304. "
            f"Received: {width} x {height}; {_SHRINK} OUT",
        )


def check_frames(count: int, limit: int) -> None:
    """Checks the number of frames.

    Raises:
        ClipError: `too-big` over `limit`.
    """
    if count > limit:
        raise ClipError(
            "too-big",
            f"expected at most {limit:,} frames. Received: more; cut out a minute first: "
            "ffmpeg -i IN -t 60 OUT",
        )


def check_animation(pixels: int, size: tuple[int, int]) -> None:
    """Checks how many pixels have to be decoded and composed for the requested frames.

    Raises:
        ClipError: `too-big` over `MAX_DECODED`.
    """
    if pixels > MAX_DECODED:
        width, height = size
        most, received = (count // (width * height) for count in (MAX_DECODED, pixels))
        raise ClipError(
            "too-big",
            f"expected at most {most:,} frames of {width} x {height} to decode. "
            f"Received: {received:,}; {_SHRINK} OUT.mp4",
        )


def check_video(pixels: int, size: tuple[int, int], rate: float) -> None:
    """Checks how many pixels have to be decoded for the requested frames.

    Args:
        pixels: Pixels of all frames to decode.
        size: Width and height of a frame.
        rate: Frames a second.

    Raises:
        ClipError: `too-big` over `MAX_VIDEO_DECODED`.
    """
    if pixels > MAX_VIDEO_DECODED:
        width, height = size
        most, received = (count // (width * height) for count in (MAX_VIDEO_DECODED, pixels))
        raise ClipError(
            "too-big",
            f"expected at most {most:,} frames of {width} x {height} to decode "
            f"({most / rate:.0f} s at {rate:.0f} a second). Received: {received:,}; "
            "scale it down first, with a key frame every 30 frames: "
            "ffmpeg -i IN -vf scale=-2:480 -g 30 OUT.mp4",
        )
