"""Clips on cards, and the page of what a search found."""

import numpy as np
import pytest
from helpers.captions import claim, example
from helpers.pages import Parsed, opened

from v2t_lib.clips.decode import Clip
from v2t_lib.search import Match
from v2t_lib.views.gallery import clip_picture, save_found


@pytest.mark.parametrize(
    ("size", "shown"), [((20, 30), (180, 120)), ((400, 300), (192, 256)), ((96, 96), (192, 192))]
)
def test_a_clip_is_its_frame_and_the_moving_clip(size, shown):
    frames = np.zeros((3, *size, 3), np.uint8)
    frames[1, ..., 0] = 200
    picture = clip_picture(frames, np.array([0.1, 0.3, 0.5]), 1)
    still, moving = opened(picture["still"]), opened(picture["moving"])
    assert still.size == moving.size == shown == (picture["width"], picture["height"])
    assert moving.n_frames == 3
    assert still.convert("RGB").getpixel((50, 50))[0] > 180
    assert moving.convert("RGB").getpixel((50, 50))[0] < 20


def test_found_clips_are_shown_with_their_words(tmp_path):
    lifts = {"red": 1.25, "star": -2.0, "zebra": None}
    found = claim(lifts, "supported", 0.9, unlike_training=True)
    match = Match("a.gif", -0.375, found.frame, 0.4, 0.25, found, ("b.gif",))
    clip = Clip(example().frames, example().seconds, None)
    save_found(tmp_path / "page.html", "a red star", [match], [clip])
    page = Parsed((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert len(page.all("article")) == 1 and not page.all("textarea")
    kinds = [span.get("data-sign", span.get("class")) for span in page.all("span") if span]
    assert kinds == ["+", "−", "?", "mark"]
    notes = [span["title"] for span in page.all("span") if "title" in span]
    assert notes[1] == "7.4 times less likely with the clip; the model expects “blue”"
    for said in ("a red star", "cosine 0.250, best at 0.40 s", "lift -0.38 nats a word",
                 "evidence at 0.40 s", "+1.2", "-2.0", "zebra ?",
                 "supported, probability 0.90", "Nearly the same:b.gif"):  # fmt: skip
        assert said in page.text, said
