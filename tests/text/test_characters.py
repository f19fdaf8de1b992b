import doctest

import pytest

from v2t_lib.text import characters
from v2t_lib.text.characters import cut, join
from v2t_lib.text.checks import without_spaces
from v2t_lib.text.ptb_tokenizer import words
from v2t_lib.text.vocabulary import Vocabulary, tokenise

CHINESE = ["一只狗在公园里跑。", "男孩在踢足球", "两只红色的猫在睡觉"]
JAPANESE = ["男の子がサッカーをしています。", "猫がソファーで寝ている"]
THAI = ["ชายคนหนึ่งกำลังวิ่งในสวน", "แมวสองตัวนอนบนเตียง"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("一只red dog在跑。", "一 只 red dog 在 跑"),
        ("サッカーｶﾞ", "サ ッ カ ー ガ"),
        ("ที่นี่ 2 คน", "ที่ นี่ 2 ค น"),
        ("ກິນເຂົ້າ", "ກິ ນ ເ ຂົ້ າ"),
        ("\U00020000人", "\U00020000 人"),
        ("남자가 달린다, नमस्ते", "남자가 달린다 नमस्ते"),
        ("a dog's t-shirt", "a dog's t-shirt"),
        ("", ""),
    ],
)
def test_characters_of_scripts_without_spaces_are_parted_and_no_others(text, parts):
    assert tokenise(cut(text)) == parts.split()


def test_signs_stay_with_their_letter():
    for text in (*THAI, "ကလေးတစ်ယောက်ပြေးနေတယ်", "កុមារកំពុងរត់"):
        assert "".join(cut(text).split()) == text
        assert all(part[0].isalpha() for part in cut(text).split())


def test_a_sentence_joins_as_it_was_written():
    assert join(["一", "只", "red", "dog", "在", "跑"]) == "一只 red dog 在跑"
    assert join(["ที่", "นี่"]) == "ที่นี่"
    assert join(["a", "dog"]) == "a dog" and join(["跑"]) == "跑" and join([]) == ""


def test_a_vocabulary_of_characters_says_sentences_that_it_never_saw():
    vocabulary = Vocabulary.from_captions(map(cut, CHINESE))
    sentence = "红色的狗在睡觉"
    tokens = vocabulary.pack(cut(sentence), 12)
    assert join(vocabulary.unpack(tokens)) == sentence


def test_scores_of_characters_share_words():
    assert set(words(cut("一只狗"))) & set(words(cut("一只猫"))) == {"一", "只"}


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
    ],
)
def test_captions_with_spaces_and_segmented_ones_pass(captions):
    assert not without_spaces(captions)


def test_cut_captions_pass():
    assert not without_spaces([cut(text) for text in (*CHINESE, *THAI)])


def test_the_docstrings_examples_hold():
    assert doctest.testmod(characters).failed == 0
