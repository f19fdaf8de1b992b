import doctest
import pickle
import random
import unicodedata

import numpy as np
import pytest

from v2t_lib.captions_file import read_captions
from v2t_lib.errors import ModelError
from v2t_lib.text import vocabulary as module
from v2t_lib.text.ptb_tokenizer import words
from v2t_lib.text.vocabulary import (
    END,
    PAD,
    SPECIALS,
    START,
    UNK,
    Vocabulary,
    cut,
    normalise,
    one_form,
    sentence,
    tokenise,
)

CAPTIONS = ["A cat, it's tiny.", "a dog and a CAT", "the dog's t-shirt"]


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("A man is glaring, and someone appears.", "a man is glaring and someone appears"),
        ("it's its dog\u2019s boys\u2018s", "it's its dog's boys's"),
        ("a dog 's snout, it does n't , they 're", "a dog's snout it doesn't they're"),
        ("each others ' hair, 'snip-snip' pirates' 'd'", "each others hair snip-snip pirates d"),
        ("t-shirt  peek-a-boo mid-air. cut\u2010out", "t-shirt peek-a-boo mid-air cut-out"),
        ("a man--in black - runs \u2013 away\u2014fast -x-", "a man in black runs away fast x"),
        ("singing & dancing, hug/kiss", "singing and dancing hug kiss"),
        ("in front of it.a 180 spin of 2", "in front of it a 180 spin of 2"),
        ("snake_case <unk> \u201cyes\u201d \u2026 \U0001f600", "snake case yes"),
        ("\tspaces\u00a0of   all\u2003kinds ", "spaces of all kinds"),
        ("Cafe\u0301 caf\u00e9 so\u00adft \uff21\uff22", "caf\u00e9 caf\u00e9 soft ab"),
        ("\u0928\u092e\u0938\u094d\u0924\u0947!", "\u0928\u092e\u0938\u094d\u0924\u0947"),
        ("a horce jumpd", "a horce jumpd"),
        (" ... !", ""),
        # Emoji, with selectors, joiners and boxes too.
        ("I \u2764\ufe0f cats \u2600\ufe0f", "i cats"),
        ("\U0001f468\u200d\U0001f469 \U0001f44d\U0001f3fd 1\ufe0f\u20e3 \u2139\ufe0f", "1"),
        ("\u2764\ufe0fcat\u2600\u0301 \u0301dog \u0301", "cat dog"),
        ("Nike\u2122 \u3164 a\u200bb\ufeff", "nike a b"),
        # Markers of other tools and HTML.
        ("<start> a man rides <end>", "a man rides"),
        ("<s>a <UNK> runs</s> [PAD] <|endoftext|>", "a runs"),
        ("&lt;start&gt; red<br />dog", "red dog"),
        ("a <b red start at the end", "a b red start at the end"),
        ("salt &amp; pepper &amp;amp; oil", "salt and pepper and oil"),
        ("don&#39;t say &quot;caf&eacute;&quot;&nbsp;&amp;quot;now", "don't say caf\u00e9 now"),
        ("me &you; R&D &not a name", "me and you r and d and not a name"),
        # Marks stay with their letters.
        ("कुत्ता-बिल्ली, \u05e9\u05b8\u05c1", "कुत्ता-बिल्ली \u05e9\u05b8\u05c1"),
        ("یک\u200cنفر رَجُلٌ", "یکنفر رَجُلٌ"),
    ],
)
def test_captions_to_words(caption, words):
    assert normalise(caption) == words
    assert tokenise(caption) == words.split()


FORMS = [
    ("İki ADAM İstanbul'da", "iki adam istanbul'da"),
    ("I\u0307ki i\u0307nsan", "iki insan"),
    ("un cafe\u0301 a\u0300 l'e\u0301te\u0301", "un café à l'été"),
    ("mo\u0323\u0302t con cho\u0301", "một con chó"),
    (unicodedata.normalize("NFD", "고양이"), "고양이"),
    ("ﬁsh ﬂies", "fish flies"),
    ("ｒｅｄ dog", "red dog"),
    ("ｶﾞﾗｽ", "ガラス"),
    ("r\u200ded do\u200cg", "red dog"),
    ("foot\u00adball \ufeffa", "football a"),
    ("كلـــب ﻻ", "كلب لا"),
    ("ΣΚΥΛΟΣ", "σκυλος"),
]


@pytest.mark.parametrize(("text", "same"), FORMS)
def test_a_word_in_another_form_is_the_same_word(text, same):
    """For the model and for the scorers."""
    assert tokenise(text) == tokenise(same) == same.split()
    assert words(one_form(text)) == words(one_form(same))
    vocabulary = Vocabulary.from_captions([same])
    assert vocabulary.coverage([text])[0] == 1


def test_sigma_ends_a_word_in_one_form():
    assert tokenise("ΣΚΥΛΟΣ.ΓΑΤΑ σκυλοσ") == ["σκυλος", "γατα", "σκυλος"]


def test_thai_and_lao_stay_as_they_are_written():
    for caption in ("น้ำกำลัง", "ນ້ຳ"):
        assert normalise(caption) == normalise(normalise(caption)) == caption


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
    assert tokenise(text, "character") == parts.split()


def test_signs_stay_with_their_letter():
    for text in ("ชายคนหนึ่งกำลังวิ่งในสวน", "ကလေးတစ်ယောက်ပြေးနေတယ်", "កុមារកំពុងរត់"):
        assert "".join(cut(text).split()) == text
        assert all(part[0].isalpha() for part in cut(text).split())


def test_a_sentence_of_characters_joins_as_it_was_written_also_one_never_seen():
    assert sentence(["ที่", "นี่"], "character") == "ที่นี่"
    assert sentence(["a", "dog"], "character") == "a dog" and sentence([], "character") == ""
    captions = ["一只狗在公园里跑。", "男孩在踢足球", "两只红色的猫在睡觉"]
    vocabulary = Vocabulary.from_captions(captions, unit="character")
    tokens = vocabulary.pack("红色的狗在睡觉", 12)
    assert sentence(vocabulary.unpack(tokens), "character") == "红色的狗在睡觉"


def test_normalising_twice_changes_nothing():
    characters = (chr(code) for code in range(0x10000) if not 0xD800 <= code < 0xE000)
    texts = [normalise(f"A{character}b {character}'s n't") for character in characters]
    assert [text for text in texts if normalise(text) != text] == []
    assert not any(set(word) <= set("'-") for text in texts for word in text.split())


def test_every_word_of_random_signs_has_a_letter_or_digit_and_normalises_to_itself():
    rng = random.Random(0)
    signs = "aZ9éİ\u0301\u20e3\ufe0f\u200d\u200b\u0ac8\u094d❤™ '-_<>&;[]|½\U0001f600\u3099"
    for _ in range(3000):
        words = tokenise("".join(rng.choices(signs, k=8)))
        assert all(any(character.isalnum() for character in word) for word in words)
        assert tokenise(" ".join(words)) == words


def test_words_are_ranked_by_count_then_by_letter():
    vocabulary = Vocabulary.from_captions(CAPTIONS)
    assert vocabulary.words == (
        *SPECIALS,
        *("a", "cat", "and", "dog", "dog's", "it's", "t-shirt", "the", "tiny"),
    )
    assert vocabulary == Vocabulary.from_captions(reversed(CAPTIONS))
    assert len(vocabulary) == 13
    assert Vocabulary.from_captions(CAPTIONS, min_count=2).words[4:] == ("a", "cat")
    assert Vocabulary.from_captions([]).words == SPECIALS


def test_packing_by_hand():
    assert (PAD, START, END, UNK) == (0, 1, 2, 3)
    vocabulary = Vocabulary.from_captions(["a a a", "cat cat", "sits"])
    packed = vocabulary.pack("A cat sleeps.", length=6)
    assert packed.dtype == np.int32
    assert packed.tolist() == [START, 4, 5, UNK, END, PAD, PAD]
    assert packed[:-1].shape == packed[1:].shape == (6,)

    for length, tokens in (1, [1, 2]), (2, [1, 4, 2]), (4, [1, 4, 5, 6, 2]):
        assert vocabulary.pack("a cat sits", length).tolist() == tokens
    with pytest.raises(ValueError, match=r"at least 1\. Received: length=0"):
        vocabulary.pack("a", 0)


def test_unpacking_stops_at_end_and_shows_unknown_words():
    vocabulary = Vocabulary((*SPECIALS, "a", "cat"))
    assert vocabulary.unpack(np.array([START, 4, UNK, PAD, 5, END, 4])) == ["a", "<unk>", "cat"]


def test_a_saved_word_list_restores_the_vocabulary():
    vocabulary = Vocabulary.from_captions(CAPTIONS)
    assert Vocabulary(list(vocabulary.words)) == vocabulary
    assert pickle.loads(pickle.dumps(vocabulary)).pack("a cat", 4).tolist() == [1, 4, 5, 2, 0]


@pytest.mark.parametrize(
    "words",
    [(), ("a", "cat"), (*SPECIALS, "a", "a"), (*SPECIALS, ""), (*SPECIALS, 7), SPECIALS[::-1]],
)
def test_word_lists_that_are_none_are_refused(words):
    with pytest.raises(ModelError, match="begins with"):
        Vocabulary(words)


def test_coverage_by_hand():
    share, unknown = Vocabulary((*SPECIALS, "a", "cat")).coverage(["A cat!", "a dog a dog", "owl"])
    assert share == pytest.approx(4 / 7)
    assert unknown == {"dog": 2, "owl": 1}


def test_the_docstrings_examples_hold():
    results = doctest.testmod(module)
    assert results.failed == 0
    assert results.attempted > 0


@pytest.mark.shared
def test_real_captions_are_read_tokenised_and_restored(shared_data):
    rows = (shared_data / "tgif_rows.tsv").read_text(encoding="utf-8").splitlines()
    records = read_captions(shared_data / "tgif_rows.tsv")
    captions = [caption for record in records for caption in record.captions]
    assert len(rows) == len(captions) == 2000
    assert [f"{r.source}\t{c}" for r in records for c in r.captions] == rows
    assert all(record.remote for record in records)
    assert len({record.key for record in records}) == len(records)

    vocabulary = Vocabulary.from_captions(captions)
    for caption in captions:
        said = normalise(caption)
        assert said
        assert " ".join(vocabulary.unpack(vocabulary.pack(caption, 100))) == said
        # Nothing but case, blanks and punctuation is lost.
        letters = "".join(filter(str.isalnum, caption.lower().replace("&", "and")))
        assert "".join(filter(str.isalnum, said)) == letters
    assert vocabulary.coverage(captions) == (1.0, {})
