"""Decoding from key frames gives the frames and times that decoding everything gives."""

import io
from types import SimpleNamespace

import av
import numpy as np
import pytest
from helpers.video_corpus import left_edge, step, video, with_empty_frames

from v2t_lib.clips import packets
from v2t_lib.clips.decode import iter_frames
from v2t_lib.clips.problems import sniff
from v2t_lib.clips.video import Video

FRAMES, GOP = 48, 8
UNEVEN = [10 * n + 4 * (n % 3) + 60 * (n > 20) for n in range(FRAMES)]
X264, X265 = "x264-params", "x265-params"
OPEN = "open-gop=1:scenecut=0:bframes=3"


def remuxed(data: bytes, container: str, start: int = 0, drop: tuple = ()) -> bytes:
    """The same packets in another file: time 0 is at frame `start`, and some are left out."""
    file = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(file, "w", format=container) as out:
        stream = source.streams.video[0]
        copy = out.add_stream_from_template(stream)
        for number, packet in enumerate(list(source.demux(stream))):
            if packet.dts is None or number in drop:
                continue
            shift = round(start / 10 / packet.time_base)
            packet.dts, packet.pts, packet.stream = packet.dts - shift, packet.pts - shift, copy
            out.mux(packet)
    return file.getvalue()


def h264(**options) -> bytes:
    return video("mp4-h264", FRAMES, gop_size=GOP, **options)


VIDEOS = {
    "b-frames": lambda: h264(max_b_frames=3),
    "open-gops": lambda: h264(options={X264: OPEN}),
    "hevc-open-gops": lambda: video(
        "mp4-hevc",
        FRAMES,
        options={X265: f"{OPEN}:keyint={GOP}:min-keyint={GOP}:log-level=none"},
    ),
    "intra-refresh": lambda: h264(options={X264: "intra-refresh=1"}),
    "uneven-times": lambda: h264(times=UNEVEN),
    "edit-list": lambda: remuxed(h264(max_b_frames=2), "mp4", start=11),
    "matroska": lambda: remuxed(h264(max_b_frames=2), "matroska"),
    "lost-packets": lambda: remuxed(h264(max_b_frames=0), "mp4", drop=(19, 30)),
    "mpeg4-b-frames": lambda: video("mov-mpeg4", FRAMES, gop_size=GOP, max_b_frames=2),
    "vp8": lambda: video("webm-vp8", FRAMES, gop_size=GOP),
    "vp9": lambda: video("webm-vp9", FRAMES, gop_size=GOP, options={"lag-in-frames": "10"}),
    "vp9-uneven": lambda: video("webm-vp9", FRAMES, times=UNEVEN, gop_size=GOP),
    "vp9-alpha": lambda: video("webm-vp9-alpha", FRAMES, gop_size=GOP),
    "avif": lambda: video("avif-av1", FRAMES, gop_size=GOP),
    "avi": lambda: video("avi-mpeg4", FRAMES, gop_size=GOP),
    "avi-b-frames": lambda: video("avi-mpeg4", FRAMES, gop_size=GOP, max_b_frames=2),
    "avi-h264": lambda: video("avi-h264", FRAMES, gop_size=GOP, max_b_frames=3),
    "avi-dropped": lambda: video("avi-mpeg4", FRAMES, times=UNEVEN, gop_size=GOP),
    "avi-mjpeg": lambda: video("avi-mjpeg", FRAMES, times=UNEVEN),
}


def pictures(source: Video, numbers) -> list[np.ndarray]:
    return [np.asarray(picture) for picture in source.render(numbers)]


@pytest.fixture(scope="module", params=VIDEOS)
def clip(request) -> SimpleNamespace:
    """A video, and all its frames decoded from the start."""
    data = VIDEOS[request.param]()
    source = Video(sniff(data), data)
    numbers = range(len(source.durations))
    every = [np.asarray(p) for p in source._decode(numbers, [0] * len(numbers))]
    assert len(every) == len(numbers)
    return SimpleNamespace(name=request.param, data=data, every=every, durations=source.durations)


@pytest.mark.parametrize("keep", [0, packets.KEEP_BYTES])
def test_some_frames_are_those_of_all(clip, keep, monkeypatch):
    monkeypatch.setattr(packets, "KEEP_BYTES", keep)
    source, rng = Video(sniff(clip.data), clip.data), np.random.default_rng(0)
    assert source.durations == clip.durations
    count = len(clip.every)
    for some in ([count - 1], range(count), *(rng.choice(count, 4, False) for _ in range(8))):
        some = sorted(int(number) for number in some)
        for number, picture in zip(some, pictures(source, some), strict=True):
            np.testing.assert_array_equal(picture, clip.every[number])


def test_every_time_shows_what_was_drawn_for_it(clip):
    if clip.name == "lost-packets":  # without its packet before, a frame shows something else
        assert len(clip.every) == FRAMES - 2 and sum(clip.durations) == pytest.approx(4.8)
        return
    times = UNEVEN if "uneven" in clip.name or clip.name in ("avi-dropped", "avi-mjpeg") else None
    drawn = [t / 100 for t in times] if times else [n / 10 for n in range(FRAMES)]
    first = 11 if clip.name == "edit-list" else 0
    assert len(clip.every) == FRAMES - first
    shown = np.cumsum([drawn[first], *clip.durations])[:-1]
    np.testing.assert_allclose(shown, drawn[first:], atol=2e-3)
    for number, frame in enumerate(clip.every, first):
        assert left_edge(frame) == pytest.approx(step(number), abs=2)


class Counting:
    """A decoder that counts the packets it gets."""

    def __init__(self, context):
        self._context, self.count = context, 0
        self.flush_buffers = context.flush_buffers

    def decode(self, packet):
        self.count += 1
        return self._context.decode(packet)


@pytest.mark.parametrize("name", ["b-frames", "hevc-open-gops", "matroska", "vp9", "avi"])
def test_only_what_is_needed_is_decoded(name, monkeypatch):
    monkeypatch.setattr(packets, "KEEP_BYTES", 0)
    data = VIDEOS[name]()
    source = Video(sniff(data), data)
    source._context = counting = Counting(source._context)
    assert len(pictures(source, [3, FRAMES - 3])) == 2
    # At most two of the six groups of pictures, and the frames by which the decoder is late.
    assert 4 <= counting.count <= 2 * GOP + 8


def test_wrong_key_frame_flags_do_no_harm():
    data = VIDEOS["b-frames"]()
    source = Video("mov", data)
    every = pictures(source, range(FRAMES))
    entries = source._packets.entries
    source._packets.entries = [entry._replace(is_key=True) for entry in entries]
    source._set_times()
    assert source._packets.start(30) > 24
    np.testing.assert_array_equal(pictures(source, [5, 30])[1], every[30])


def test_a_fault_between_the_frames_that_are_shown_goes_unnoticed():
    data = bytearray(VIDEOS["avi"]())
    with av.open(io.BytesIO(data)) as container:
        sizes = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for at, size in sizes[17:23]:
        data[at : at + size] = bytes(size)
    numbers = [3, FRAMES - 3]
    whole, broken = (Video("avi", bytes(d)) for d in (VIDEOS["avi"](), data))
    for one, other in zip(pictures(whole, numbers), pictures(broken, numbers), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_cut_without_decoding_begins_with_its_first_whole_frame():
    data = VIDEOS["open-gops"]()
    source = Video("mov", data)
    number = [n for n, entry in enumerate(source._packets.entries) if entry.is_key][2]
    first = source._packets.keys.index(source._packets.stamps[number])
    # The frames after it that show before it refer to those that are cut away.
    assert first > number
    data = remuxed(data, "matroska", start=first, drop=tuple(range(number)))
    frames = [frame for frame, _ in iter_frames(data)]
    assert len(frames) == FRAMES - first
    for number, frame in enumerate(frames, first):
        assert left_edge(frame) == pytest.approx(step(number), abs=2)


@pytest.mark.parametrize("name", ["avi-mpeg4", "avi-h264", "avi-mjpeg"])
def test_empty_frames_at_the_end_of_an_avi_keep_their_time(name):
    data = with_empty_frames(video(name), 20)
    durations = [seconds for _, seconds in iter_frames(data)]
    np.testing.assert_allclose(durations, [0.1] * 11 + [2.1])
