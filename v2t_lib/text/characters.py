"""Captions in scripts that put no spaces between words, cut into characters.

Chinese, Japanese, Thai, Lao, Khmer and Burmese captions are one long "word" to anything that splits
at spaces: each occurs once, no two captions share one, and every score is 0 or 1. Cut into
characters they share tokens. Words of other scripts in between stay whole.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

# Thai, Lao, Burmese, Khmer (letters and their vowel signs); kana; Han, U+20000 and beyond too.
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
_ALPHABETIC = re.compile(f"[{_ALPHABETS}][{_SIGNS}]*")
# What `cut` may leave of a tokenised text that is no word: accents, hyphens and apostrophes without
# a letter beside them.
_LOOSE = re.compile("(^| )[^\\w ]+|['-]+( |$)")
#: The same as a pattern of RE2, whose `\\w` is ASCII's.
LOOSE = "(^| )[^\\pL\\pN ]+|['-]+( |$)"


def cut(text: str) -> str:
    """The text with a space on either side of every character of a script without spaces.

    Example:
        >>> cut("一只dog在跑")
        ' 一  只 dog 在  跑 '
    """
    return _CHARACTER.sub(r" \g<0> ", text)


def cut_words(words: Sequence[str]) -> list[str]:
    """Tokenised words with every character of a script without spaces as a word of its own.

    Example:
        >>> cut_words(["一只dog", "跑"])
        ['一', '只', 'dog', '跑']
    """
    return _LOOSE.sub(" ", cut(" ".join(words))).split()


def join(words: Sequence[str]) -> str:
    """A sentence out of words: spaces between them, but not between characters that `cut` parted.

    Example:
        >>> join(["一", "只", "red", "dog"])
        '一只 red dog'
    """
    pieces = list(words[:1])
    for before, word in pairwise(words):
        whole = _CHARACTER.fullmatch(before) and _CHARACTER.fullmatch(word)
        pieces.append(word if whole else f" {word}")
    return "".join(pieces)


def counts(word: str) -> tuple[int, int]:
    """How many characters of scripts without spaces `word` has, and how many are alphabets'."""
    return len(_CHARACTER.findall(word)), len(_ALPHABETIC.findall(word))
