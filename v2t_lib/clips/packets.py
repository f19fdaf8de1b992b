"""Reads a video file's streams, packets and times with PyAV; decodes nothing."""

import bisect
import io
import itertools
import math
import mmap
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from v2t_lib.clips.problems import MAX_PIXELS, MAX_VIDEO_FRAMES, check_frames, lacking
from v2t_lib.errors import ClipError

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

#: Options of every decoder. Clips are decoded in parallel, not the frames of one clip.
DECODER_OPTIONS = {"max_pixels": str(MAX_PIXELS), "threads": "1"}
#: Number of streams that get these when a file is opened; more than any clip has.
_STREAMS = 16
#: Files up to this size in bytes keep their packets in memory; larger ones are read again.
KEEP_BYTES = 2**25
#: Frames a second where the file states none.
_RATE = 25
#: How MP4 and iTunes name codecs of encrypted tracks.
_LOCKED = ("encv", "drmi")


def open_video(kind: str, data: bytes | mmap.mmap) -> "InputContainer":
    """Opens a video of a kind of `sniff`; raises `ClipError` if it is corrupt."""
    # Imported here: loading PyAV takes as long as decoding ten GIFs.
    import av

    try:
        options: Any = [dict(DECODER_OPTIONS) for _ in range(_STREAMS)]
        file = _MappedFile(data) if isinstance(data, mmap.mmap) else io.BytesIO(data)
        return av.open(file, "r", kind, metadata_errors="replace", stream_options=options)
    except Exception as error:
        # PyAV raises FFmpeg's errors, Python's and its own; callers expect one kind.
        why = lacking(kind, data) or getattr(error, "strerror", None) or "a file without streams"
        raise ClipError("corrupt", f"expected a whole video. Received: {why}") from None


class _MappedFile:
    """A file object over a memory map, with a position of its own."""

    def __init__(self, data: mmap.mmap):
        self._data, self._at = data, 0

    def read(self, size: int) -> bytes:
        chunk = self._data[self._at : self._at + size]
        self._at += len(chunk)
        return chunk

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = (0, self._at, len(self._data))[whence] + offset
        return self._at

    def tell(self) -> int:
        return self._at


def choose_stream(container: "InputContainer") -> "VideoStream":
    """The stream to show: a video rather than a cover or poster, and the largest one.

    Raises:
        ClipError: `not-a-clip` where no stream has pictures that FFmpeg can decode.
    """
    from av.stream import Disposition

    covers = Disposition.attached_pic | Disposition.timed_thumbnails
    known = [stream for stream in container.streams.video if stream.codec_context is not None]
    if not known:
        sound = "sound alone" if container.streams.audio else "none"
        unknown = "one of an unknown codec" if container.streams.video else sound
        raise ClipError("not-a-clip", f"expected a video of a known codec. Received: {unknown}")
    if any(stream.codec_context.codec_tag in _LOCKED for stream in known):
        raise _encrypted()
    return max(
        known,
        key=lambda stream: (
            not stream.disposition & covers,
            stream.frames != 1,
            bool(stream.disposition & Disposition.default),
            stream.codec_context.width * stream.codec_context.height,
        ),
    )


def _encrypted() -> ClipError:
    way = "no program but the shop's player opens it"
    return ClipError("not-a-clip", f"expected a video. Received: an encrypted one (DRM); {way}")


class Packet(NamedTuple):
    """A packet's times in the stream's unit, and flags."""

    pts: int | None
    dts: int | None
    duration: int
    is_key: bool
    is_shown: bool


class Packets:
    """The packets of one stream that hold data, and the frames that they become.

    A frame is recognised by its key, which is the time stamp of its packet. AVI has no time stamps,
    and those that FFmpeg makes up don't fit the frames, so the key is the frame's number.

    Raises:
        ClipError: `corrupt` where there are none, `too-big` over `MAX_VIDEO_FRAMES`.
    """

    def __init__(
        self, kind: str, data: bytes | mmap.mmap, container: "InputContainer", stream: "VideoStream"
    ):
        self._kind, self._data, self._stream = kind, data, stream
        self._kept: list[av.Packet] | None = [] if len(data) <= KEEP_BYTES else None
        self.entries: list[Packet] = []  # in decoding order
        self.fault = ""  # why the file ends early, where it is cut off
        whole = kind == "avi" and int.from_bytes(data[4:8], "little") + 8 <= len(data)
        # The number of frames that an AVI's header states, with dropped ones.
        self._length = (stream.duration or 0) if whole else 0
        for packet in self._read(container, stream):
            if packet.has_sidedata("encryption_info"):
                if not self.entries:
                    raise _encrypted()
                self.fault = "what follows is encrypted (DRM)"
                break
            shown = not packet.is_discard
            self.entries.append(
                Packet(packet.pts, packet.dts, packet.duration or 0, packet.is_keyframe, shown)
            )
            check_frames(len(self.entries), MAX_VIDEO_FRAMES)
            if self._kept is not None:
                self._kept.append(packet)
        if not self.entries:
            why = self.fault or lacking(kind, data) or "none"
            raise ClipError("corrupt", f"expected frames. Received: {why}")

    def _read(self, container: "InputContainer", stream: "Stream") -> "Iterator[av.Packet]":
        try:
            for packet in container.demux(stream):
                if packet.size:
                    yield packet
        except Exception as error:
            self.fault = str(error)

    def __iter__(self) -> "Iterator[av.Packet]":
        packets = iter(self._kept or ())
        if self._kept is None:
            container = open_video(self._kind, self._data)
            packets = self._read(container, container.streams[self._stream.index])
        for _, packet in zip(self.entries, packets, strict=False):
            yield packet

    def cut(self, count: int, fault: str) -> None:
        """Keeps the first `count` packets; `set_times` has to follow."""
        self.entries, self._length, self.fault = self.entries[:count], 0, fault

    def have_stamps(self) -> bool:
        """Whether the packets have time stamps.

        Some after the first may lack them: where a video was cut without decoding it, they hold
        frames from before the cut, which can't be decoded.
        """
        first, *others = [entry.pts is not None for entry in self.entries]
        return first and others == sorted(others) and (not others or others[-1])

    def set_times(self, delay: int | None) -> None:
        """Works out when frames show, and from which packets decoding may start.

        `delay`, None where the packets have time stamps, is how many packets more than its own a
        decoder needs for a frame. Raises `ClipError` without frames.
        """
        entries, self.delay = self.entries, delay or 0
        self.stamps: Sequence[int | None] = range(len(entries))  # the key of each packet
        self.keys: Sequence[int] = range(len(entries))  # of each frame, ascending
        if delay is None:
            shown = {entry.pts: entry for entry in reversed(entries) if entry.is_shown}
            self.stamps = [entry.pts for entry in entries]
            self.keys = times = sorted(stamp for stamp in shown if stamp is not None)
            unit = self._stream.time_base or Fraction(1)
            last = shown[times[-1]].duration if times else 0
        else:
            times, unit, last = self._slots(delay)
        if not self.keys:
            raise ClipError("corrupt", "expected frames. Received: none that are to be shown")
        gaps = np.diff(times).tolist()
        gaps.append(last if last > 0 else gaps[-1] if gaps else 1)
        self.durations = [float(gap * unit) for gap in gaps]  # seconds that each frame shows
        known = [(stamp, number) for number, stamp in enumerate(self.stamps) if stamp is not None]
        self._numbers = dict(known)
        self._starts: list[tuple[int, int]] = []  # packets of key frames: number and key
        if len(self._numbers) == len(known) and not self.delay:
            self._starts = [(number, stamp) for stamp, number in known if entries[number].is_key]

    def _slots(self, delay: int) -> tuple[Sequence[int], Fraction, int]:
        """Times of frames without time stamps, their unit, and the duration of the last frame.

        Decoding times count frames, those of dropped frames too, which have no packet.
        """
        slots, unit = [e.dts for e in self.entries if e.dts is not None], self._stream.time_base
        ascending = all(a < b for a, b in itertools.pairwise(slots))
        if len(slots) < len(self.entries) or not unit or not ascending:
            rate = Fraction(self._stream.average_rate or _RATE)
            return range(len(self.entries)), 1 / rate, 0
        # Frames show in the order of the decoding times, later by the decoder's delay.
        end = slots[-1] + 1
        return [*slots[delay:], *range(end, end + delay)], unit, max(1, self._length - end + 1)

    def start(self, frame: int) -> int:
        """The number of the packet from which to decode for a frame: the key frame before it.

        It comes no later than the frame in both orders, of decoding and of showing, so frames that
        refer to pictures before the key frame aren't decoded from it.
        """
        key = self.keys[frame]
        at = bisect.bisect(self._starts, (self._numbers[key], math.inf)) - 1
        while at >= 0 and self._starts[at][1] > key:
            at -= 1
        return self._starts[at][0] if at >= 0 else 0

    def count(self, frames: Sequence[int], starts: Sequence[int]) -> int:
        """How many packets have to be decoded for these frames from these starts, ascending."""
        count = end = 0
        for frame, start in zip(frames, starts, strict=True):
            start = max(start, end)
            end = max(end, self._numbers[self.keys[frame]] + self.delay + 1)
            count += max(0, end - start)
        return count
