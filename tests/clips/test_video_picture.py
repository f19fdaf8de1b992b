import io

import av
import numpy as np
import pytest
from helpers.video_corpus import SIDE, drawn_frame, encode, video, with_display_matrix
from PIL import Image, features

from v2t_lib.clips.decode import iter_frames

PQ, HLG = 16, 18
#: Context attributes of video in BT.2020 colours.
WIDE = {"color_primaries": 9, "colorspace": 9, "color_range": 1}


def first_frame(data: bytes) -> np.ndarray:
    return next(iter_frames(data))[0].astype(int)


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
        frame = first_frame(video(name, frames=2, size=size, **options))
        square = frame[size[1] // 2, SIDE // 2]
        assert np.abs(square - wanted[reading]).max() <= 4, (name, size, matrix, square)


def test_full_range_levels_are_read_as_such():
    picture = av.VideoFrame(64, 64, "yuv420p")
    for plane, level in zip(picture.planes, (250, 128, 128), strict=True):
        plane.update(bytes([level]) * plane.buffer_size)
    for color_range, grey in ((1, 255), (2, 250)):
        data = encode("mp4", "libx264", "yuv420p", [picture], color_range=color_range)
        assert np.abs(first_frame(data) - grey).max() <= 1


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((1, 0, 0, 1), lambda p: p),
        ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),  # A quarter clockwise: the left edge is up.
        ((-1, 0, 0, -1), lambda p: np.rot90(p, 2)),
        ((0, -1, 1, 0), lambda p: np.rot90(p, 1)),
        ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
        ((1, 0, 0, -1), lambda p: p[::-1]),
        ((0, 1, 1, 0), lambda p: p.transpose(1, 0, 2)),
        ((0, -1, -1, 0), lambda p: p[::-1, ::-1].transpose(1, 0, 2)),
    ],
)
def test_a_turned_or_mirrored_phone_gives_upright_frames(matrix, shown):
    frames = [frame for frame, _ in iter_frames(with_display_matrix(video("mp4-h264"), *matrix))]
    for number in (0, 11):
        wanted = shown(drawn_frame(number))
        assert frames[number].shape == wanted.shape
        assert np.abs(frames[number].astype(int) - wanted).mean() < 2


def see_through(number: int) -> np.ndarray:
    """A drawn frame, transparent in its left third and half transparent in its right one."""
    picture = np.dstack([drawn_frame(number), np.full((64, 96), 255, np.uint8)])
    picture[:, :32, 3], picture[:, 64:, 3] = 0, 128
    return picture


def check_over_white(data: bytes) -> None:
    frames = [frame.astype(float) for frame, _ in iter_frames(data)]
    assert len(frames) == 4
    for number, frame in enumerate(frames):
        picture = see_through(number).astype(float)
        alpha = picture[..., 3:] / 255
        wanted = picture[..., :3] * alpha + 255 * (1 - alpha)
        for columns in (slice(2, 30), slice(34, 62), slice(66, 94)):
            assert np.abs(frame - wanted)[:, columns].mean() < 5, (number, columns)


@pytest.mark.parametrize(
    ("container", "codec", "pixels"),
    [
        ("webm", "libvpx", "yuva420p"),
        ("webm", "libvpx-vp9", "yuva420p"),
        ("mov", "prores_ks", "yuva444p10le"),
        ("mov", "qtrle", "argb"),
        ("mov", "png", "rgba"),
        ("matroska", "ffv1", "bgra"),
    ],
)
def test_transparent_video_lies_over_white(container, codec, pixels):
    options = {"auto-alt-ref": "0"} if codec.startswith("libvpx") else {}
    pictures = [see_through(number) for number in range(4)]
    check_over_white(encode(container, codec, pixels, pictures, options=options, gop_size=2))


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow writes no AVIF")
def test_transparent_avif_lies_over_white():
    pictures, file = [Image.fromarray(see_through(number)) for number in range(4)], io.BytesIO()
    pictures[0].save(file, "AVIF", save_all=True, append_images=pictures[1:], quality=95)
    check_over_white(file.getvalue())


def test_uncompressed_avi_is_opaque():
    # Its fourth byte a pixel is unused, and often 0.
    pictures = [np.dstack([drawn_frame(n), np.zeros((64, 96), np.uint8)]) for n in range(2)]
    frame = first_frame(encode("avi", "rawvideo", "bgra", pictures))
    np.testing.assert_array_equal(frame, drawn_frame(0))


def ten_bit(colours: list) -> av.VideoFrame:
    """A frame of 64 x 64 squares in these R'G'B' of 0 to 1, as limited-range BT.2020 YCbCr."""
    red, green, blue = np.array(colours).repeat(64, axis=0).T
    luma = 0.2627 * red + 0.6780 * green + 0.0593 * blue
    rows = 876 * luma + 64, 896 * (blue - luma) / 1.8814 + 512, 896 * (red - luma) / 1.4746 + 512
    planes = [np.tile(np.round(row).astype("<u2"), (64, 1)) for row in rows]
    frame = av.VideoFrame(64 * len(colours), 64, "yuv444p10le")
    for plane, values in zip(frame.planes, planes, strict=True):
        line = np.zeros((64, plane.line_size // 2), "<u2")
        line[:, : values.shape[1]] = values
        plane.update(line.tobytes())
    return frame


@pytest.mark.parametrize(
    ("transfer", "white", "red", "level"),
    [
        # In PQ, 58% is 203 cd/m2, and BT.709's red of that brightness is 127.36, 14.03 and 3.33 of
        # BT.2020's primaries: 53.25%, 32.70% and 22.01%.
        (PQ, 0.58, (0.5325, 0.3270, 0.2201), 188),
        # In HLG, 75% is 203 cd/m2; that red has a luminance of 43.17, so the scene's light is
        # (0.12736, 0.01403, 0.00333) / 0.04317 ** (1 / 6): 70.85%, 26.66% and 12.99%.
        (HLG, 0.75, (0.7085, 0.2666, 0.1299), 188),
        # SDR, which Chromium shows by sRGB's curve: light of 0.6274, 0.0691 and 0.0164.
        (14, 1.0, (0.8126, 0.2913, 0.1338), 255),
    ],
)
@pytest.mark.parametrize(
    ("container", "codec"), [("mp4", "libx265"), ("mov", "libx264"), ("matroska", "ffv1")]
)
def test_white_and_red_of_wide_video(container, codec, transfer, white, red, level):
    """Diffuse white of HDR has half the light of the screen's, 188 in sRGB, as in Chromium."""
    colours = [(0, 0, 0), (white, white, white), red]
    frames = [ten_bit(colours) for _ in range(4)]  # Of one alone, x265 writes no valid times.
    exact = {"libx265": {"x265-params": "log-level=none:qp=1"}, "libx264": {"qp": "0"}}
    options = {"options": exact.get(codec), "color_trc": transfer} | WIDE
    shown = first_frame(encode(container, codec, "yuv444p10le", frames, **options))
    for place, wanted in enumerate(([0, 0, 0], [level] * 3, [level, 0, 0])):
        assert np.abs(shown[32, 64 * place + 32] - wanted).max() <= 3, (place, shown[32, ::64])
