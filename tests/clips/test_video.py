import io
import struct

import av
import numpy as np
import pytest
from helpers.video_corpus import HEIGHT, SIDE, VIDEOS, WIDTH, drawn_frame, step, video

from v2t_lib.clips import video as videos
from v2t_lib.clips.decode import decode_clip, iter_frames
from v2t_lib.clips.sniff import sniff
from v2t_lib.clips.subframe import FrameError
from v2t_lib.clips.video import Video
from v2t_lib.errors import ClipError
from v2t_lib.specs import ClipSpec

SPEC = ClipSpec(frames=4, height=HEIGHT // 4, width=WIDTH // 4)


@pytest.fixture(scope="module", params=VIDEOS)
def drawn(request) -> bytes:
    return video(request.param)


def left_edge(frame: np.ndarray) -> float:
    """Where the square begins, in pixels, told by its mass."""
    light = frame[frame.shape[0] // 2].astype(float)[:, 0] - 20
    return (light * np.arange(len(light))).sum() / light.sum() - SIDE / 2 + 0.5


def test_every_frame_shows_what_was_drawn_for_as_long(drawn):
    frames = list(iter_frames(drawn))
    assert len(frames) == 12
    for number, (frame, seconds) in enumerate(frames):
        assert seconds == pytest.approx(0.1)
        assert frame.shape == (HEIGHT, WIDTH, 3) and frame.dtype == np.uint8
        assert np.abs(frame.astype(int) - drawn_frame(number)).mean() < 2
        assert left_edge(frame) == pytest.approx(step(number), abs=2)


def test_samples_are_even_in_time_and_area_averaged(drawn):
    clip = decode_clip(drawn, SPEC)
    np.testing.assert_allclose(clip.seconds, [0.15, 0.45, 0.75, 1.05])
    frames = [frame for frame, _ in iter_frames(drawn)]
    for sample, number in zip(clip.frames, (1, 4, 7, 10), strict=True):
        area = frames[number].reshape(HEIGHT // 4, 4, WIDTH // 4, 4, 3).mean((1, 3))
        assert np.abs(sample - area).max() <= 1  # Pillow rounds along rows, then along columns.


@pytest.mark.parametrize("name", ["mp4-h264", "webm-vp9"])
def test_frames_keep_their_own_times(name):
    times = [0, 5, 10, 100, 150, 151, 152, 153, 200, 300, 301, 400]
    data = video(name, times=times)
    durations = [seconds for _, seconds in iter_frames(data)]
    np.testing.assert_allclose(durations[:-1], np.diff(times) / 100, atol=1e-3)
    # About 4 s: the moments 0.5, 1.5, 2.5 and 3.5 s show the frames of 0.1, 1.5, 2.0 and 3.01 s.
    clip = decode_clip(data, ClipSpec(4, HEIGHT, WIDTH))
    edges = [left_edge(frame) for frame in clip.frames]
    np.testing.assert_allclose(edges, [step(n) for n in (2, 4, 8, 10)], atol=2)


def test_colours_go_by_the_matrix_that_the_file_names():
    # FFmpeg writes BT.601; a file that says BT.709, or is of HD's height and says nothing, is read
    # as that. By hand, for RGB (250, 220, 40): Y 204.5, Cb 41.2, Cr 154.2, and back by BT.709.
    wanted = {"601": (250, 220, 40), "709": (254, 211, 31)}
    for name, size, matrix, reading in (
        ("mp4-h264", (640, 480), None, "601"),
        ("mp4-h264", (640, 480), 1, "709"),
        ("mp4-h264", (1280, 720), None, "709"),
        ("mp4-h264", (1280, 720), 5, "601"),
        ("webm-vp9", (1280, 720), None, "601"),
    ):
        options = {} if matrix is None else {"colorspace": matrix}
        frame, _ = next(iter_frames(video(name, frames=2, size=size, **options)))
        square = frame[size[1] // 2, SIDE // 2].astype(int)
        assert np.abs(square - wanted[reading]).max() <= 4, (name, size, matrix, square)


def test_a_turned_phone_gives_an_upright_frame():
    data = video("mp4-h264")
    upright, turned = ((1, 0, 0, 1), (0, 1, -1, 0))

    def matrix(a, b, c, d):
        return struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)

    at = data.index(matrix(*upright), data.index(b"tkhd"))
    data = data[:at] + matrix(*turned) + data[at + 36 :]
    frames = [frame for frame, _ in iter_frames(data)]
    assert frames[0].shape == (WIDTH, HEIGHT, 3)
    # Turned by a quarter clockwise, the left edge is up: the square comes down from there.
    for number in (0, 11):
        wanted = np.rot90(drawn_frame(number), -1)
        assert np.abs(frames[number].astype(int) - wanted).mean() < 2


def test_what_comes_before_a_packet_that_does_not_decode_counts(monkeypatch):
    data = video("avi-mpeg4")
    whole = [frame for frame, _ in iter_frames(data)]
    source = Video("avi", data)
    decoding = source._frames

    def until_the_seventh():
        for number, frame in enumerate(decoding()):
            if number == 6 and len(source.durations) > 6:
                raise FrameError(6, "broken")
            yield frame

    monkeypatch.setattr(source, "_frames", until_the_seventh)
    with pytest.raises(FrameError) as error:
        list(source.render([1, 8]))
    shorter = source.cut_at(error.value)
    assert shorter.fault == "broken" and len(shorter.durations) == 6
    for number, picture in zip((1, 5), shorter.render([1, 5]), strict=True):
        np.testing.assert_array_equal(np.asarray(picture), whole[number])


@pytest.mark.parametrize("part", ["decoder's end", "conversion"])
def test_no_other_exception_escapes(part, monkeypatch):
    source = Video("mov", video("mp4-h264"))

    class Failing:
        flush_buffers = staticmethod(source._context.flush_buffers)

        @staticmethod
        def decode(packet, decode=source._context.decode):
            if packet is None:
                raise MemoryError("no more")
            return decode(packet)

    def convert(*_, **__):
        raise ValueError("no such pixels")

    if part == "conversion":
        monkeypatch.setattr(source, "_to_rgb", convert)
        with pytest.raises(ClipError, match="corrupt: expected a known pixel format"):
            list(source.render([0]))
    else:
        # The last frames, which the decoder holds back, are those before them.
        monkeypatch.setattr(source, "_context", Failing)
        assert len(list(source.render(range(12)))) == 12


def test_a_cut_video_shows_what_it_has():
    data = video("avi-mjpeg")
    clip = decode_clip(data[: len(data) * 2 // 3], SPEC)
    assert 0.3 < clip.seconds[-1] < 1.05
    assert left_edge(clip.frames[0].repeat(4, 0).repeat(4, 1)) == pytest.approx(0, abs=8)
    with pytest.raises(ClipError) as error:
        decode_clip(video("mp4-h264")[:500], SPEC)
    assert error.value.kind == "corrupt"


def test_sound_alone_is_no_clip():
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream = out.add_stream("aac", rate=44100)
        for number in range(4):
            samples = np.zeros((1, 1024), np.float32)
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            frame.rate, frame.pts = 44100, 1024 * number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    assert sniff(file.getvalue()) == "mov"
    with pytest.raises(ClipError, match=r"not-a-clip: expected a video\."):
        decode_clip(file.getvalue(), SPEC)


def test_one_frame_is_a_still():
    with pytest.raises(ClipError, match="still"):
        decode_clip(video("mp4-h264", frames=1), SPEC)


def test_a_larger_frame_than_the_header_has_counts_for_the_limit(monkeypatch):
    monkeypatch.setattr(videos, "MAX_VIDEO_PIXELS", 12 * WIDTH * HEIGHT)
    assert len(list(iter_frames(video("avi-mjpeg")))) == 12
    with pytest.raises(ClipError, match="too-big"):
        decode_clip(video("avi-mjpeg", frames=13), SPEC)
