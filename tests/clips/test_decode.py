import base64
import gzip
import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers.clips import corpus
from helpers.gif_writer import PALETTE, control, gif, image, pattern, screen
from helpers.video_corpus import video
from PIL import Image

from v2t_lib.clips import files, problems
from v2t_lib.clips.decode import decode_clip, iter_frames, sample_times
from v2t_lib.clips.files import read_clip
from v2t_lib.errors import ClipError
from v2t_lib.specs import ClipSpec

SPEC = ClipSpec(frames=4, height=9, width=12)
CLIPS = corpus()
#: What comes where a clip should be, and what it is called.
OTHERS = {
    b"": "an empty file",
    bytes(5000): "nothing but zeros",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\n": "a Git LFS pointer",
    b"../.git/annex/objects/2F/SHA256E-s9--4d.gif": "a git-annex pointer",
    gzip.compress(b"GIF89a", mtime=0): "a gzip archive",
    gzip.compress(b'{"tgs":1,"v":"5.5.2","fr":60}', mtime=0): "an animated sticker (TGS)",
    b"PK\3\4\x14": "a zip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"a.gif".ljust(257, b"\0") + b"ustar\0": "a tar archive",
    base64.b64encode(b"GIF89a" * 20): "base64 text",
    b"\xef\xbb\xbf\n <!DOCTYPE html><html><svg ": "a web page or other text",
    b"<!-- --><Error>Denied</Error>": "a web page or other text",
    b'{"error": 404}': "JSON text, as a server's notice",
    b'{"v":"5.5.7","fr":60,"ip":0,"op":10}': "a Lottie animation",
    b'<?xml version="1.0"?>\n<svg xmlns="x"><animate/></svg>': "an SVG drawing",
    b"#EXTM3U\n#EXT-X-VERSION:3\nseg1.ts\n": "a playlist of a stream (HLS)",
    b'<?xml version="1.0"?><MPD xmlns="x">': "a playlist of a stream (DASH)",
    b"xx" + (b"G@\1\x10" + b"\xff" * 184) * 3: "an MPEG transport stream, or a piece of one",
    b"\0\5\x16\7\0\2\0\0Mac OS X": "AppleDouble data",
    b"bplist00\xd1\1\2_\x10\x12NSURLNameKey": "a placeholder of iCloud",
    b"[InternetShortcut]\r\nURL=": "a shortcut",
    b"%PDF-1.4": "a PDF document",
    b"CWS\x0a": "a Flash file (SWF)",
    b"ID3\4\0": "sound",
    b"OggS\0\2".ljust(28, b"\0") + b"OpusHead": "sound",
    b"OggS\0\2".ljust(28, b"\0") + b"\x80theora": "an Ogg video",
    b"FLV\x01\x01\0\0\0\t": "a Flash video (FLV)",
    b"0&\xb2u\x8ef\xcf\x11\xa6\xd9": "a Windows Media video (WMV, ASF)",
    b"\0\0\0\x0cJXL \r\n": "a JPEG XL picture",
    b"II*\0\x10\0\0\0CR\2\0": "a raw photo of a camera",
}
PLAIN = np.zeros((18, 24), np.uint8)


def refused(data) -> ClipError:
    with pytest.raises(ClipError) as error:
        decode_clip(data, SPEC)
    return error.value


def saved(picture: Image.Image, form: str, **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def printed_by(code: str) -> str:
    """What a new process prints that runs the code; its memory is its own."""
    path = [str(Path(__file__).parent), *sys.path]
    code = f"import sys; sys.path[:] = {path!r}\n{code}"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout


def moving(count: int = 6) -> list[Image.Image]:
    """Pictures 48 x 36 that differ in all but little noise."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (count, 3, 4, 3), np.uint8)
    return [Image.fromarray(p).resize((48, 36), Image.Resampling.NEAREST) for p in small]


def test_samples_are_the_middles_of_even_slices():
    # By hand: 1 s in four slices, whose middles are 0.125, 0.375, 0.625 and 0.875 s.
    numbers, seconds = sample_times([0.1, 0.5, 0.1, 0.3], 4)
    assert numbers.tolist() == [1, 1, 2, 3]
    np.testing.assert_allclose(seconds, [0.125, 0.375, 0.625, 0.875])
    assert sample_times([2.0], 3)[0].tolist() == [0, 0, 0]
    # Moments on the edge of two frames, which sums of tenths may miss by a hair.
    assert sample_times([0.1] * 8, 4)[0].tolist() == [1, 3, 5, 7]


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_frames_and_seconds_of_every_animated_picture(form):
    pictures = moving()
    delays = [40, 100, 250, 30, 90, 90]
    options = {"lossless": True} if form == "WEBP" else {}
    options |= {"save_all": True, "append_images": pictures[1:], "duration": delays, "loop": 0}
    data = saved(pictures[0], form, **options)
    frames = list(iter_frames(data))
    assert [round(1000 * seconds) for _, seconds in frames] == delays
    for (frame, _), picture in zip(frames, pictures, strict=True):
        np.testing.assert_array_equal(frame, np.asarray(picture))
    clip = decode_clip(data, SPEC)
    # 600 ms, sampled at 75, 225, 375 and 525.
    np.testing.assert_allclose(clip.seconds, [0.075, 0.225, 0.375, 0.525])
    for sample, number in zip(clip.frames, (1, 2, 2, 5), strict=True):
        area = np.asarray(pictures[number]).reshape(9, 4, 12, 4, 3).mean((1, 3))
        assert np.abs(sample - area).max() <= 0.5 + 1e-9


def test_an_array_is_a_clip_too():
    frames = np.stack([np.asarray(picture) for picture in moving(8)])
    clip = decode_clip(frames, SPEC)
    np.testing.assert_allclose(clip.seconds, [0.1, 0.3, 0.5, 0.7])
    area = frames[[1, 3, 5, 7]].reshape(4, 9, 4, 12, 4, 3).mean((2, 4))
    assert np.abs(clip.frames - area).max() <= 0.5 + 1e-9
    for bad in (frames[0], frames.astype(float), frames[..., :2], frames[:0]):
        assert "frames (H, W, 3)" in refused(bad).message
    assert refused(frames[:1]).kind == "still"
    # Nobody has removed what the caller made.
    assert decode_clip(np.zeros_like(frames), SPEC).frames.max() == 0


@pytest.mark.parametrize(
    ("data", "kind", "says"),
    [
        (b"some words, no clip at all", "not-a-clip", "26 bytes that begin with b'some words, '"),
        *((data, "not-a-clip", f"Received: {said};") for data, said in OTHERS.items()),
        (b"GIF89a", "corrupt", "cut off"),
        (CLIPS["no-frames"], "corrupt", "none"),
        (CLIPS["one-frame"], "still", "single picture"),
        (CLIPS["apng-one-frame"], "still", "single picture"),
        (CLIPS["webp-one-frame"], "still", "single picture"),
        (CLIPS["short-data-first"], "corrupt", "not enough image data in frame 1"),
        (CLIPS["short-data"], "corrupt", "not enough image data in frame 2"),
        (CLIPS["lzw-one-bit"], "corrupt", "frame 1"),
        # What is left of it is one tone, and yet no placeholder.
        (gif(image(PLAIN), control() + image(PLAIN, empty=True)), "corrupt", "frame 2"),
        (b"\x1a\x45\xdf\xa3 webm, they say", "corrupt", "expected a whole video"),
    ],
)
def test_what_is_no_clip_is_refused_with_a_reason(data, kind, says):
    error = refused(data)
    assert error.kind == kind and says in error.message


@pytest.mark.parametrize("marker", [b"", b"\0\0\x30\x0a\x10\0\0\0MotionPhoto_Data"])
def test_the_video_in_a_motion_photo_is_the_clip(marker):
    photo = saved(Image.linear_gradient("L"), "JPEG") + marker + video("mp4-h264") + b"SEFH"
    clip, alone = decode_clip(photo, SPEC), decode_clip(video("mp4-h264"), SPEC)
    np.testing.assert_array_equal(clip.frames, alone.frames)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP", "WEBP", "GIF"])
def test_a_still_is_one_frame_and_no_clip(form):
    data = saved(Image.linear_gradient("L"), form)
    [(frame, seconds)] = iter_frames(data)
    assert frame.shape == (256, 256, 3) and seconds == 0.1
    assert np.abs(frame[:, 0, 0].astype(int) - np.arange(256)).max() < 8
    assert refused(data).kind == "still"


def test_a_jpeg_lies_as_its_camera_was_held():
    picture, exif = Image.linear_gradient("L").resize((20, 30)), Image.Exif()
    exif[0x0112] = 6  # Turned a quarter to the left: the first row is the right edge.
    [(frame, _)] = iter_frames(saved(picture, "JPEG", exif=exif))
    assert frame.shape == (20, 30, 3) and frame[0, -1, 0] < 20 < 200 < frame[0, 0, 0]


def test_what_comes_before_a_fault_counts():
    pictures = [pattern(n, 24, 18) for n in range(8)]
    frames = [control(5, 1, 7) + image(picture) for picture in pictures]
    whole, bad = gif(*frames[:3]), control(5, 1, 7) + image(pictures[3], empty=True)
    wanted = decode_clip(whole, SPEC)
    for data in (gif(*frames[:3], bad, *frames[4:]), gif(*frames[:4], trailer=b"")[:-20]):
        clip = decode_clip(data, SPEC)
        np.testing.assert_array_equal(clip.frames, wanted.frames)
        np.testing.assert_array_equal(clip.seconds, wanted.seconds)
        shown = []
        with pytest.raises(ClipError, match="corrupt"):
            for frame in iter_frames(data):
                shown.append(frame)
        assert len(shown) == 3


def big_gif(frames: int, size: tuple[int, int], box: tuple[int, int], before=b"") -> bytes:
    """A GIF whose frames state another size than their one pixel's."""
    block = bytearray(image(np.zeros((1, 1), np.uint8)))
    block[5:9] = np.array(box, "<u2").tobytes()
    return gif(*[before + bytes(block)] * frames, head=screen(size))


def sized(data: bytes, at: int, width: int, height: int, form: str) -> bytes:
    """The bytes with another width and height written over those at `at`."""
    sides = np.array([width, height], form).tobytes()
    return data[:at] + sides + data[at + len(sides) :]


def bombs() -> dict[str, bytes]:
    """Few bytes that promise more than any limit."""
    bmp, png = (saved(Image.new("RGB", (8, 8)), form) for form in ("BMP", "PNG"))
    jpeg = saved(Image.new("RGB", (8, 8)), "JPEG")
    motion = video("avi-mjpeg", frames=2)
    at, inside = jpeg.index(b"\xff\xc0") + 5, motion.index(b"\xff\xc0") + 5
    webp = CLIPS["webp-opaque"]
    return {
        "gif-canvas": big_gif(2, (65535, 65535), (1, 1)),
        "gif-frame": big_gif(2, (9, 9), (65535, 65535)),
        "gif-later-frame": gif(image(pattern(0, 9, 9)), big_gif(1, (9, 9), (65535, 300))[37:]),
        "gif-frames": big_gif(problems.MAX_FRAMES + 1, (1, 1), (1, 1)),
        # Each frame needs those before it, for its first pixel is transparent.
        "gif-in-all": big_gif(80, (2896, 2896), (2896, 2896), control(5, 1, 0)),
        "png": sized(png, 16, 2**31 - 1, 2**31 - 1, ">u4"),
        "apng": sized(CLIPS["apng-opaque"], 16, 60000, 60000, ">u4"),
        "webp": webp[:24] + b"\xff\xff\xff" * 2 + webp[30:],
        "bmp": sized(bmp, 18, 60000, 60000, "<u4"),
        "jpeg": sized(jpeg, at, 65000, 65000, ">u2"),
        "avi": sized(motion, inside, 65000, 65000, ">u2"),
    }


def test_a_large_screen_recording_is_decoded_by_what_changes():
    # 400 frames of full HD are 830 million pixels, but all the little boxes only a few thousand.
    whole = control(5) + image(np.zeros((1080, 1920), np.uint8))
    boxes = [control(5) + image(np.full((4, 4), 5, np.uint8), (4 * n, 8)) for n in range(400)]
    data = gif(whole, *boxes, head=screen((1920, 1080)))
    clip = decode_clip(data, ClipSpec(frames=4, height=270, width=480))
    assert clip.original.frames == 401
    # Of 401, a sample at 1/8 is of number 50, whose boxes reach over 200 pixels, or 50 of these.
    drawn = (clip.frames[:, 2] == PALETTE[5]).all(axis=-1).sum(axis=-1)
    assert drawn.tolist() == [50, 150, 250, 350]


def test_bombs_are_refused_without_time_and_memory():
    code = """
import time, test_decode as t
from fuzz_clips import forget_peak, peak_megabytes
bombs = t.bombs()
t.refused(b"GIF89a")
for name, data in bombs.items():
    forget_peak()
    start = time.process_time()
    error = t.refused(data)
    seconds = time.process_time() - start
    print(name, error.kind, seconds, peak_megabytes(), "first" in error.message)
"""
    rows = [line.split() for line in printed_by(code).splitlines()]
    assert len(rows) == len(bombs())
    for name, kind, seconds, megabytes, advised in rows:
        # FFmpeg knows a frame's size when it decodes it, and calls one that is too big broken.
        assert kind == ("corrupt" if name == "avi" else "too-big"), name
        assert float(seconds) < 1 and int(megabytes) < 200, name
        assert advised == "True" or name in ("avi", "bmp", "jpeg"), name


def test_a_png_that_unpacks_to_more_than_it_is_gives_its_picture_alone():
    png = saved(Image.linear_gradient("L"), "PNG")
    at = png.index(b"IDAT") - 4
    body = zlib.compress(bytes(2**26))
    chunk = struct.pack(">I", len(body)) + b"IDAT" + body
    data = png[:at] + chunk + struct.pack(">I", zlib.crc32(b"IDAT" + body)) + png[-12:]
    [(frame, _)] = iter_frames(data)
    assert frame.shape == (256, 256, 3) and frame.max() == 0


def test_files_over_the_limit_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(problems, "MAX_BYTES", 1000)
    monkeypatch.setattr(files, "MAX_BYTES", 1000)
    data = saved(Image.effect_noise((64, 64), 50), "PNG")
    assert refused(data).kind == "too-big"
    (tmp_path / "clip.png").write_bytes(data)
    with pytest.raises(ClipError, match="at most 1,000 bytes"):
        read_clip(tmp_path / "clip.png")


def test_a_long_clip_takes_no_more_memory_than_a_short_one():
    code = """
import numpy as np
from fuzz_clips import forget_peak, peak_megabytes
from helpers.gif_writer import OTHER, control, gif, image, pattern, screen
from v2t_lib.clips.decode import decode_clip
from v2t_lib.specs import ClipSpec
big = pattern(0, 500, 400)
parts = [control(5, 1, 7) + image(big), control(5, 3, 2) + image(big[::-1], palette=OTHER)]
for count in (8, 300):
    data = gif(*parts * (count // 2), head=screen((500, 400)))
    decode_clip(gif(*parts, head=screen((500, 400))), ClipSpec(1))
    forget_peak()
    before = peak_megabytes()
    decode_clip(data, ClipSpec(16))
    print(peak_megabytes() - before)
"""
    short, long = map(int, printed_by(code).split())
    # T + 3 source frames are 11 MB.
    assert long <= 11 and long <= short + 2


@pytest.mark.shared
def test_real_clips_decode(shared_data):
    spec = ClipSpec()
    for path in sorted((shared_data / "clips").iterdir()):
        clip = decode_clip(path.read_bytes(), spec)
        assert clip.frames.shape == spec.shape and (np.diff(clip.seconds) > 0).all()
        assert len({frame.tobytes() for frame in clip.frames}) > 10
