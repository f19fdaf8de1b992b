"""Reads a video file's streams and packets with PyAV, without decoding them."""

import io
import itertools
import mmap
import operator
from collections.abc import Iterator
from typing import NamedTuple

from v2t_lib.clips.limits import MAX_PIXELS, MAX_VIDEO_FRAMES, check_frames
from v2t_lib.errors import ClipError

#: Number of streams that get the limits below when a file is opened; more than any clip has.
_STREAMS = 16
#: Options of every decoder. Clips are decoded in parallel, not the frames of one clip.
DECODER_OPTIONS = {"max_pixels": str(MAX_PIXELS), "threads": "1"}
#: Files up to this size in bytes keep their packets in memory; larger ones are read again.
KEEP_BYTES = 2**25
#: After so many bytes read, a mapped file is taken out of the memory of the process.
_RELEASE_BYTES = 2**25


class Packet(NamedTuple):
    """The facts of a packet: times in the stream's unit, and flags."""

    pts: int | None
    dts: int | None
    duration: int
    is_key: bool
    is_shown: bool


def open_video(kind: str, data: bytes):
    """Opens a video file as a PyAV container.

    Args:
        kind: "mov", "matroska" or "avi", as `sniff` returns it.
        data: The file: bytes, or a memory map of it.

    Raises:
        ClipError: `corrupt`.
    """
    # Imported here: loading PyAV takes as long as decoding ten GIFs.
    import av

    try:
        return av.open(
            _MappedFile(data) if isinstance(data, mmap.mmap) else io.BytesIO(data),
            format=kind,
            metadata_errors="replace",
            stream_options=[dict(DECODER_OPTIONS) for _ in range(_STREAMS)],
        )
    except Exception as error:
        # PyAV raises FFmpeg's errors, Python's and its own; callers expect one kind.
        why = getattr(error, "strerror", None) or "a file without streams"
        if kind == "mov" and data.find(b"moov") < 0:
            why = "one without its index, as where a download or recording was cut off; get it anew"
        raise ClipError("corrupt", f"expected a whole video. Received: {why}") from None


class _MappedFile:
    """A file object over a memory map, with a position of its own."""

    def __init__(self, data: mmap.mmap):
        self._data, self._at = data, 0

    def read(self, size: int) -> bytes:
        before, chunk = self._at, self._data[self._at : self._at + size]
        self._at += len(chunk)
        if before // _RELEASE_BYTES < self._at // _RELEASE_BYTES and hasattr(mmap, "MADV_DONTNEED"):
            self._data.madvise(mmap.MADV_DONTNEED)
        return chunk

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = (0, self._at, len(self._data))[whence] + offset
        return self._at

    def tell(self) -> int:
        return self._at


def choose_stream(container):
    """Chooses the stream to show: a video rather than a cover or poster, and the largest one.

    Raises:
        ClipError: `not-a-clip` where no stream has pictures that FFmpeg can decode.
    """
    from av.stream import Disposition

    def rank(stream):
        covers = Disposition.attached_pic | Disposition.timed_thumbnails
        context = stream.codec_context
        return (
            not stream.disposition & covers,
            stream.frames != 1,
            bool(stream.disposition & Disposition.default),
            context.width * context.height,
        )

    if not container.streams.video:
        raise ClipError("not-a-clip", "expected a video. Received: a file without pictures")
    known = [stream for stream in container.streams.video if stream.codec_context is not None]
    if not known:
        raise ClipError("not-a-clip", "expected a known video codec. Received: another")
    return max(known, key=rank)


def find_alpha(container, colour) -> int | None:
    """The index of the stream that holds the transparency of an AVIF's `colour` stream."""
    if not container.metadata.get("major_brand", "").startswith("avi"):
        return None
    size = colour.codec_context.width, colour.codec_context.height
    for stream in container.streams.video[colour.index + 1 :]:
        context = stream.codec_context
        same = context and (context.width, context.height) == size
        if same and stream.frames == colour.frames and (context.pix_fmt or "").startswith("gray"):
            return stream.index
    return None


class Packets:
    """The packets of one stream that hold data, in decoding order.

    Args:
        kind: "mov", "matroska" or "avi".
        data: The file: bytes, or a memory map of it.
        container: The file, just opened.
        stream: The stream.

    Attributes:
        entries: A `Packet` for each.
        length: The number of frames that an AVI's header states, with dropped ones; else 0.
        fault: Why the file ends early, where it is cut off; else empty.

    Raises:
        ClipError: `corrupt` where there are none, `too-big` over `MAX_VIDEO_FRAMES`.
    """

    def __init__(self, kind: str, data: bytes, container, stream):
        self._kind, self._data, self._index = kind, data, stream.index
        self._kept = [] if len(data) <= KEEP_BYTES else None
        self.entries, self.fault = [], ""
        whole = kind == "avi" and int.from_bytes(data[4:8], "little") + 8 <= len(data)
        self.length = (stream.duration or 0) if whole else 0
        for packet in self._read(container, stream):
            shown = not packet.is_discard
            self.entries.append(
                Packet(packet.pts, packet.dts, packet.duration or 0, packet.is_keyframe, shown)
            )
            check_frames(len(self.entries), MAX_VIDEO_FRAMES)
            if self._kept is not None:
                self._kept.append(packet)
        if not self.entries:
            raise ClipError("corrupt", f"expected frames. Received: {self.fault or 'none'}")

    def _read(self, container, stream) -> Iterator:
        try:
            for packet in container.demux(stream):
                if packet.size:
                    yield packet
        except Exception as error:
            self.fault = str(error)

    def have_stamps(self) -> bool:
        """Whether the packets have time stamps.

        Those after the first may lack them: where a video was cut without decoding it, they hold
        frames from before the cut, which can't be decoded.
        """
        first, *others = [entry.pts is not None for entry in self.entries]
        stamped = list(itertools.dropwhile(operator.not_, others))
        return first and all(stamped) and bool(stamped or not others)

    def cut(self, count: int, fault: str) -> None:
        """Keeps the first `count` packets."""
        self.entries, self.length, self.fault = self.entries[:count], 0, fault

    def __iter__(self) -> Iterator:
        """Yields PyAV's packets."""
        packets = self._kept
        if packets is None:
            container = open_video(self._kind, self._data)
            packets = self._read(container, container.streams[self._index])
        for _, packet in zip(self.entries, packets, strict=False):
            yield packet
