import base64
import dataclasses
import io
import json
import re

import numpy as np
import pytest
from helpers.captions import claim, example
from PIL import Image

import v2t_lib as v2t
from v2t_lib.views.inspector import fragment, save_page


def clips_in(text):
    return json.loads(re.search(r"const clips = (.*);\n", text).group(1))


def test_the_page_holds_all_it_shows_and_nothing_outside(tmp_path):
    caption = example()
    save_page(
        tmp_path / "page.html", [caption, caption], truths=["a truth", ""], summary="97% <right>"
    )
    text = (tmp_path / "page.html").read_text()
    assert not re.search(r"""(src|href)\s*=\s*["']?http|@import|fetch\(|import\(""", text)
    assert "97% &lt;right&gt;" in text and text.count("</script>") == 1
    assert not re.search(r"\$(ID|CLIPS|OPACITY|TITLE|ABOVE|INSPECTOR)\b", text)
    clips = clips_in(text)
    assert len(clips) == 2
    clip = clips[0]
    assert clip["words"] == list(caption.words) and clip["probs"] == [0.9, 0.6, 0.3]
    assert clip["grid"] == [2, 2, 2] and clip["frames"] == [4, 20, 20]
    assert clip["truth"] == "a truth" and clip["step"] == pytest.approx(0.2)
    assert clip["runners"][0] == [["blue", 0.05], ["<end>", 0.01]]
    assert clip["nowhere"] == [False, False, True] and clip["evidence"] in (0, 1)
    heat = np.frombuffer(base64.b64decode(clip["heat"]), np.uint8).reshape(3, 8)
    np.testing.assert_array_equal(heat, [np.eye(8)[0] * 255, np.eye(8)[1] * 255, [255] * 8])
    np.testing.assert_allclose(clip["peaks"], [1, 1, 1 / 8])
    strip = Image.open(io.BytesIO(base64.b64decode(clip["strip"].split(",")[1])))
    assert strip.size == (20, 80)


def test_two_fragments_on_one_page_have_their_own_ids():
    first, second = (re.search(r'id="(v2t-\w+)"', fragment([example()])).group(1) for _ in "ab")
    assert first != second


def test_a_caption_without_words_has_a_page():
    (clip,) = clips_in(fragment([example(words=())]))
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
    assert len(fragment([caption])) < 400_000


def shown(monkeypatch, *captions, **options):
    """What `v2t.inspect` displays: PNGs as bytes, then HTML."""
    import IPython.display

    parts = []
    monkeypatch.setattr(IPython.display, "display", lambda part, raw=False: parts.append(part))
    v2t.inspect(*captions, **options)
    return [
        base64.b64decode(part["image/png"]) if isinstance(part, dict) else part.data
        for part in parts
    ]


def test_inspect_shows_a_sheet_for_readers_then_the_inspector(monkeypatch):
    sheet, page = shown(monkeypatch, example(), names=["mine"])
    assert sheet == example().sheet()
    assert clips_in(page)[0]["name"] == "mine"
    first, second, page = shown(monkeypatch, example(), example(("one",)))
    assert first != second and [clip["words"] for clip in clips_in(page)][1] == ["one"]


def test_claims_are_cards_with_marks_and_verdict():
    found = claim({"a": 0.1, "red": 2.0, "$ID </script>": -3.0}, unlike_training=True)
    text = fragment([found, example()], ["one", "two"])
    assert text.count("</script>") == 1
    first, second = clips_in(text)
    assert first["claim"] == found.to_dict() and first["unlike"] and first["evidence"] == 2
    assert [mark["sign"] for mark in first["marks"]] == ["", "+", "−"] and first["chosen"] == 2
    assert first["headline"] == "Can't tell: the clip is unlike the training data."
    assert "claim" not in second and not second["unlike"]


def test_a_caption_of_an_unlike_clip_says_so():
    (clip,) = clips_in(fragment([dataclasses.replace(example(), unlike_training=True)]))
    assert clip["unlike"]


def test_a_claim_without_its_caption_is_refused():
    with pytest.raises(ValueError, match=r"as Captioner.verify gives it. Received: one without"):
        fragment([claim({"red": 1.0}, caption=None)])
