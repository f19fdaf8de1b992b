"""When the frames of a video show, and where decoding may start, worked out from its packets."""

import bisect
import itertools
from collections.abc import Sequence

import numpy as np

from v2t_lib.clips.packets import Packets
from v2t_lib.errors import ClipError

#: Frames a second where the file states none.
_RATE = 25


class Timeline:
    """The frames of a video in the order in which they show.

    A frame is recognised by its key, which is the time stamp of its packet. AVI has no time stamps,
    and those that FFmpeg makes up don't fit the frames; there the key is the frame's number.

    Args:
        packets: The stream's packets.
        stream: PyAV's stream.
        delay: None where the packets have time stamps; else how many packets more than its own a
            decoder needs before it returns a frame.

    Attributes:
        keys: The key of each frame, ascending.
        stamps: The key of each packet.
        durations: Seconds that each frame shows.

    Raises:
        ClipError: `corrupt` where there are no frames.
    """

    def __init__(self, packets: Packets, stream, delay: int | None):
        entries = packets.entries
        if delay is None:
            shown = [entry for entry in entries if entry.is_shown and entry.pts is not None]
            self.stamps = [entry.pts for entry in entries]
            self.keys = times = sorted({entry.pts for entry in shown})
            unit = stream.time_base
            last = max(shown, key=lambda entry: entry.pts).duration if shown else 0
        else:
            self.stamps = self.keys = range(len(entries))
            times, unit, last = _slots(packets, stream, delay)
        if not self.keys:
            raise ClipError("corrupt", "expected frames. Received: none that are to be shown")
        gaps = np.diff(times).tolist()
        gaps.append(last if last > 0 else gaps[-1] if gaps else 1)
        self.durations = [float(gap * unit) for gap in gaps]
        self._delay = delay or 0
        known = [(stamp, number) for number, stamp in enumerate(self.stamps) if stamp is not None]
        self._numbers, self._starts = dict(known), []
        if len(self._numbers) == len(known) and not self._delay:
            self._starts = [number for _, number in known if entries[number].is_key]

    def start(self, frame: int) -> int:
        """The number of the packet from which to decode for a frame: the key frame before it.

        It comes no later than the frame in both orders, of decoding and of showing, so frames that
        refer to pictures before the key frame aren't decoded from it.
        """
        key = self.keys[frame]
        at = bisect.bisect(self._starts, self._numbers[key]) - 1
        while at >= 0 and self.stamps[self._starts[at]] > key:
            at -= 1
        return self._starts[at] if at >= 0 else 0

    def count(self, frames: Sequence[int], starts: Sequence[int]) -> int:
        """How many packets have to be decoded for these frames from these starts, ascending."""
        count = end = 0
        for frame, start in zip(frames, starts, strict=True):
            start = max(start, end)
            end = max(end, self._numbers[self.keys[frame]] + self._delay + 1)
            count += max(0, end - start)
        return count


def _slots(packets: Packets, stream, delay: int) -> tuple[Sequence[int], object, int]:
    """Times of frames without time stamps, their unit, and the duration of the last frame.

    Decoding times count frames, those of dropped frames too, which have no packet.
    """
    slots, unit = [entry.dts for entry in packets.entries], stream.time_base
    if None in slots or not unit or any(b <= a for a, b in itertools.pairwise(slots)):
        return range(len(slots)), 1 / (stream.average_rate or _RATE), 0
    # Frames show in the order of the decoding times, later by the decoder's delay.
    end = slots[-1] + 1
    return [*slots[delay:], *range(end, end + delay)], unit, max(1, packets.length - end + 1)
