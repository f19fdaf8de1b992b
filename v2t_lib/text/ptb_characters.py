"""Which characters the Stanford tokeniser 3.4.1 takes for letters, digits and signs.

It knows Unicode 6.0 and no character beyond U+FFFF. Every character is replaced by one that stands
for all of its kind, so that the rules in `ptb_tokenizer` name a handful of characters instead of
every script. The ranges were read off the tokeniser's own behaviour, character by character.
"""

import re
import unicodedata

LETTER, MARK, DIGIT, SIGN, NOTHING = "éा٣©\0"


def _ranges(codes: str) -> re.Pattern:
    ends = (code.partition("-")[::2] for code in codes.split())
    return re.compile("[" + "".join(f"\\u{first}-\\u{last or first}" for first, last in ends) + "]")


# Vowel signs, accents and points: letters inside a word, but not in a word with a hyphen.
_MARKS = _ranges("""
    02c2-02c5 02d2-02df 02e5-02eb 02ed 02ef-036f 0375 0378-0379 0384-0385 03f6 0483-0487 055a-055f
    0591-05bd 05bf 05c1-05c2 05c4-05c5 05c7 0615-061a 064b-065e 0670 06d6-06e4 06e7-06ed 06fd-06fe
    070f 0711 0730-074c 07a6-07b0 07eb-07f3 0900-0903 093c 093e-094e 0951-0955 0962-0963 0981-0983
    09bc 09be-09c4 09c7-09c8 09cb-09cd 09d7 09e2-09e3 0a01-0a03 0a3c 0a3e-0a4f 0a81-0a83 0abc
    0abe-0acf 0b82 0bbe-0bc2 0bc6-0bc8 0bca-0bcd 0c01-0c03 0c3e-0c56 0d3e-0d44 0d46-0d48 0e31
    0e34-0e3a 0e47-0e4e 0eb1 0eb4-0ebc 0ec8-0ecd
""")
_LETTERS_SINCE_UNICODE_6 = _ranges("""
    037f 0528-052f 0560 0588 05ef 0860-088e 08a1 08ad-08c9 0978 0980 09fc 0af9 0c34 0c5a-0c5d 0c80
    0cdd 0d04 0d54-0d5f 0e86 0e89 0e8c 0e8e-0e93 0e98 0ea0 0ea8-0ea9 0eac 13f5-13fd 16f1-16f8 170d
    171f 1878 191d-191e 19b0-19c0 19c8-19c9 1b4c 1c80-1cbf 1cf2-1cf3 1cfa 2c2f 2c5f 312e-312f
    31bb-31bf 4db6-4dbf 9fcd-9fff a698-a69d a78f a794-a79f a7ab-a7f7 a8fd-a8fe a9e0-a9fe aa7e-aa7f
    ab30-abbf
""")
_SIGNS = _ranges("""
    00a1 00a6-00a9 00ac 00ae-00b1 00b4 00b6-00b8 00bf 00d7 00f7 037e 0387 0589 05be 05c0 05c3 05c6
    05f3-05f4 0600-0603 0606-060a 060c 0614 061b 061e-061f 066a 066d 06d4 0700-070d 07f6-07f8
    0964-0965 0e4f 1fbd 2016-2017 2020-2023 2030-2038 203b 203e-2042 207c-207e 208c-208e 2100-2101
    2103-2106 2108-2109 2114 2116-2118 211e-2123 2125 2127 2129 212e 213a-213b 2140-2144 214a-214d
    214f 2190-2bff 3002 3012 30fb ff01-ff0f ff1a-ff20 ff3b-ff40 ff5b-ff65
""")
# Characters that a rule names stand for themselves; so do all of ASCII.
_NAMED = frozenset(
    "\u00ad\u058a‐‑–—―‘’‛“”„‟‚‹›«»…、⁄٫٬¢£¤¥؋฿₠₤€￠￡￥￦\x80\x91\x92\x93\x94\x96\x97"
    "²³¹⁰⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉⁺⁻₊₋¼½¾⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
)
_DIGITS_IT_LACKS = _ranges("0de6-0def a9f0-a9f9")


class Kinds(dict):
    """A `str.translate` table from each character to the one that stands for its kind."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        self[code] = char if code < 128 or char in _NAMED else self._kind(char)
        return self[code]

    @staticmethod
    def _kind(char: str) -> str:
        if char > "\uffff":
            return NOTHING
        if _MARKS.match(char):
            return MARK
        if _SIGNS.match(char):
            return SIGN
        if char.isalpha() or char in "\u1885\u1886":
            return NOTHING if _LETTERS_SINCE_UNICODE_6.match(char) else LETTER
        if unicodedata.category(char) == "Nd":
            return NOTHING if _DIGITS_IT_LACKS.match(char) else DIGIT
        return " " if char in "\u00a0\u3000" or "\u2000" <= char <= "\u200a" else NOTHING
