import io

import av
import numpy as np
import pytest
from PIL import Image

from v2t_lib.clips.decode import iter_frames
from v2t_lib.models.caption import Caption
from v2t_lib.views.animation import frame_durations, side_by_side, write_gif, write_mp4

#: Squares of one colour each that brighten from frame to frame.
FRAMES = np.full((4, 20, 20, 3), 120, np.uint8)
FRAMES[..., 0] += (10 * np.arange(4, dtype=np.uint8))[:, None, None]


def drawn(words, word, width):
    """Frames of a caption; all weight is on the upper left cell of the first half."""
    weights = np.zeros((len(words), 2, 2, 2), "float32")
    weights[:, 0, 0, 0] = 1.0
    probs, seconds = np.ones(len(words)), np.arange(4) / 5
    caption = Caption(" ".join(words), words, probs, -1.0, weights, FRAMES, seconds)
    return side_by_side(caption, word, width)


@pytest.fixture
def pictures():
    return drawn(("red", "</script>", "red"), 0, 100)


WRITERS = {".gif": write_gif, ".mp4": write_mp4}


@pytest.fixture(params=WRITERS)
def written(request, tmp_path):
    """Writes an animation of a kind and reads it back with the library's own decoder."""

    def write(pictures, durations):
        path = tmp_path / "deep" / f"heat{request.param}"
        WRITERS[request.param](path, pictures, durations)
        assert [found.name for found in path.parent.iterdir()] == [path.name]
        shown, seconds = zip(*iter_frames(path.read_bytes()), strict=True)
        return np.stack(shown).astype(int), np.array(seconds)

    return write


def test_a_frame_lasts_from_halfway_to_its_neighbours():
    np.testing.assert_allclose(frame_durations(np.array([0.1, 0.3, 0.5])), 0.2)
    np.testing.assert_allclose(frame_durations(np.array([0, 0.1, 0.4])), [0.1, 0.2, 0.3])
    np.testing.assert_allclose(frame_durations(np.array([0, 0.001])), 0.02)  # as browsers have it
    np.testing.assert_allclose(frame_durations(np.array([7.0])), 0.2)


def test_clip_and_heat_lie_side_by_side_above_the_caption(pictures):
    assert pictures.shape[::2] == (4, 200) and pictures.shape[1] % 2 == 0
    left, right = pictures[:, :100, :100].astype(int), pictures[:, :100, 100:].astype(int)
    np.testing.assert_array_equal(left[:, ::5, ::5], FRAMES)
    changed = np.abs(left - right).sum(-1)
    assert changed[:2, :40, :40].min() > 40 > 5 > changed[:2, 70:, 70:].max()
    assert not changed[2:].any()  # the second time step has no weight
    below = pictures[0, 100:]
    assert (below < 50).all(-1).any()  # text, in black
    marked = (below == (0xF6, 0xA8, 0)).all(-1)
    assert marked[:, :40].any() and not marked[:, 45:].any()  # behind the first word alone


def test_a_long_caption_goes_on_in_the_next_line():
    words = ("a", "considerably", "longer", "caption", "than", "the", "others")
    taller = drawn(words, 6, 60)
    marked = (taller[0] == (0xF6, 0xA8, 0)).all(-1)
    assert not marked[: 60 + 19].any() and marked[60 + 2 * 19 :].any()


def test_what_is_written_decodes_to_what_was_drawn(written, pictures):
    shown, seconds = written(pictures, np.full(4, 0.2))
    assert shown.shape == pictures.shape
    np.testing.assert_allclose(seconds, 0.2, atol=1e-4)
    assert np.abs(shown - pictures)[:, :100].mean() < 4
    left, right = shown[:, :100, :100], shown[:, :100, 100:]
    changed = np.abs(left - right).sum(-1)
    # H.264 leaves traces of edges.
    assert changed[:2, :30, :30].min() > 80 > 40 > changed[:2, 70:, 70:].max()
    assert changed[2:].max() < 40
    brightness = left[:, 50, 50, 0]
    assert (np.diff(brightness) > 3).all()
    alone, _ = written(pictures[:1], frame_durations(np.array([0.5])))
    assert alone.shape == pictures[:1].shape


def test_the_time_of_a_clip_is_kept_whatever_a_format_rounds(written, pictures):
    """16 frames in 1.1 s: 69 ms a frame, which GIFs can't say."""
    many = pictures[np.arange(16) % 4]
    _, seconds = written(many, np.full(16, 1.1 / 16))
    assert len(seconds) == 16 and seconds.sum() == pytest.approx(1.1, abs=1e-3)
    np.testing.assert_allclose(np.cumsum(seconds), 1.1 / 16 * np.arange(1, 17), atol=0.0051)


def test_uneven_frames_are_held_for_as_long_as_they_last(written, pictures):
    durations = np.array([0.1, 0.5, 0.06, 0.24])
    shown, seconds = written(pictures, durations)
    number = np.abs(shown[:, None, 50, 50] - pictures[None, :, 50, 50]).sum(-1).argmin(1)
    held = np.bincount(number, weights=seconds, minlength=4)
    np.testing.assert_allclose(held, durations, atol=0.021)
    assert (np.diff(number) >= 0).all() and seconds.sum() == pytest.approx(0.9, abs=0.01)


def test_gifs_loop_and_videos_are_of_the_kind_that_every_browser_plays(
    tmp_path, pictures, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    write_gif(tmp_path / "a.gif", pictures, np.full(4, 0.2))
    with Image.open(tmp_path / "a.gif") as picture:
        assert picture.info["loop"] == 0
    write_mp4("a:b 100%d é.MP4", pictures, np.full(4, 0.2))  # any name will do
    data = (tmp_path / "a:b 100%d é.MP4").read_bytes()
    with av.open(io.BytesIO(data)) as container:
        (stream,) = container.streams
        assert container.format.name.startswith("mov,mp4")
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
    assert 0 < data.find(b"moov") < data.find(b"mdat")  # so that it plays before it is all there


@pytest.mark.parametrize(("write", "name"), [(write_gif, "a.mp4"), (write_mp4, "a.gif")])
def test_another_kind_of_file_is_refused(tmp_path, pictures, write, name):
    with pytest.raises(ValueError, match=rf"ends in \.\w+\. Received: .*{name}"):
        write(tmp_path / name, pictures, np.full(4, 0.2))
    assert list(tmp_path.iterdir()) == []
