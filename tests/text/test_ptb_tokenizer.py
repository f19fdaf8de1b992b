"""The expected words are what the Stanford tokeniser 3.4.1 and the scorers' filter leave."""

import hashlib
import random
import shutil

import pytest
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

from v2t_lib.captions_file import read_captions
from v2t_lib.text.ptb_tokenizer import PUNCTUATION, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It's a T-shirt.", "it 's a t-shirt"),
        ("A man can't open it; he won't!", "a man ca n't open it he wo n't"),
        ("Two girls, who cannot, are gonna.", "two girls who can not are gon na"),
        ("the dogs' bowls", "the dogs bowls"),
        ("it’s a man that doesn’t move", "it 's a man that does n't move"),
        ("a 3-year-old boy eats 1/2 of a pizza", "a 3-year-old boy eats 1/2 of a pizza"),
        ("He scores 3,000 points at 50% for $20", "he scores 3,000 points at 50 % for $ 20"),
        ("a man (with a hat) smiles...", "a man -lrb- with a hat -rrb- smiles"),
        ("rock 'n' roll", "rock 'n' roll"),
        ("Mr. Bean falls. Dr. Who laughs", "mr. bean falls dr. who laughs"),
        ("the U.S. flag is waving.", "the u.s. flag is waving"),
        ("a car drives by.a man looks", "a car drives by.a man looks"),
        ("two men fighting ,one falls", "two men fighting one falls"),
        ("a cat & a dog/wolf and/ or", "a cat & a dog/wolf and / or"),
        ("i <3 you :)", "i < 3 you :-rrb-"),
        ("a café in São Paulo", "a café in são paulo"),
        ("日本語 テスト", "日本語 テスト"),
        ("a cost of 5€ or £3", "a cost of 5 $ or # 3"),
        ("wait... what?!", "wait what ?!"),
        ("a man etc.", "a man etc."),
        ("two people kiss.   ", "two people kiss"),
        ("...", ""),
        ("", ""),
    ],
)
def test_words_are_those_of_the_official_tokeniser(text, expected):
    assert " ".join(words(text)) == expected


# The output of `java -cp stanford-corenlp-3.4.1.jar edu.stanford.nlp.process.PTBTokenizer
# -preserveLines -lowerCase` (the jar comes with pycocoevalcap), less the scorers' punctuation. In
# some scripts it drops vowel signs, as in Kannada: the scores do too.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("एक लड़का पार्क में दौड़ रहा है।", "एक लड़का पार्क में दौड़ रहा है ।"),
        ("क्\u200dया माँ-बाप हैं? “नमस्ते”!", "क् या माँ बाप हैं नमस्ते"),
        ("একটি মেয়ে গান গাইছে।", "একটি মেয়ে গান গাইছে ।"),
        ("ஒரு சிறுவன் பந்தை உதைக்கிறான்.", "ஒரு சிறுவன் பந்தை உதைக்கிறான்"),
        ("ఒక అబ్బాయి పరుగెత్తుతున్నాడు", "ఒక అబ్బాయి పరుగెత్తుతున్నాడు"),
        ("ಒಬ್ಬ ಹುಡುಗ ಓಡುತ್ತಿದ್ದಾನೆ", "ಒಬ ಬ ಹ ಡ ಗ ಓಡ ತ ತ ದ ದ ನ"),
        ("ഒരു പെൺകുട്ടി പാടുന്നു", "ഒരു പെൺകുട ടി പാടുന നു"),
        ("ਇੱਕ ਮੁੰਡਾ ਦੌੜ ਰਿਹਾ ਹੈ", "ਇ ਕ ਮੁ ਡਾ ਦੌੜ ਰਿਹਾ ਹੈ"),
        ("એક છોકરો દોડે છે", "એક છોકરો દોડે છે"),
        ("ପିଲାଟିଏ ଦୌଡୁଛି", "ପ ଲ ଟ ଏ ଦ ଡ ଛ"),
        ("දරුවෙක් දුවනවා", "දර ව ක ද වනව"),
        ("ผู้หญิง กำลัง เต้น", "ผู้หญิง กำลัง เต้น"),
        ("ຜູ້ຊາຍ ແລ່ນ", "ຜູ້ຊາຍ ແລ່ນ"),
        ("កុមារ កំពុង រត់", "ក ម រ ក ព ង រត"),
        ("ကလေး ပြေးနေတယ်", "ကလ ပ န တယ"),
        ("རྒྱུག་གི་འདུག", "ར ག ག འད ག"),
        ("رَجُلٌ يَرْكُضُ فِي الْحَدِيقَةِ", "رَجُلٌ يَرْكُضُ فِي الْحَدِيقَةِ"),
        ("ولد يلعب، وبنت ترقص؟", "ولد يلعب ، وبنت ترقص ؟"),
        ("می\u200cخواهم ۱۲۳ و ١٫٥", "می خواهم ۱۲۳ و ١٫٥"),
        ("יֶלֶד רָץ בַּגַּן", "יֶלֶד רָץ בַּגַּן"),
        ("צה״ל בית־ספר, ילדה", "צה ״ ל בית ־ ספר ילדה"),
        ("e\u0301te\u0301 cafe\u0301 nin\u0303o", "e\u0301te\u0301 cafe\u0301 nin\u0303o"),
        ("một người đàn ông", "một người đàn ông"),
        ("I ❤\ufe0f cats ☀\ufe0f day", "i ❤ cats ☀ day"),
        ("👨\u200d👩\u200d👧 🇫🇷 1\ufe0f\u20e3 👍🏽 a😀b", "1 a b"),
        ("一只狗，在公园里跑。", "一只狗 ， 在公园里跑 。"),
        ("男の子がサッカーをしています。", "男の子がサッカーをしています 。"),
        ("カラー・テレビ、「はい」", "カラー ・ テレビ 、 はい"),
        ("남자가 한글", "남자가 한글"),
        ("\u1112\u1161\u11ab\u1100\u1173\u11af", "\u1112\u1161\u11ab\u1100\u1173\u11af"),
        ("Ｆｕｌｌ ｗｉｄｔｈ １２３！", "ｆｕｌｌ ｗｉｄｔｈ １２３ ！"),
        ("so\u00adft co\u00adop-er\u00adate", "soft coop-erate"),
        ("zero\u200bwidth no\u200cjoin \ufeffbom", "zero width no join bom"),
        ("‘single’ rock ’n’ roll don‘t “‘a’”", "single rock ’n’ roll do n`t ``` a '''"),
        ("Кто-то поёт. Дом., ΣΑΣ", "кто-то поёт дом. σας"),
        ("Տղամարդը վազում է։ կաց֊ի", "տղամարդը վազում է ։ կաց֊ի"),
        ("კაცი გარბის", "კაცი გარბის"),
        ("አንድ ሰው እየሮጠ ነው።", "አንድ ሰው እየሮጠ ነው"),
        ("a–b c—d e‐f g‑h i−j", "a b c d e‐f g‑h i − j"),
        ("⅔ m² H₂O 5° €5 ¥9 ₹ 1⁄2", "2/3 m ² h ₂ o 5 ° $ 5 ¥ 9 1⁄2"),
        ("𝒂 𠀀 𐍈", ""),
        ("नहीं's é's l’homme L'été", "नहीं 's é 's l’homme l'été"),
        ("<start> a man <end>", "<start> a man <end>"),
        ("<unk> <br/> x<y>z a < b", "<unk> <br/> x <y> z a < b"),
        ("salt &amp; pepper AT&amp;T don&#39;t it&apos;s", "salt & pepper at&t don &#39; t it 's"),
        ("&lt;b&gt; caf&eacute; &copy;", "< b > caf&eacute; & copy"),
        ("at http://x.org/a or www.a.org, me@x.org", "at http://x.org/a or www.a.org me@x.org"),
        ("2.-7 1,5-fach", "2.-7 1,5-fach"),
    ],
)
def test_every_script_is_cut_as_the_official_tokeniser_cuts_it(text, expected):
    assert " ".join(words(text)) == expected


#: Blocks whose words are compared with the Java: Indic scripts, Thai, Arabic, Hebrew, combining
#: marks, Cyrillic, kana, Han, jamo, full width, signs, emoji.
BLOCKS = """
    900-97f 980-9ff a00-a7f b80-bff c00-c7f c80-cff e01-e5b 600-6ff 591-5f4 300-36f 400-4ff
    3041-30ff 4e00-4eff 1100-11ff ff01-ff5e 2190-27bf 1f300-1f64f
"""


@pytest.mark.skipif(not shutil.which("java"), reason="the official tokeniser needs a Java")
def test_random_words_of_every_script_are_cut_as_the_java_cuts_them(monkeypatch):
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Dfile.encoding=UTF-8")
    rng, texts = random.Random(5), []
    for block in BLOCKS.split():
        first, last = (int(code, 16) for code in block.split("-"))
        script = [chr(code) for code in range(first, last + 1)]
        for _ in range(40):
            signs = rng.choices("abte \u0301’'\"“”.,!?-–&<>/129\u00ad\u200d\ufe0f", k=5)
            letters = signs + rng.choices(script, k=20)
            rng.shuffle(letters)
            texts.append("".join(letters))
    official = PTBTokenizer().tokenize({n: [{"caption": t}] for n, t in enumerate(texts)})
    different = [t for n, t in enumerate(texts) if [" ".join(words(t))] != official[n]]
    assert different == []


def test_typed_and_parted_captions_are_the_same_words():
    parted = "the man 's dog , it seems , ca n't jump ."
    assert words("The man's dog, it seems, can't jump.") == words(parted)


def test_nothing_that_can_be_typed_breaks_a_word():
    rng = random.Random(0)
    odd = "aZé1 .,'’-–_/&;:()<>[]#@!?…“”€½\u00a0\t\u0301日😀\x00"
    for _ in range(2000):
        text = "".join(rng.choices(odd, k=rng.randint(0, 12)))
        found = words(text)
        assert not PUNCTUATION.intersection(found)
        assert all(word and word == word.lower() and word.split() == [word] for word in found)


#: SHA-256 of what the official tokeniser gives, one caption a line.
OFFICIAL = {
    "tgif_rows.tsv": "b7178fb5624e7ffcb0e46900dabd0505694f2178f6f4d76a57c26480255a806e",
    "scores/references.tsv": "422758a89fe9f6248f944b3b6301ba904cbd5491c0f81ef3b8baaada5c74e0d7",
    "scores/predictions.tsv": "12d7efc9d2a082580bb4b7538289c9f79c19e15be0eb8d4cbe4eada4aca35652",
}


@pytest.mark.shared
@pytest.mark.parametrize("name", OFFICIAL)
def test_real_captions_are_cut_as_the_official_tokeniser_cuts_them(shared_data, name):
    records = read_captions(shared_data / name, keep_repeats=True)
    lines = "".join(" ".join(words(text)) + "\n" for r in records for text in r.captions)
    assert hashlib.sha256(lines.encode()).hexdigest() == OFFICIAL[name]
