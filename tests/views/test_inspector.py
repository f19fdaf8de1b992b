import base64
import dataclasses

import numpy as np
import pytest
from helpers.captions import CALIBRATION, claim, example
from helpers.pages import in_the_frame, opened
from PIL import Image

import v2t_lib as v2t
from v2t_lib.views.inspector import cards, in_frame


def test_a_card_has_all_that_the_page_needs():
    caption = example()
    clip, _ = cards([caption, caption], truths=["a truth", ""])
    assert clip["words"] == list(caption.words) and clip["probs"] == [0.9, 0.6, 0.3]
    assert clip["grid"] == [2, 2, 2] and clip["frames"] == [4, 20, 20]
    assert clip["truth"] == "a truth" and clip["step"] == pytest.approx(0.2)
    assert clip["runners"][0] == [["blue", 0.05], ["<end>", 0.01]]
    assert clip["nowhere"] == [False, False, True] and clip["evidence"] in (0, 1)
    heat = np.frombuffer(base64.b64decode(clip["heat"]), np.uint8).reshape(3, 8)
    np.testing.assert_array_equal(heat, [np.eye(8)[0] * 255, np.eye(8)[1] * 255, [255] * 8])
    np.testing.assert_allclose(clip["peaks"], [1, 1, 1 / 8])
    assert opened(clip["strip"]).size == (20, 80)


def test_a_caption_without_words_has_a_page():
    (clip,) = cards([dataclasses.replace(example(words=()), unlike_training=True)])
    assert clip["unlike"]
    assert clip["words"] == [] and clip["chosen"] == -1 and clip["overall"] == [0] * 4


def test_twelve_words_over_sixteen_large_frames_stay_under_400_kb():
    """Coarse noise changes in every frame, more than clips do: real ones came to 200 to 260 KB."""
    caption = example([f"word{n}" for n in range(12)], frames=16, size=224, grid=(4, 7, 7))
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (16, 20, 20, 3), np.uint8)
    caption.frames[:] = [
        np.asarray(Image.fromarray(frame).resize((224, 224), Image.Resampling.BICUBIC))
        for frame in coarse
    ]
    assert len(in_frame(cards([caption]))) < 400_000


def test_inspect_shows_a_sheet_for_readers_then_the_inspector(monkeypatch):
    import IPython.display

    shown = []
    monkeypatch.setattr(IPython.display, "display", lambda part, raw: shown.append(part))
    v2t.inspect(example(), claim({"red": 1.0}), names=["mine", "a claim"])
    first, second, page = shown
    assert base64.b64decode(first["image/png"]) == example().sheet()
    assert second["image/png"] != first["image/png"] and "image/png" not in page
    inside = in_the_frame(page["text/html"])
    assert '"name": "mine"' in inside and '"name": "a claim"' in inside


def test_claims_are_cards_with_marks_and_verdict():
    found = claim({"a": 0.1, "red": 2.0, "star": -3.0}, "refuted", 0.05, unlike_training=True)
    first, second = cards([found, example()], ["one", "two"], calibration=CALIBRATION)
    assert first["unlike"] and first["evidence"] == 2
    assert [mark["sign"] for mark in first["marks"]] == ["", "+", "−"] and first["chosen"] == 2
    assert first["headline"] == "Refuted by the clip." and "100% were false" in first["certainty"]
    assert second["marks"] is None and second["unlike"] is False and "headline" not in second
    (without,) = cards([found])
    assert without["certainty"] == ""


def test_a_claim_without_its_caption_is_refused():
    with pytest.raises(ValueError, match=r"Captioner\.verify gives it\. Received"):
        cards([claim({"red": 1.0}, caption=None)])
