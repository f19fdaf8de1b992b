"""Video: decodes MP4, MOV, WebM and AVI through PyAV, with each frame's own time."""

import io
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from v2t_lib.clips.limits import MAX_PIXELS, MAX_VIDEO_PIXELS, check_canvas, check_frames
from v2t_lib.clips.subframe import FrameError
from v2t_lib.errors import ClipError

#: Number of streams that get the limits below when a file is opened; more than any clip has.
_STREAMS = 16
_LIMITS = {"max_pixels": str(MAX_PIXELS), "threads": "1"}
#: FFmpeg's numbers for the BT.709 colour matrix and an unspecified one. Browsers take the latter
#: for BT.709 from this height up, except in WebM.
_BT709, _UNSPECIFIED, _HD_HEIGHT = 1, 2, 720
#: Frames a second where the file states none.
_RATE = 25


class Video:
    """One video stream: its compressed packets and the times of their frames.

    Args:
        kind: "mov", "matroska" or "avi", as `sniff` returns it.
        data: The file.

    Attributes:
        size: Width and height in pixels.
        durations: Seconds that each frame shows.
        fault: Why the file ends early, where it is cut off; else empty.

    Raises:
        ClipError: `not-a-clip` where there is no video stream, `corrupt`, `too-big`.
    """

    def __init__(self, kind: str, data: bytes):
        # Imported here: loading PyAV takes as long as decoding ten GIFs.
        from av.video.reformatter import VideoReformatter

        # Setting one up takes longer than converting a small frame, so it serves all frames.
        self._to_rgb = VideoReformatter().reformat
        self._kind, self._container = kind, _open(kind, data)
        streams = self._container.streams.video
        if not streams:
            raise ClipError("not-a-clip", "expected a video. Received: a file without pictures")
        self._stream, self._context = streams[0], streams[0].codec_context
        if self._context is None:
            raise ClipError("not-a-clip", "expected a known video codec. Received: another")
        # Clips are decoded in parallel, not the frames of one clip.
        self._context.thread_count = 1
        self._context.options = dict(_LIMITS)
        self.size = self._context.width, self._context.height
        check_canvas(*self.size)
        self.fault = ""
        self._packets = self._demux()
        self._set_times()

    def _demux(self) -> list:
        packets, pixels = [], self._context.width * self._context.height
        try:
            for packet in self._container.demux(self._stream):
                if packet.size:
                    packets.append(packet)
                    check_frames(len(packets), len(packets) * pixels, MAX_VIDEO_PIXELS)
        except ClipError:
            raise
        except Exception as error:
            self.fault = str(error)
        if not packets:
            raise ClipError("corrupt", f"expected frames. Received: {self.fault or 'none'}")
        return packets

    def _set_times(self) -> None:
        """Sets durations, and a key for each frame: its time stamp, or else its number."""
        shown = [packet for packet in self._packets if not packet.is_discard]
        keys, unit = {packet.pts for packet in shown}, self._stream.time_base
        # AVI stores a frame rate and no time stamps; those FFmpeg makes up don't fit the frames.
        self._stamped = None not in keys and unit and self._kind != "avi"
        if not self._stamped:
            keys, unit = range(len(shown)), 1 / (self._stream.average_rate or _RATE)
        self._keys = sorted(keys)
        if not self._keys:
            raise ClipError("corrupt", "expected frames. Received: none that are to be shown")
        gaps = np.diff(self._keys).tolist()
        last = shown[-1].duration if self._stamped else 0
        gaps.append(last or (gaps[-1] if gaps else 1))
        self.durations = [float(gap * unit) for gap in gaps]

    def cut_at(self, error: FrameError) -> "Video":
        """The video that ends before a packet that doesn't decode."""
        self._packets, self.fault = self._packets[: error.number], error.reason
        self._set_times()
        return self

    def render(self, numbers: Sequence[int]) -> Iterator[Image.Image]:
        """Yields the frames of these numbers, ascending, as RGB pictures.

        Where a packet decodes to no frame, without an error, the frame before it is repeated.

        Raises:
            FrameError: A packet doesn't decode; its number is the packet's.
        """
        goals, shown = list(numbers)[::-1], None
        for index, frame in enumerate(self._frames()):
            key = frame.pts if self._stamped else index
            while goals and key is not None and key >= self._keys[goals[-1]]:
                exact = key == self._keys[goals.pop()]
                yield self._picture(frame if exact or shown is None else shown)
            if not goals:
                return
            shown = frame
        if shown is None:
            raise FrameError(0, "nothing decodes")
        for _ in goals:
            yield self._picture(shown)

    def _frames(self) -> Iterator:
        self._context.flush_buffers()
        pixels = 0
        for number, packet in enumerate([*self._packets, None]):
            try:
                frames = self._context.decode(packet)
            except Exception as error:
                if packet is None:
                    return  # Only frames that the decoder held back are lost.
                raise FrameError(number, error) from None
            for frame in frames:
                # Frames may be larger than the header states.
                pixels += frame.width * frame.height
                check_frames(number, pixels, MAX_VIDEO_PIXELS)
                yield frame

    def _picture(self, frame) -> Image.Image:
        hd = frame.height >= _HD_HEIGHT and self._kind != "matroska"
        options = {}
        if frame.colorspace == _BT709 or (frame.colorspace == _UNSPECIFIED and hd):
            # Some versions of PyAV ignore the first where the second is equal; RGB has no matrix.
            options = {"src_colorspace": "itu709", "dst_colorspace": "itu601"}
        try:
            pixels = self._to_rgb(frame, format="rgb24", **options).to_ndarray()
        except Exception as error:
            raise ClipError(
                "corrupt", f"expected a known pixel format. Received: {error}"
            ) from None
        picture = Image.fromarray(pixels)
        return picture.rotate(frame.rotation, expand=True) if frame.rotation else picture


def _open(kind: str, data: bytes):
    import av

    try:
        return av.open(
            io.BytesIO(data),
            format=kind,
            metadata_errors="replace",
            stream_options=[dict(_LIMITS) for _ in range(_STREAMS)],
        )
    except Exception as error:
        # PyAV raises FFmpeg's errors, Python's and its own; callers expect one kind.
        raise ClipError("corrupt", f"expected a video. Received: {error}") from None
