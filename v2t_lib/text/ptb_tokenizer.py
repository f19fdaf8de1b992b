"""Penn Treebank words in Python: what the official caption scorers count, without their Java.

As the Stanford tokeniser 3.4.1, one caption a line, in lower case, without punctuation: at every
position the rule with the longest match wins, and the earlier one of two that match equally far.
`benchmarks/score.py` compares it with the Java.
"""

import re
import unicodedata
from functools import lru_cache

#: Tokens that the scorers drop. Brackets stay, as `-lrb-` and the like.
PUNCTUATION = frozenset(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"])

# Tokens that are replaced; "" for punctuation, which is dropped.
_SPELLINGS = {
    **{"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"},
    **{"&amp;": "&", "&lt;": "<", "&gt;": ">", "¢": "cents", "£": "#"},
    **dict.fromkeys("¤€₠\x80", "$"),
    **{"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3"},
    **dict.fromkeys([*PUNCTUATION, *'"…—–―‐‑\x96\x97', "&quot;", "&apos;", "&nbsp;"], ""),
}
# Words that the treebank splits in two.
_PAIRS = {
    word.replace("-", ""): word.split("-")
    for word in ("can-not", "gon-na", "wan-na", "got-ta", "lem-me", "gim-me")
}
# Abbreviations that keep their full stop: in any case; only with a capital; only before a number.
_ABBREVIATIONS = """
    adj adm adv al ala alex apr ariz assn assoc asst atty aug ave bhd bldg blvd brig bros calif capt
    cf cie cmdr co col colo comdr conn corp cos cpl ct dak dec dept det dr drs elec ens esq est etc
    ext feb fla fri ft ga gen gov govs hon inc ind insp intl invt jan jos jr jul jun kan kans ky
    lieut lt ltd maj mar md mfg mich minn mlle mme mo mon mont mr mrs ms msgr mt mtg natl neb nev
    nov oct okla penn pfc ph plc ppte ppty pres prof profs pte ptes pty ptys pvt rd rep reps rev rt
    sen sens sep sept seq sfc sgt spc sq sr st ste supt sys tel tenn thu thurs treas tue tues univ
    va vs vt wed wis wisc wm wyo
"""
_CAPITAL_ABBREVIATIONS = "Ark Az Del Ill La Mass Miss Ore Pa Tex Wash"
_NUMBERED_ABBREVIATIONS = "art ca fig figs no nos op pp prop"
# Words that begin a new sentence after a single letter and a full stop.
_STARTERS = """
    A About According Additionally After An As At But Earlier He Her Here However If In It Last Many
    More Now Once One Other Our She Since So Some Such That The Their Then There These They This We
    What When While Yet You
"""


def _any(words: str) -> str:
    return "(?:" + "|".join(sorted(words.split(), key=len, reverse=True)) + ")"


# Which characters the tokeniser takes for letters, digits and signs: it knows Unicode 6.0 and no
# character beyond U+FFFF. The ranges were read off its own behaviour, character by character. The
# rules see the text with every character replaced by the one that stands for all of its kind.
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


class _Kinds(dict):
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


_KINDS = _Kinds()
_LETTER = f"[A-Za-z{LETTER}]"
_L = f"[A-Za-z{LETTER}{MARK}\u00ad]"  # a letter inside a word, the soft hyphen included
_N = f"[0-9{DIGIT}]"
_A = f"[A-Za-z0-9{LETTER}{MARK}{DIGIT}\u00ad]"  # the same or a digit
_Q = r"(?:['’\x92]|&apos;)"
_QUOTE = r"(?:['’\x92`‘‛\x91]|&apos;)"
_AUX = r"(?:[msdMSD]|re|ve|ll|RE|VE|LL)"
_WORD = rf"{_L}{_A}*(?:[.!?]{_L}{_A}*)*"
_PART = rf"(?:[dDoOlL]{_QUOTE}{_LETTER})?[A-Za-z0-9{LETTER}{DIGIT}]+"
_ASCII = r"[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}"
_HOST, _PATH = r'[^ \t"<>|.!?(){},]', r'[^ \t"<>|()]+[^ \t"<>|.!?(){},-]'
_SITE = r"(?:[^ \t\"`'<>|.!?(){},_$-]+\.)+(?:com|net|org|edu)"
_ATTRIBUTE = r"""[A-Za-z][\w:.-]*(?: *= *(?:"[^"]*"|'[^']*'))?"""

# If a rule has a group, the group is the token; the rest of the match is context.
_PATTERNS = [
    # Words that are split in two.
    r"(?i:(can)not|(gon|wan)na|(got)ta|(lem|gim)me)",
    rf"([A-Za-z]*[A-MO-Za-mo-z])[nN]{_QUOTE}[tT]",
    rf"({_WORD}){_Q}{_AUX}(?![A-Za-z])",
    rf"{_Q}{_AUX}(?![A-Za-z])|’(?:{_AUX}|n)",
    rf"[nN]{_QUOTE}[tT]",
    r"(?i:('t)(?:is|was))",
    rf"[yY]{_Q}(?=[A-Za-z])|[lLdDjJ]{_Q}",
    # Words, with hyphens, slashes and apostrophes inside.
    _WORD,
    rf"{_PART}(?:[-_\u058a‐‑]{_PART})*",
    r"[A-Za-z0-9][A-Za-z0-9.,\u00ad]*(?:-[A-Za-z0-9\u00ad]+)+",
    rf"{_ASCII}(?:/{_ASCII}){{1,2}}",
    r"[A-Z]+(?:(?:[+&]|&amp;)[A-Z]+)+",
    rf"(?:{_A}*&[aeiouAEIOU](?:acute|grave|uml);)+{_A}*",
    rf"{_LETTER}+[aeiouyAEIOUY]{_QUOTE}[aeiouA-Z]{_LETTER}*",
    rf"(?i:c{_Q}mon|c{_Q}est|cap{_Q}n|e{_Q}er|ev{_Q}ry|nat{_Q}l|nor{_Q}easter|s{_Q}mores|li{_Q}l)",
    rf"(?i:{_Q}em|{_Q}cause|{_Q}till?|ol{_Q}|somethin{_Q}|dunkin{_Q})",
    rf"{_Q}n{_Q}|{_Q}n(?![A-Za-z.])",
    # Full stops that belong to a word.
    rf"(?i:{_any(_ABBREVIATIONS)})\.|{_any(_CAPITAL_ABBREVIATIONS)}\.|(?i:ph\.d\.)",
    rf"(?i:({_any(_NUMBERED_ABBREVIATIONS)}\.) ?[0-9])",
    rf"[A-Za-z](?:\.[A-Za-z])+\.|[A-Za-z]\.(?! {_any(_STARTERS)}(?![A-Za-z.]))",
    rf"({_WORD}\.|{_A}+\.)[,;:]",
    # Numbers: plain, with a sign, times, fractions, raised and lowered, years.
    rf"[-+]?(?:{_N}*(?:[.:,\u00ad\u066b\u066c]{_N}+)+|{_N}+)",
    rf"(?:{_N}{{1,4}}-)?{_N}{{1,4}}[/⁄]{_N}{{1,4}}",
    r"[⁺⁻₊₋]?(?:[⁰¹²³⁴-⁹]+|[₀-₉]+)",
    rf"{_Q}[2-9]0s|{_Q}[0-9]{{2}}(?!\S)",
    # What is typed on the web: names, entities, tags, addresses, smileys.
    rf"@[A-Za-z_][A-Za-z0-9_]*|#{_L}+",
    r"&(?i:quot|apos|nbsp|lt|gt|amp);|&#[0-9]+;",
    rf"</?[A-Za-z][\w:.-]*(?: +{_ATTRIBUTE})* */? *>|<[!?][A-Za-z-][^>]*>",
    rf"https?://{_PATH}",
    rf"(?:www\.(?:{_HOST}+\.)+[a-zA-Z]{{2,4}}|{_SITE})(?:/{_PATH})?",
    r'[a-zA-Z0-9][^ \t"<>|()]*@(?:[^ \t"<>|().]+\.)*[^ \t"<>|().]+',
    r"[<>]?[:;=]['*o-]?[DPpdO()\[\]{|\\@](?![A-Za-z0-9])",
    # Runs of punctuation, then any other sign; a character without a rule has no token.
    r"[‘’‛“”„‟‚«»‹›\x91-\x94]{1,2}",
    r"\.{3,5}|(?:\. ){2,4}\.|--+|''|``|<<|>>|_+|\*+|@+|\#+|[?!]+",
    rf"[!-~¢£¤¥؋฿₠₤€￠￡￥￦\x80¼-¾⅓-⅞⁄⁺⁻₊₋、{SIGN}]",
]
_RULES = [re.compile(rule) for rule in _PATTERNS]
# A fast path for plain words, which is what most captions consist of.
_PLAIN = re.compile(r"[a-z]+(?:,? [a-z]+)*(?=,? |\Z)")
_LAST = re.compile(r"(?<![^ ])([a-z]{2,}) ?\.\Z")
_UNSPLIT = frozenset(_ABBREVIATIONS.split())
_CONTRACTED = re.compile(rf"{_Q}{_AUX}|[nN]{_QUOTE}[tT]")
_STOPS = re.compile(r"-{1,4}|\.[. ]*")
_TYPED_QUOTES = re.compile(r"[‘’‛“”„‟‚«»‹›\x91-\x94]+")
_PLAIN_QUOTES = str.maketrans(
    dict.fromkeys("‘‛‹\x91", "`")
    | dict.fromkeys("’›\x92", "'")
    | dict.fromkeys("“«\x93", "``")
    | dict.fromkeys("”»\x94", "''")
)


def _spell(token: str) -> str:
    """A token as the scorers see it, in lower case; "" for punctuation."""
    token = token.replace("\u00ad", "").lower()
    if _TYPED_QUOTES.fullmatch(token):
        token = token.translate(_PLAIN_QUOTES)
    if token in _SPELLINGS or _STOPS.fullmatch(token):
        return _SPELLINGS.get(token, "")
    if _CONTRACTED.fullmatch(token):
        token = token.replace("&apos;", "'").translate(_PLAIN_QUOTES)
    return token.replace("&amp;", "&").replace("(", "-lrb-").replace(")", "-rrb-")


@lru_cache(maxsize=1 << 16)
def words(text: str) -> tuple[str, ...]:
    """The words of a caption that the official scorers count: `"It's a T-shirt."` gives
    `("it", "'s", "a", "t-shirt")`.
    """
    found: list[str] = []
    position = 0
    if (last := _LAST.search(text)) and last[1] not in _UNSPLIT:
        text = text[: last.end(1)]
    kinds = text if text.isascii() else text.translate(_KINDS)
    while position < len(text):
        if plain := _PLAIN.match(kinds, position):
            for word in plain.group().replace(",", "").split():
                found += _PAIRS.get(word, (word,))
            position = plain.end()
            continue
        matches = [match for rule in _RULES if (match := rule.match(kinds, position))]
        if not matches:  # white space, or a character that the tokeniser drops
            position += 1
            continue
        best = max(matches, key=re.Match.end)
        start, end = best.span(best.lastindex or 0)
        found += _spell(text[start:end]).split()
        position = end
    return tuple(found)
