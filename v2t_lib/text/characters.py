"""Captions in scripts that put no spaces between words, cut into characters.

Chinese, Japanese, Thai, Lao, Khmer and Burmese captions are one long "word" to anything that splits
at spaces: each occurs once, no two captions share one, and every score is 0 or 1. Cut into
characters they share tokens. Words of other scripts in between stay whole.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

from v2t_lib.text.vocabulary import tokenise

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
# Words cut by a segmenter have 2 characters on average in Han and kana, 4 in Thai and the like.
_LONG, _LONG_ALPHABETIC = 3.0, 6.0


def cut(text: str) -> str:
    """The text with a space on either side of every character of a script without spaces.

    Example:
        >>> cut("一只dog在跑")
        ' 一  只 dog 在  跑 '
    """
    return _CHARACTER.sub(r" \g<0> ", text)


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


def without_spaces(captions: Iterable[str]) -> bool:
    """Whether most captions are in a script without spaces and haven't been cut into words.

    Captions whose words were parted by a segmenter are not: their words are short.
    """
    words = [word for caption in captions for word in tokenise(caption)]
    letters = [len(_CHARACTER.findall(word)) for word in words]
    affected = [count for count in letters if count]
    others = len(words) - len(affected)
    if not affected or others > sum(affected) / 2:
        return False
    alphabetic = sum(len(_ALPHABETIC.findall(word)) for word in words)
    limit = _LONG_ALPHABETIC if alphabetic > sum(affected) / 2 else _LONG
    return sum(affected) / len(affected) >= limit
