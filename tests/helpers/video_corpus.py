"""Draws videos for the tests: a light square that crosses two dark tones, one step a frame."""

import io

import av
import numpy as np

#: Container, as FFmpeg writes it, codec and pixel format of each drawn video.
VIDEOS = {
    "mp4-h264": ("mp4", "libx264", "yuv420p"),
    "mp4-hevc": ("mp4", "libx265", "yuv420p"),
    "mov-mpeg4": ("mov", "mpeg4", "yuv420p"),
    "mov-mjpeg": ("mov", "mjpeg", "yuvj420p"),
    "webm-vp8": ("webm", "libvpx", "yuv420p"),
    "webm-vp9": ("webm", "libvpx-vp9", "yuv420p"),
    "avi-mpeg4": ("avi", "mpeg4", "yuv420p"),
    "avi-mjpeg": ("avi", "mjpeg", "yuvj420p"),
    "avi-h264": ("avi", "libx264", "yuv420p"),
}
_OPTIONS = {"libx265": {"x265-params": "log-level=none:pools=none:frame-threads=1"}}
WIDTH, HEIGHT, SIDE, RATE = 96, 64, 16, 10


def step(number: int) -> int:
    """Where the square's left edge is in a frame, in pixels."""
    return 6 * number


def drawn_frame(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """uint8 `(height, width, 3)`."""
    picture = np.full((height, width, 3), (20, 40, 60), np.uint8)
    picture[: height // 2 - SIDE] = (60, 20, 90)
    left = step(number)
    picture[height // 2 - SIDE // 2 : height // 2 + SIDE // 2, left : left + SIDE] = (250, 220, 40)
    return picture


def video(
    name: str, frames: int = 12, times: list[int] | None = None, size=(WIDTH, HEIGHT), **context
) -> bytes:
    """A video of `VIDEOS`; `times`, in hundredths of a second, replace an even rate."""
    container, codec, pixels = VIDEOS[name]
    file = io.BytesIO()
    # The same bytes every time: no random numbers in the file, no threads that race.
    with av.open(file, "w", format=container, options={"fflags": "+bitexact"}) as out:
        stream = out.add_stream(codec, rate=100 if times else RATE)
        stream.width, stream.height = size
        stream.pix_fmt = pixels
        # For the rounding of codecs to be smaller than what the tests look for.
        stream.bit_rate = 2_000_000
        stream.codec_context.options = dict(_OPTIONS.get(codec, {}))
        stream.codec_context.thread_count = 1
        for key, value in context.items():
            setattr(stream.codec_context, key, value)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(drawn_frame(number, *size), format="rgb24")
            if times:
                frame.pts = times[number]
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file.getvalue()


def video_corpus() -> dict[str, bytes]:
    """Every video of `VIDEOS`, by name."""
    return {name: video(name) for name in VIDEOS}
