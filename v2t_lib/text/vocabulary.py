"""The model's words: how captions become words, and words tokens.

With the unit "character", scripts without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese) are
cut into characters; words of other scripts in between stay whole.
"""

import dataclasses
import html
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from v2t_lib.errors import ModelError

PAD, START, END, UNK = range(4)
SPECIALS = ("<pad>", "<start>", "<end>", "<unk>")


class _WordCharacters(dict):
    """A `str.translate` table: letters, accents and digits stay, all else becomes a space."""

    def __missing__(self, code: int) -> str:
        kind = unicodedata.category(chr(code))
        self[code] = "" if kind == "Cf" else chr(code) if kind[0] in "LMN" else " "
        return self[code]


_WORD_CHARACTERS = _WordCharacters({ord("'"): "'", ord("-"): "-", ord("&"): " and "})
_STRAIGHT = str.maketrans("’‘ʼ`‐‑", "''''--")
# An entity, also one whose "&" was escaped again.
_ENTITY = re.compile(r"&(?:amp;)*(#?\w{2,31};)")
# What other tools write for the beginning, the end or an unknown word.
_MARKER = re.compile(
    r"[<\[]\|?/?(?:pad|start|end|unk|unknown|oov|mask|cls|sep|s|bos|eos|sos|go|startseq|endseq|"
    r"startoftext|endoftext|br ?/?)\|?[>\]]",
    re.IGNORECASE,
)
# A sign or letter shown as emoji (the selector after a digit belongs to a keycap); trademarks,
# which normalisation would turn into letters of the word before.
_PICTURE = re.compile("[^0-9#*]\ufe0f|[™℠]")
# Characters without a width (Unicode's "default ignorable") and the enclosing box of keycap emoji;
# the zero-width space is not among them: it is a space.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200c-\u200f\u202a-\u202e"
    "\u2060-\u206f\u20dd-\u20e0\u20e2-\u20e4\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\U000e0000-\U000e0fff]"
)
# A word begins with a letter or digit; it may hold apostrophes and hyphens (don't, t-shirt), but
# not at its ends.
_WORD = re.compile(r"\w[^\s'-]*(?:['-]\w[^\s'-]*)*")
# Ligatures, full and half widths and the like: other forms of letters that have their own.
_PRESENTED = re.compile("[\ufb00-\ufdff\ufe30-\uffef]+")
# Lower case has no dotted I: Turkish "İ" is "i". At a word's end sigma has a form of its own.
# Arabic's tatweel only stretches a word.
_DOTTED, _TATWEEL = re.compile("İ|[iI]\u0307"), "\u0640"
_FINAL_SIGMA = re.compile(r"(?<=\w)σ(?!\w)")
# An ending parted from its word, as in "dog 's" and "does n't".
_PARTED = re.compile(r"(?<=\w)\s+(?=(?:'(?:s|re|ve|ll|d|m)|n't)(?![\w']))")

# Scripts without spaces: Thai, Lao, Burmese and Khmer (letters and their vowel signs); kana; Han,
# U+20000 and beyond too.
_ALPHABETS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\ua9e0-\ua9ff\uaa60-\uaa7f"
_SYLLABLES = (
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U0003ffff"
)
# Vowel signs and tone marks that belong to the letter before them.
_SIGNS = (
    "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ecf\u102b-\u103e\u1056-\u1059"
    "\u105e-\u1060\u1062-\u1064\u1067-\u106d\u1071-\u1074\u1082-\u108d\u108f\u109a-\u109d"
    "\u17b4-\u17d3\u17dd\u3099\u309a\ua9e5\uaa7b-\uaa7d\uff9e\uff9f\u0300-\u036f"
)
#: One character of such a script with its signs, as a pattern that `re` and RE2 understand.
CHARACTER = f"[{_ALPHABETS}{_SYLLABLES}][{_SIGNS}]*"
_CHARACTER = re.compile(CHARACTER)
_APART = re.compile(f"({CHARACTER}) (?=[{_ALPHABETS}{_SYLLABLES}])")
# What cutting may leave that is no word: accents, hyphens and apostrophes without a letter beside
# them. As a pattern of RE2, whose `\w` is ASCII's, it is `LOOSE`.
_LOOSE = re.compile("(^| )[^\\w ]+|['-]+( |$)")
LOOSE = "(^| )[^\\pL\\pN ]+|['-]+( |$)"


def cut(text: str) -> str:
    """The text with a space on either side of every character of a script without spaces.

    Example:
        >>> cut("一只dog在跑")
        ' 一  只 dog 在  跑 '
    """
    return _CHARACTER.sub(r" \g<0> ", text)


def one_form(text: str) -> str:
    """The text as the scorers get it: letters that can be written in several ways, with composed or
    loose accents, as ligatures or between zero-width joiners, are written in one."""
    text = unicodedata.normalize("NFC", _INVISIBLE.sub("", text))
    text = _PRESENTED.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)
    return _DOTTED.sub("i", text).replace(_TATWEEL, "")


def tokenise(text: str, unit: str = "word") -> list[str]:
    """The words of a caption: lower case, straight apostrophes, no punctuation.

    Apostrophes and hyphens inside a word stay ("it's" is not "its", "t-shirt" is one word), a
    parted ending rejoins its word ("dog 's" is "dog's"), "&" and "&amp;" read "and", digits are
    words. Every word has a letter or digit, so emoji aren't words. Markers of other tools, such as
    `<start>`, are left out. Typos stay: the vocabulary's minimum count deals with them.
    """
    text = _ENTITY.sub(lambda match: html.unescape(f"&{match[1]}"), text)
    text = _MARKER.sub(" ", _PICTURE.sub(" ", text)).replace("\u200b", " ")
    # The compatibility form of an acute accent is a space and a combining accent: no apostrophe.
    text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text).replace("´", "'"))
    text = _DOTTED.sub("i", text.replace(_TATWEEL, "")).lower()
    text = _FINAL_SIGMA.sub("ς", unicodedata.normalize("NFC", text)).translate(_STRAIGHT)
    # Thai's and Lao's vowel AM, which the compatibility form takes apart, as it is written.
    text = text.replace("\u0e4d\u0e32", "\u0e33").replace("\u0ecd\u0eb2", "\u0eb3")
    words = _WORD.findall(_PARTED.sub("", text).translate(_WORD_CHARACTERS))
    return _LOOSE.sub(" ", cut(" ".join(words))).split() if unit == "character" else words


def sentence(words: Sequence[str], unit: str = "word") -> str:
    """A caption of these words: single spaces between, but not between characters cut apart.

    Example:
        >>> sentence(["一", "只", "red", "dog"], "character")
        '一只 red dog'
    """
    text = " ".join(words)
    return _APART.sub(r"\1", text) if unit == "character" else text


def normalise(text: str, unit: str = "word") -> str:
    """A caption as the model would write it, `sentence` of its words: what tokens can give back.

    Normalising twice changes nothing.
    """
    return sentence(tokenise(text, unit), unit)


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """The distinct words a model knows; token `i` is `words[i]`, the first four are `SPECIALS`.

    Its words and unit, as in `CaptionSpec`, are all there is to save.

    Raises:
        ModelError: The words aren't distinct, or don't begin with `SPECIALS`.

    Example:
        >>> vocabulary = Vocabulary.from_captions(["A cat sits.", "a cat jumps"])
        >>> vocabulary.words[4:]
        ('a', 'cat', 'jumps', 'sits')
        >>> vocabulary.pack("A cat runs!", length=5)
        array([1, 4, 5, 3, 2, 0], dtype=int32)
    """

    words: tuple[str, ...]
    unit: str = "word"
    _tokens: dict[str, int] = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self):
        words = tuple(self.words)
        whole = all(isinstance(word, str) and word for word in words)
        if words[:4] != SPECIALS or not whole or len(set(words)) < len(words):
            raise ModelError(
                f"expected a vocabulary of distinct words that begins with {SPECIALS}. "
                f"Received: {len(words)} words beginning with {words[:4]}"
            )
        object.__setattr__(self, "words", words)
        object.__setattr__(self, "_tokens", {word: i for i, word in enumerate(words)})

    @classmethod
    def from_captions(
        cls, captions: Iterable[str], min_count: int = 1, unit: str = "word"
    ) -> "Vocabulary":
        """The words that occur at least `min_count` times: by frequency, then alphabetically."""
        counts = Counter(word for caption in captions for word in tokenise(caption, unit))
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return cls(SPECIALS + tuple(word for word, count in ranked if count >= min_count), unit)

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        """Whether it is one of the words, special ones apart."""
        return self._tokens.get(word, UNK) > UNK

    def token(self, word: str) -> int:
        """The word's token; UNK's for one that it lacks."""
        return self._tokens.get(word, UNK)

    def pack(self, text: str, length: int) -> np.ndarray:
        """START, the words, END, then PAD: int32 `(length + 1,)`.

        `[:-1]` are the decoder's inputs, `[1:]` its targets, `(length,)` each. The caption keeps
        its first `length - 1` words; words that aren't in the vocabulary become UNK.

        Raises:
            ValueError: `length` is less than 1, which leaves no room for END.
        """
        if length < 1:
            raise ValueError(f"expected a length of at least 1. Received: length={length}")
        known = [self.token(word) for word in tokenise(text, self.unit)[: length - 1]]
        packed = np.full(length + 1, PAD, np.int32)
        packed[: len(known) + 2] = [START, *known, END]
        return packed

    def unpack(self, tokens: Sequence[int]) -> list[str]:
        """The words up to END, without START and PAD; UNK stays visible as `<unk>`."""
        words = []
        for token in tokens:
            if token == END:
                break
            if token not in (PAD, START):
                words.append(self.words[token])
        return words

    def coverage(self, captions: Iterable[str]) -> tuple[float, Counter[str]]:
        """The share of word occurrences that it has, and the counts of the words it lacks."""
        words = Counter(word for text in captions for word in tokenise(text, self.unit))
        unknown = Counter({word: n for word, n in words.items() if word not in self._tokens})
        return 1 - unknown.total() / max(1, words.total()), unknown
