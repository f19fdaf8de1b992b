import re

import pytest

from v2t_lib.text.checks import problems, warn, without_spaces
from v2t_lib.text.vocabulary import cut

FINE = ["a dog runs", "two cats sleep on a red sofa"]  # 3 words and END, 7 words and END
CHINESE = ["一只狗在公园里跑。", "男孩在踢足球", "两只红色的猫在睡觉"]
JAPANESE = ["男の子がサッカーをしています。", "猫がソファーで寝ている"]
THAI = ["ชายคนหนึ่งกำลังวิ่งในสวน", "แมวสองตัวนอนบนเตียง"]


@pytest.mark.parametrize("captions", [CHINESE, JAPANESE, THAI, [*CHINESE, "a dog"], ["小狗奔跑"]])
def test_captions_without_spaces_are_noticed(captions):
    assert without_spaces(captions)


@pytest.mark.parametrize(
    "captions",
    [
        [],
        ["a dog runs", "two cats"],
        ["남자가 공원에서 달린다", "कुत्ता दौड़ रहा है", "رجل يركض"],
        ["一只 狗 在 公园 里 跑", "男孩 在 踢 足球"],
        ["男の子 が サッカー を し て い ます"],
        ["ชาย คน หนึ่ง กำลัง วิ่ง ใน สวน"],
        ["a man writes 北京大学 on a wall and then walks away from it"],
        ["donaudampfschifffahrtsgesellschaft", "https://example.org/a"],
        [cut(text) for text in (*CHINESE, *THAI)],
    ],
)
def test_captions_with_spaces_and_segmented_ones_pass(captions):
    assert not without_spaces(captions)


@pytest.mark.parametrize(
    ("captions", "length", "said"),
    [
        (FINE, 8, None),
        (FINE, None, None),
        ([], 8, None),
        (FINE, 7, "1 of 2 captions have more than 6 words and lose those after; --length 8 keeps"),
        (FINE, 3, "2 of 2 captions have more than 2 words"),
        (["a b c"] * 99 + ["a b c d e f"], 4, "1 of 100 .*; --length 4 keeps 99% whole"),
        (["a b c"] * 99 + ["a b c d e f", "a b c d e"], 4, "2 of 101 .*; --length 6 keeps"),
        (["a dog", "\U0001f600", "\u2764\ufe0f !"], 20, "2 of 3 captions have no word at all"),
        (CHINESE, 20, "no spaces between words"),
    ],
)
def test_problems_are_said_in_words_on_stderr(captions, length, said, capsys):
    warn(captions, length)
    out, err = capsys.readouterr()
    assert out == "" and len(problems(captions, length)) == (said is not None)
    assert re.match(f"warning: .*{said}.*\n$", err) if said else err == ""
