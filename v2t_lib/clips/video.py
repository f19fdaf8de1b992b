"""Video: decodes MP4, MOV, WebM, AVI and animated AVIF through PyAV, with each frame's own time.

Only what the requested frames need is decoded, from the key frame before each.
"""

import contextlib
import itertools
import math
import mmap
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from PIL import Image

from v2t_lib.clips.colour import flatten
from v2t_lib.clips.packets import DECODER_OPTIONS, Packets, choose_stream, open_video
from v2t_lib.clips.problems import MAX_VIDEO_DECODED, FrameError, check_canvas, check_decoded
from v2t_lib.clips.video_picture import PictureConverter

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

#: Decoders that read the transparency of WebM, which FFmpeg's own ignore.
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


class _SeekError(Exception):
    """Decoding from a key frame failed; decoding from the start may succeed."""


class Video:
    """One video stream of a file: that of this number, or by default the best one.

    `size`, `durations` and `fault` are those of an `Animation`.

    Raises:
        ClipError: `not-a-clip` where there is no video stream, `corrupt`, `too-big`.
    """

    def __init__(self, kind: str, data: bytes | mmap.mmap, number: int | None = None):
        container = open_video(kind, data)
        stream = choose_stream(container) if number is None else container.streams.video[number]
        self._context = _decoder(stream)
        self._picture = PictureConverter(kind, stream.codec_context)
        self.size = stream.codec_context.width, stream.codec_context.height
        check_canvas(*self.size)
        self._packets = Packets(kind, data, container, stream)
        self._stamped = kind != "avi" and stream.time_base and self._packets.have_stamps()
        self._set_times()
        alpha = _find_alpha(container, stream) if number is None else None
        self._alpha = None if alpha is None else Video(kind, data, alpha)

    def _set_times(self) -> None:
        self._packets.set_times(None if self._stamped else self._reorder_delay())
        self.durations, self.fault = self._packets.durations, self._packets.fault

    def _reorder_delay(self) -> int:
        """How many packets more than its own the decoder needs before it returns a frame."""
        self._context.flush_buffers()
        with contextlib.suppress(Exception):
            for number, packet in enumerate(self._packets):
                if self._context.decode(packet):
                    return number
        return 0

    def cut_at(self, error: FrameError) -> "Video":
        """The video that ends before a packet that doesn't decode."""
        self._packets.cut(error.number, error.reason)
        self._set_times()
        return self

    def render(self, numbers: Sequence[int]) -> Iterator[Image.Image]:
        """Yields the frames of these numbers, ascending, as upright RGB pictures over white.

        Where a packet decodes to no frame, without an error, the frame before it is repeated.

        Raises:
            FrameError: A packet doesn't decode; its number is the packet's.
            ClipError: `too-big` where too much has to be decoded.
        """
        if self._alpha is None:
            yield from self._render(numbers)
            return
        for picture, alpha in zip(self._render(numbers), self._alpha.render(numbers), strict=True):
            picture.putalpha(alpha.convert("L"))
            yield flatten(picture)

    def _render(self, numbers: Sequence[int]) -> Iterator[Image.Image]:
        done = 0
        try:
            for picture in self._decode(numbers, [self._packets.start(n) for n in numbers]):
                yield picture
                done += 1
        except _SeekError:
            yield from self._decode(numbers[done:], [0] * (len(numbers) - done))

    def _decode(self, numbers: Sequence[int], starts: Sequence[int]) -> Iterator[Image.Image]:
        keys, area = self._packets.keys, self.size[0] * self.size[1]
        pixels = area * self._packets.count(numbers, starts)
        goals, shown = deque(zip(numbers, starts, strict=True)), None
        check_decoded(pixels, self.size, MAX_VIDEO_DECODED)
        for key, frame in self._frames(goals):
            # Frames may be larger than the header states.
            pixels += max(0, frame.width * frame.height - area)
            check_decoded(pixels, self.size, MAX_VIDEO_DECODED)
            while goals and key >= keys[goals[0][0]]:
                exact = key == keys[goals.popleft()[0]]
                yield self._picture(frame if exact or shown is None else shown)
            if not goals:
                return
            shown = frame
        if shown is None:
            raise FrameError(0, "nothing decodes")
        for _ in goals:
            yield self._picture(shown)

    def _frames(self, goals: deque[tuple[int, int]]) -> "Iterator[tuple[float, VideoFrame]]":
        """Decodes packets; yields the key of each frame, and the frame.

        The caller removes from `goals`, pairs of a frame and its start, those it has; packets
        before the start of the first that is left are skipped.

        Raises:
            FrameError: A packet doesn't decode.
            _SeekError: The same, or no key frame comes first, after packets were skipped.
        """
        landing, skipped = None, False  # the packet of the next key frame; whether there was one
        self._context.flush_buffers()
        for number, packet in enumerate(itertools.chain(self._packets, [None])):
            if number < goals[0][1]:
                landing, skipped = number + 1, True
                continue
            if number == landing:
                self._context.flush_buffers()
            try:
                frames = self._context.decode(packet)
            except Exception as error:
                if packet is None:
                    break  # Only frames that the decoder held back are lost.
                raise _SeekError if skipped else FrameError(number, error) from None
            for index, frame in enumerate(frames):
                key = frame.pts if self._stamped else number - self._packets.delay + index
                if landing is not None:
                    if key != self._packets.stamps[landing] or not frame.key_frame:
                        raise _SeekError
                    landing = None
                yield -math.inf if key is None else key, frame
        if landing is not None:
            raise _SeekError


def _find_alpha(container: "InputContainer", colour: "VideoStream") -> int | None:
    """Which of the video streams holds the transparency of an AVIF's `colour` stream."""
    if not container.metadata.get("major_brand", "").startswith("avi"):
        return None
    size = colour.codec_context.width, colour.codec_context.height
    for number, stream in enumerate(container.streams.video):
        context = stream.codec_context
        same = context and (context.width, context.height) == size
        grey = same and (context.pix_fmt or "").startswith("gray")
        if grey and stream.frames == colour.frames and stream.index > colour.index:
            return number
    return None


class _AlphaDecoder:
    """libvpx's decoder, which reads transparency, behind FFmpeg's own of the same codec.

    libvpx allocates whatever size a frame states, up to gigabytes; FFmpeg's own refuses it before.
    """

    def __init__(self, own: "VideoCodecContext", name: str):
        import av

        self._colours, self._alpha = own, _limited(av.CodecContext.create(own.name, "r"))
        self._both = _limited(av.CodecContext.create(name, "r"))

    def decode(self, packet: "Packet | None") -> "list[VideoFrame]":
        import av

        self._colours.decode(packet)
        if packet is not None and packet.has_sidedata("matroska_block_additional"):
            # After eight bytes that say what kind of addition it is.
            addition = bytes(packet.get_sidedata("matroska_block_additional"))[8:]
            self._alpha.decode(av.Packet(addition))
        return self._both.decode(packet)

    def flush_buffers(self) -> None:
        for context in (self._colours, self._alpha, self._both):
            context.flush_buffers()


def _limited(context: Any) -> "VideoCodecContext":
    context.thread_count = 1
    context.options = dict(DECODER_OPTIONS)
    return context


def _decoder(stream: "VideoStream") -> "VideoCodecContext | _AlphaDecoder":
    """A decoder of the stream that yields its transparency too."""
    context = _limited(stream.codec_context)
    if stream.metadata.get("alpha_mode") == "1" and context.name in _ALPHA_DECODERS:
        return _AlphaDecoder(context, _ALPHA_DECODERS[context.name])
    return context
