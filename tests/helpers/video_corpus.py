"""Draws videos for the tests: a light square that crosses two dark tones, one step a frame."""

import io
import struct

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
    "webm-vp9-alpha": ("webm", "libvpx-vp9", "yuva420p"),
    "avi-mpeg4": ("avi", "mpeg4", "yuv420p"),
    "avi-mjpeg": ("avi", "mjpeg", "yuvj420p"),
    "avi-h264": ("avi", "libx264", "yuv420p"),
    "avif-av1": ("avif", "libsvtav1", "yuv420p"),
}
_OPTIONS = {
    "libx265": {"x265-params": "log-level=none:pools=none:frame-threads=1"},
    "libsvtav1": {"crf": "15", "preset": "10"},
}
WIDTH, HEIGHT, SIDE, RATE = 96, 64, 16, 10


def step(number: int) -> int:
    """The square's left edge in a frame, in pixels."""
    return 6 * number % (WIDTH - SIDE)


def drawn_frame(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """uint8 `(height, width, 3)`."""
    picture = np.full((height, width, 3), (20, 40, 60), np.uint8)
    picture[: height // 2 - SIDE] = (60, 20, 90)
    left = step(number)
    picture[height // 2 - SIDE // 2 : height // 2 + SIDE // 2, left : left + SIDE] = (250, 220, 40)
    return picture


def left_edge(frame: np.ndarray) -> float:
    """Where the square begins, in pixels, by its mass."""
    light = frame[frame.shape[0] // 2].astype(float)[:, 0] - 20
    return (light * np.arange(len(light))).sum() / light.sum() - SIDE / 2 + 0.5


def encode(
    container: str,
    codec: str,
    pixels: str,
    pictures,
    times: list[int] | None = None,
    options: dict | None = None,
    muxing: dict | None = None,
    **context,
) -> bytes:
    """Encodes a video.

    Args:
        container: As FFmpeg names it.
        codec: The encoder.
        pixels: The pixel format.
        pictures: uint8 RGB or RGBA arrays of one size, or frames of PyAV.
        times: When each frame shows, in hundredths of a second; by default at an even `RATE`.
        options: The encoder's own options.
        muxing: The container's.
        **context: Attributes of PyAV's codec context.
    """
    file = io.BytesIO()
    # The same bytes every time: no random numbers in the file, no threads that race.
    options_of_file = {"fflags": "+bitexact"} | (muxing or {})
    with av.open(file, "w", format=container, options=options_of_file) as out:
        stream = out.add_stream(codec, rate=100 if times else RATE)
        stream.pix_fmt = pixels
        stream.codec_context.options = _OPTIONS.get(codec, {}) | (options or {})
        stream.codec_context.thread_count = 1
        for key, value in context.items():
            setattr(stream.codec_context, key, value)
        for number, picture in enumerate(pictures):
            frame = picture
            if isinstance(picture, np.ndarray):
                form = "rgba" if picture.shape[-1] == 4 else "rgb24"
                frame = av.VideoFrame.from_ndarray(picture, format=form)
            if number == 0:
                stream.width, stream.height = frame.width, frame.height
            if times:
                frame.pts = times[number]
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file.getvalue()


def video(
    name: str, frames: int = 12, times: list[int] | None = None, size=(WIDTH, HEIGHT), **encoding
) -> bytes:
    """A drawn video of `VIDEOS`; for `times` and `encoding` see `encode`."""
    pictures = (drawn_frame(number, *size) for number in range(frames))
    if not name.startswith("avif"):
        # For the rounding of codecs to be smaller than what the tests look for.
        encoding = {"bit_rate": 2_000_000} | encoding
    return encode(*VIDEOS[name], pictures, times, **encoding)


def video_corpus() -> dict[str, bytes]:
    """Every video of `VIDEOS`, and HDR, by name."""
    hdr = {"color_trc": 18, "color_primaries": 9, "colorspace": 9}
    pictures = [drawn_frame(number) for number in range(6)]
    hlg = encode("mov", "libx265", "yuv420p10le", pictures, **hdr)
    return {name: video(name) for name in VIDEOS} | {"mov-hevc-hlg": hlg}


def with_display_matrix(data: bytes, a: int, b: int, c: int, d: int) -> bytes:
    """An MP4 whose pixels at (x, y) are displayed at (a x + c y, b x + d y)."""

    def matrix(a, b, c, d):
        return struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)

    at = data.index(matrix(1, 0, 0, 1), data.index(b"tkhd"))
    return data[:at] + matrix(a, b, c, d) + data[at + 36 :]


def with_empty_frames(data: bytes, count: int) -> bytes:
    """An AVI with empty chunks after its frames, as recorders write where nothing changes."""

    def number(at: int) -> int:
        return struct.unpack_from("<I", data, at)[0]

    frames = data.index(b"movi") - 8
    end = frames + 8 + number(frames + 4)
    out = bytearray(data[:end] + b"00dc\0\0\0\0" * count + data[end:])
    header, stream = data.index(b"avih") + 8, data.index(b"strh") + 8
    for at, more in ((4, 8), (frames + 4, 8), (header + 16, 1), (stream + 32, 1)):
        struct.pack_into("<I", out, at, number(at) + more * count)
    return bytes(out)
