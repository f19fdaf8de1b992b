import pytest

from v2t_lib.text.checks import problems, truncation, warn, without_spaces
from v2t_lib.text.vocabulary import cut

FINE = ["a dog runs", "two cats sleep on a red sofa"]


@pytest.mark.parametrize(
    ("length", "cut", "enough"), [(8, 0, 8), (7, 1, 8), (4, 1, 8), (3, 2, 8), (1, 2, 8)]
)
def test_truncation_by_hand(length, cut, enough):
    assert truncation(FINE, length) == (cut, enough)  # 3 words and END, 7 words and END


def test_one_caption_in_a_hundred_may_stay_too_long():
    captions = ["a b c"] * 99 + ["a b c d e f"]
    assert truncation(captions, 4) == (1, 4)
    assert truncation([*captions, "a b c d e"], 4) == (2, 6)
    assert truncation([], 4) == (0, 1)


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


def test_ordinary_captions_have_no_problems():
    assert problems(FINE, 20) == problems(FINE) == problems([]) == problems([], 20) == []


@pytest.mark.parametrize(
    ("captions", "length", "said"),
    [
        (["a b c d"] * 3, 3, "3 of 3 captions lose words after the 2nd; --length 5 keeps 99%"),
        ([" ".join("abcdefghijklmnop")], 14, "after the 13th; --length 17 keeps"),
        (["a dog", "\U0001f600", "\u2764\ufe0f !"], 20, "2 of 3 captions have no word at all"),
        (["一只狗在公园里跑"], 20, "no spaces between words"),
    ],
)
def test_problems_are_said_in_words(captions, length, said):
    (problem,) = problems(captions, length)
    assert said in problem


def test_problems_are_printed_to_stderr(capsys):
    warn(FINE, 5)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "warning: 1 of 2 captions lose words after the 4th; --length 8 keeps 99%\n"
