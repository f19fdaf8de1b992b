"""Every page: it holds all that it shows, and nothing of a user's is taken for HTML or a script."""

import dataclasses
import html
import json
import re

import pytest
from helpers import tiny
from helpers.captions import claim, example
from helpers.pages import Parsed, in_the_frame

from v2t_lib.clips.decode import Clip
from v2t_lib.search import Match
from v2t_lib.shards.format import Verdict
from v2t_lib.views.evidence_page import save_evidence_page
from v2t_lib.views.gallery import clip_picture, save_found
from v2t_lib.views.inspector import cards, in_frame, save_page
from v2t_lib.views.pages import framed, rendered
from v2t_lib.views.review import Review

NASTY = """<bad>"'&</script></textarea></style><script>alert(1)</script>{{ 7 * 7 }}\u2028"""


def nasty(**changes):
    return dataclasses.replace(example(("red", NASTY)), **changes)


def inspector(path):
    save_page(path, [nasty(), claim({NASTY: -3.0})], [NASTY, ""], [NASTY, ""])


def evidence(path):
    claims = [claim({"red": 1.0, NASTY: -3.0}, "refuted", 0.02, source=NASTY, sentence=NASTY)]
    save_evidence_page(path, claims, tiny.captioner(), NASTY)


def review(path):
    made = Review(tiny.captioner(), hedge=NASTY, place=NASTY)
    made.add("a.gif", f"{NASTY}.gif".replace("\u2028", ""), nasty(unlike_training=True))
    made.add_error(NASTY, NASTY)
    made.write_page(path)


def found(path):
    judged = claim({NASTY: -2.0}, "refuted", 0.1)
    match = Match(NASTY, -0.4, 0, 0.1, verification=judged, near_duplicates=(NASTY,))
    caption = example()
    save_found(path, NASTY, [match], [Clip(caption.frames, caption.seconds, None)])


def panel(path):
    path.write_text(in_the_frame(in_frame(cards([nasty()], [NASTY]))), encoding="utf-8")


def dataset(path):
    picture = clip_picture(example().frames, example().seconds, 0)
    entry = Verdict(NASTY, NASTY, "gone", why=NASTY, captions=(NASTY,) * 7)
    shown = [(entry, picture), (entry, None)]
    page = in_the_frame(framed("dataset.html", title="", cards=shown, most=5))
    path.write_text(page, encoding="utf-8")


def training(path):
    values = {"captions": [(NASTY, NASTY)], "word": NASTY, "sentence": NASTY, "attention": "data:"}
    path.write_text(rendered("training.html", epoch=1, **values), encoding="utf-8")


PAGES = (inspector, evidence, review, found, panel, dataset, training)


@pytest.mark.parametrize("write", PAGES, ids=[page.__name__ for page in PAGES])
def test_nothing_of_a_users_is_taken_for_html_or_a_script(write, tmp_path):
    write(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    page = Parsed(text)
    assert not page.all("bad") and "49" not in re.sub('base64,[^"]*', "", page.text)
    assert all("alert(1)</script>" not in script for script in page.scripts)
    assert text.count("<script>alert") == 0
    # It is shown, as text or by the page's script.
    said = [page.text, *page.scripts, *(str(a) for _, a in page.elements)]
    assert any("alert(1)" in one for one in said)
    assert not re.search(r"""(src|href)\s*=\s*["']?(http|//)|@import|fetch\(|import\(""", text)


def test_what_a_script_reads_is_what_was_given(tmp_path):
    inspector(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    first, second = json.loads(re.search(r"const clips = (.*);\n", text).group(1))
    assert first["words"] == ["red", NASTY] and first["name"] == first["truth"] == NASTY
    assert second["marks"][0]["word"] == NASTY


def test_names_that_are_no_utf_8_have_a_page(tmp_path):
    save_page(tmp_path / "page.html", [example()], ["a\udcff.gif"])
    assert '"a\\udcff.gif"' in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_frame_holds_a_whole_page_of_its_own():
    page = in_the_frame(in_frame(cards([example()], ["one"])))
    assert page.startswith("<!doctype html>") and '"name": "one"' in page
    assert "<h1>" not in page and html.unescape(page).count("<iframe") == 0
