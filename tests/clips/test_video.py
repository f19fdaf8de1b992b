import io
import mmap

import av
import numpy as np
import pytest
from fuzz_clips import forget_peak, peak_megabytes
from helpers.video_corpus import (
    HEIGHT,
    VIDEOS,
    WIDTH,
    drawn_frame,
    encode,
    left_edge,
    step,
    video,
)

from v2t_lib.clips import files, packets
from v2t_lib.clips import video as video_module
from v2t_lib.clips.decode import decode_clip, iter_frames
from v2t_lib.clips.files import read_clip
from v2t_lib.clips.problems import FrameError, sniff
from v2t_lib.clips.video import Video
from v2t_lib.errors import ClipError
from v2t_lib.specs import ClipSpec

SPEC = ClipSpec(frames=4, height=HEIGHT // 4, width=WIDTH // 4)


@pytest.mark.parametrize("name", VIDEOS)
def test_frames_show_what_was_drawn_for_as_long_and_samples_are_means_of_them(name):
    drawn = video(name)
    frames = list(iter_frames(drawn))
    assert len(frames) == 12
    for number, (frame, seconds) in enumerate(frames):
        assert seconds == pytest.approx(0.1)
        assert frame.shape == (HEIGHT, WIDTH, 3) and frame.dtype == np.uint8
        assert np.abs(frame.astype(int) - drawn_frame(number)).mean() < 2
        assert left_edge(frame) == pytest.approx(step(number), abs=2)
    clip = decode_clip(drawn, SPEC)
    np.testing.assert_allclose(clip.seconds, [0.15, 0.45, 0.75, 1.05])
    for sample, number in zip(clip.frames, (1, 4, 7, 10), strict=True):
        area = frames[number][0].reshape(HEIGHT // 4, 4, WIDTH // 4, 4, 3).mean((1, 3))
        assert np.abs(sample - area).max() <= 1  # Pillow rounds along rows, then along columns.


def test_what_comes_before_a_packet_that_does_not_decode_counts(monkeypatch):
    data = video("avi-mpeg4")
    whole = [frame for frame, _ in iter_frames(data)]
    source = Video("avi", data)
    decoding = source._frames

    def until_the_seventh(goals):
        for number, (key, frame) in enumerate(decoding(goals)):
            if number == 6 and len(source.durations) > 6:
                raise FrameError(6, "broken")
            yield key, frame

    monkeypatch.setattr(source, "_frames", until_the_seventh)
    with pytest.raises(FrameError) as error:
        list(source.render(range(9)))
    shorter = source.cut_at(error.value)
    assert shorter.fault == "broken" and len(shorter.durations) == 6
    for number, picture in zip((1, 5), shorter.render([1, 5]), strict=True):
        np.testing.assert_array_equal(np.asarray(picture), whole[number])


def test_a_cut_video_shows_what_it_has():
    data = video("avi-mjpeg")
    clip = decode_clip(data[: len(data) * 2 // 3], SPEC)
    assert 0.3 < clip.seconds[-1] < 1.05
    assert left_edge(clip.frames[0].repeat(4, 0).repeat(4, 1)) == pytest.approx(0, abs=8)


@pytest.mark.parametrize(
    ("name", "share", "said"),
    [
        ("mp4-h264", 0.2, "one without its index, as where a download or recording was cut off"),
        ("mov-mjpeg", 0.5, "one without its index"),
        ("webm-vp9", 0.01, "(Invalid data found|a file without streams)"),
    ],
)
def test_a_video_without_its_index_is_told(name, share, said):
    data = video(name)
    with pytest.raises(ClipError, match=rf"corrupt: expected a whole video\. Received: {said}"):
        decode_clip(data[: int(share * len(data))], SPEC)


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
    with pytest.raises(ClipError, match=r"not-a-clip: expected a video .*: sound alone"):
        decode_clip(file.getvalue(), SPEC)


def test_pieces_of_a_stream_are_told_and_joined_are_read():
    whole = video("mp4-h264", muxing={"movflags": "frag_keyframe+empty_moov+default_base_moof"})
    cut = whole.index(b"moof") - 4
    first, rest = whole[:cut], b"\0\0\0\x18stypmsdh\0\0\0\0msdhmsix" + whole[cut:]
    assert decode_clip(first + rest, SPEC).original.frames == 12
    for data in (rest, whole[cut:]):
        with pytest.raises(ClipError, match=r"a piece of a stream without .*\(init segment\)"):
            decode_clip(data, SPEC)
    with pytest.raises(ClipError, match=r"the first piece \(init segment\) of a stream alone"):
        decode_clip(first, SPEC)


def test_an_encrypted_video_is_refused():
    how = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "76" * 16}
    data = video("mp4-h264", muxing=how | {"encryption_kid": "a7" * 16})
    for read in (lambda: decode_clip(data, SPEC), lambda: next(iter_frames(data))):
        with pytest.raises(ClipError, match=r"an encrypted one \(DRM\)"):
            read()


def test_one_frame_is_a_still():
    with pytest.raises(ClipError, match="still"):
        decode_clip(video("mp4-h264", frames=1), SPEC)


def test_what_has_to_be_decoded_is_limited(monkeypatch):
    monkeypatch.setattr(video_module, "MAX_VIDEO_DECODED", 12 * WIDTH * HEIGHT)
    assert len(list(iter_frames(video("avi-mjpeg")))) == 12
    data = video("avi-mjpeg", frames=13)
    with pytest.raises(ClipError, match=r"too-big: .* 12 frames of 96 x 64 .* 13; .* ffmpeg -i IN"):
        next(iter_frames(data))
    # Of these 13, each a key frame, 4 are decoded.
    assert decode_clip(data, SPEC).original.frames == 13
    # Frames that turn out larger than the header states count as they are.
    source = Video("avi", video("avi-mjpeg", frames=12))
    source.size = (WIDTH // 2, HEIGHT)
    assert len(list(source.render(range(12)))) == 12
    monkeypatch.setattr(video_module, "MAX_VIDEO_DECODED", 12 * WIDTH * HEIGHT - 1)
    with pytest.raises(ClipError, match="too-big"):
        list(source.render(range(12)))


def test_too_many_frames_are_refused_with_a_way_out(monkeypatch):
    monkeypatch.setattr(packets, "MAX_VIDEO_FRAMES", 11)
    with pytest.raises(ClipError, match=r"too-big: .* at most 11 frames.*ffmpeg -i IN -t 60 OUT"):
        decode_clip(video("mp4-h264"), SPEC)


@pytest.mark.parametrize("names", [("cover", "film"), ("film", "cover")])
def test_the_best_stream_is_shown_not_the_poster(names):
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        streams = {}
        for name in names:
            codec, form, width = {
                "cover": ("mjpeg", "yuvj420p", 192),
                "film": ("libx264", "yuv420p", 96),
            }[name]
            streams[name] = out.add_stream(codec, rate=10)
            streams[name].width, streams[name].height, streams[name].pix_fmt = width, 64, form
        for number in range(8):
            picture = av.VideoFrame.from_ndarray(drawn_frame(number), format="rgb24")
            out.mux(streams["film"].encode(picture))
            if number == 0:
                out.mux(streams["cover"].encode(picture.reformat(192, 64, "yuvj420p")))
        for stream in streams.values():
            out.mux(stream.encode(None))
    frames = [frame for frame, _ in iter_frames(file.getvalue())]
    assert len(frames) == 8 and frames[0].shape == (64, 96, 3)


def test_a_large_local_file_is_not_read_into_memory(tmp_path, monkeypatch):
    data = video("mp4-h264", frames=30, gop_size=10)
    (tmp_path / "phone.mp4").write_bytes(data)
    monkeypatch.setattr(files, "MAX_BYTES", 1000)
    monkeypatch.setattr(packets, "KEEP_BYTES", 1000)
    mapped = read_clip(tmp_path / "phone.mp4")
    assert isinstance(mapped, mmap.mmap) and len(mapped) == len(data)
    np.testing.assert_array_equal(decode_clip(mapped, SPEC).frames, decode_clip(data, SPEC).frames)


def test_a_long_plain_video_is_no_placeholder():
    plain = [np.full((64, 96, 3), 120, np.uint8)] * 110
    with pytest.raises(ClipError, match="placeholder"):
        decode_clip(encode("mp4", "libx264", "yuv420p", plain[:90]), SPEC)
    assert decode_clip(encode("mp4", "libx264", "yuv420p", plain), SPEC).original.frames == 110


@pytest.mark.parametrize("stream", ["colours", "transparency"])
def test_a_frame_that_states_another_size_is_refused_before_it_takes_memory(stream):
    data = bytearray(video("webm-vp9-alpha"))
    # A key frame of VP9: a byte, a sync code, four bits of colour; width and height less one.
    at = data.index(b"\x82\x49\x83\x42") + 4
    if stream == "transparency":
        at = data.index(b"\x82\x49\x83\x42", at) + 4
    stated = int.from_bytes(data[at : at + 5], "big")
    assert stated >> 20 & 0xFFFF == WIDTH - 1 and stated >> 4 & 0xFFFF == HEIGHT - 1
    huge = stated & ~(0xFFFFFFFF << 4) | 0x3FFF3FFF << 4  # 16,384 x 16,384
    data[at : at + 5] = huge.to_bytes(5, "big")
    forget_peak()
    before = peak_megabytes()
    with pytest.raises(ClipError, match="corrupt"):
        decode_clip(bytes(data), SPEC)
    assert peak_megabytes() - before < 100
