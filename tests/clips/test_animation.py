import numpy as np
import pytest
from helpers.clips import GOLDENS as FILE
from helpers.clips import corpus
from helpers.gif_writer import PALETTE, control, gif, image, random_gif

from v2t_lib.clips.animation import Animation
from v2t_lib.clips.decode import read_animation
from v2t_lib.clips.problems import FrameError, sniff
from v2t_lib.errors import ClipError

GOLDENS = np.load(FILE)
#: Levels by which see-through pixels over others may differ: Chromium rounds them otherwise.
TOLERANCE = {
    "apng-dispose-0-blend-1": 1,
    "webp-dispose-0-over-1": 2,
    "webp-first-smaller": 2,
    "webp-lossy-alpha-some": 2,
}
#: What Chromium shows and this library refuses: LZW that begins with one bit, against GIF89a.
REFUSED = {"lzw-one-bit"}
CLIPS = corpus()


def shown(data: bytes) -> tuple[list[np.ndarray], list[int]]:
    """Frames and delays in milliseconds, up to the first fault."""
    frames = []
    try:
        animation = read_animation(sniff(data), data)
        for picture in animation.render(range(len(animation.subframes))):
            frames.append(np.asarray(picture))
    except ClipError:
        return [], []
    except FrameError as error:
        assert error.number == len(frames)
    return frames, [subframe.milliseconds for subframe in animation.subframes[: len(frames)]]


@pytest.mark.parametrize("name", [name for name in CLIPS if name not in REFUSED])
def test_frames_are_what_chromium_shows(name):
    frames, delays = shown(CLIPS[name])
    wanted = GOLDENS[name]
    assert len(frames) == len(wanted)
    for number, (frame, golden) in enumerate(zip(frames, wanted, strict=True)):
        difference = np.abs(frame.astype(int) - golden)
        assert frame.shape == golden.shape, f"frame {number}"
        assert difference.max() <= TOLERANCE.get(name, 0), f"frame {number}"
    if len(frames) > 1:
        assert delays == GOLDENS[f"{name}/ms"].tolist()


def test_hasty_delays_become_a_tenth_of_a_second():
    animation = read_animation("gif", CLIPS["delays"])
    assert animation.durations == [0.1, 0.1, 0.02, 0.03, 0.09, 0.1, 0.11, 5.0, 655.35]


def test_the_quick_way_shows_what_the_faithful_one_does(monkeypatch):
    clips = [random_gif(seed) for seed in range(400)]
    quick = [read_animation("gif", data) for data in clips]
    assert 100 < sum(animation.indexed() is not None for animation in quick) < 300
    ways = [[np.asarray(p) for p in a.render(range(len(a.subframes)))] for a in quick]
    monkeypatch.setattr(Animation, "indexed", lambda self: None)
    for animation, frames in zip(quick, ways, strict=True):
        for one, other in zip(frames, animation.render(range(len(frames))), strict=True):
            np.testing.assert_array_equal(one, np.asarray(other))


def test_some_frames_are_those_of_all():
    rng = np.random.default_rng(1)
    for seed in range(200):
        animation = read_animation("gif", random_gif(seed))
        count = len(animation.subframes)
        every = [np.asarray(picture) for picture in animation.render(range(count))]
        some = sorted(rng.choice(count, rng.integers(1, count + 1), replace=False).tolist())
        for number, picture in zip(some, animation.render(some), strict=True):
            np.testing.assert_array_equal(every[number], np.asarray(picture))


def test_frames_that_leave_no_trace_are_not_decoded():
    whole = np.zeros((18, 24), np.uint8)
    broken = control(5) + image(whole, empty=True)
    data = gif(control(5) + image(whole), broken, broken, control(5) + image(whole + 1))
    last = list(read_animation("gif", data).render([0, 3]))[-1]
    np.testing.assert_array_equal(np.asarray(last), np.broadcast_to(PALETTE[1], (18, 24, 3)))
    with pytest.raises(FrameError):
        list(read_animation("gif", data).render([0, 2]))
