"""Penn Treebank words in Python: what the official caption scorers count, without their Java.

Those scorers cut captions with the Stanford tokeniser 3.4.1 (one line each, lower case) and drop
punctuation. Here a scanner does the same: at every position the rule that looks furthest wins, the
earlier one where two look equally far. Rules for what captions don't hold (tags, addresses,
telephone numbers) are left out. `benchmarks/score.py` holds it against the Java.
"""

import re
from functools import lru_cache

#: Tokens that the scorers leave out. Brackets stay, as `-lrb-` and the like.
PUNCTUATION = frozenset(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"])

# Tokens that aren't written as they are typed; what is punctuation ends up empty.
_SPELLINGS = {
    **{"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"},
    **{"&amp;": "&", "&lt;": "<", "&gt;": ">", "¢": "cents", "£": "#", "¤": "$", "€": "$"},
    **{"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3"},
    **dict.fromkeys([*PUNCTUATION, *'"’‘“”«»‹›…—–―', "&quot;", "&apos;", "&nbsp;"], ""),
}
# Words of plain letters that are two words to the treebank.
_PAIRS = {
    "cannot": ("can", "not"),
    "gonna": ("gon", "na"),
    "wanna": ("wan", "na"),
    "gotta": ("got", "ta"),
    "lemme": ("lem", "me"),
    "gimme": ("gim", "me"),
}
# Their full stop belongs to them, in any case; with a capital; before a number.
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
# After a single letter and a full stop they begin a new sentence.
_STARTERS = """
    A About According Additionally After An As At But Earlier He Her Here However If In It Last Many
    More Now Once One Other Our She Since So Some Such That The Their Then There These They This We
    What When While Yet You
"""


def _any(words: str) -> str:
    return "(?:" + "|".join(sorted(words.split(), key=len, reverse=True)) + ")"


_ODD = r"\d_²³¹¼-¾⁰-₟⅐-⅞\U00010000-\U0010ffff"
_L = rf"(?:[^\W{_ODD}]|[\u0300-\u036f\u2010\u2011])"  # a letter, or what is written onto one
_A = rf"(?:{_L}|(?![²³¹⁰-₟])\d)"  # a letter or digit
_Q = r"(?:['’]|&apos;)"
_QUOTE = r"(?:['’`‘]|&apos;)"
_AUX = r"(?:[msdMSD]|re|ve|ll|RE|VE|LL)"
_WORD = rf"{_L}{_A}*(?:[.!?]{_L}{_A}*)*"
_PART = rf"(?:[dDoOlL]{_QUOTE}{_L})?{_A}+"
_ASCII = r"[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}"

# Where a rule has a group, the group is the token and the rest of the match only what it needs
# beside it.
_RULES = [
    # Words in two parts.
    r"(?i:(can)not|(gon|wan)na|(got)ta|(lem|gim)me)",
    rf"([A-Za-z]*[A-MO-Za-mo-z])[nN]{_QUOTE}[tT]",
    rf"({_WORD}){_Q}{_AUX}(?![A-Za-z])",
    rf"{_Q}{_AUX}(?![A-Za-z])|’(?:{_AUX}|n)",
    rf"[nN]{_QUOTE}[tT]",
    rf"(?i:({_Q}t)(?:is|was))",
    rf"[yY]{_Q}(?=[A-Za-z])|[lLdDjJ]{_Q}",
    # Words, with what they may have inside.
    _WORD,
    rf"{_PART}(?:-{_PART})*",
    rf"{_A}+(?:[-_]{_A}+)+",
    rf"{_ASCII}(?:/{_ASCII}){{1,2}}",
    r"[A-Z]+(?:[+&][A-Z]+)+",
    rf"{_L}+[aeiouyAEIOUY]{_QUOTE}[aeiouA-Z]{_L}*",
    rf"(?i:c{_Q}mon|c{_Q}est|cap{_Q}n|e{_Q}er|ev{_Q}ry|nat{_Q}l|nor{_Q}easter|s{_Q}mores|li{_Q}l)",
    rf"(?i:{_Q}em|{_Q}cause|{_Q}till?|ol{_Q}|somethin{_Q}|dunkin{_Q})",
    rf"{_Q}n{_Q}|{_Q}n(?![A-Za-z.])",
    # Full stops that belong to a word.
    rf"(?i:{_any(_ABBREVIATIONS)})\.|{_any(_CAPITAL_ABBREVIATIONS)}\.|(?i:ph\.d\.)",
    rf"(?i:({_any(_NUMBERED_ABBREVIATIONS)}\.) ?\d)",
    rf"{_L}(?:\.{_L})+\.|{_L}\.(?! {_any(_STARTERS)}(?![A-Za-z.]))",
    rf"({_WORD}\.|{_A}+\.)[,;:]",
    # Numbers: plain, with a sign, times, fractions, years.
    r"[-+]?(?:\d*(?:[.:,]\d+)+|\d+)",
    r"(?:\d{1,4}-)?\d{1,4}/\d{1,4}",
    rf"{_Q}[2-9]0s|{_Q}\d\d(?!\S)",
    # What is typed on the web.
    rf"@[A-Za-z_][A-Za-z0-9_]*|#{_L}+_?",
    r"&#?\w+;",
    r"[<>]?[:;=]['*o-]?[DPpdO()\[\]{|\\@](?![A-Za-z0-9])",
    # Punctuation that comes in runs, then every other sign; what is left out has no token.
    r"\.{3,5}|(?:\. ){2,4}\.|--+|''|``|<<|>>|_+|\*+|@+|\#+|[?!]+",
    r"[!-~¡-©«-¬®-±´¶-·»-¿×÷–-‣…€‰-※←-⯿]",
]
_RULES = [re.compile(rule) for rule in _RULES]
# What most captions are all of: no rule but that for words finds anything here.
_PLAIN = re.compile(r"[a-z]+(?:,? [a-z]+)*(?=,? |\Z)")
_LAST = re.compile(r"(?<![^ ])([a-z]{2,}) ?\.\Z")
_UNSPLIT = frozenset(_ABBREVIATIONS.split())
_CONTRACTED = re.compile(rf"{_Q}{_AUX}|[nN]{_Q}[tT]")
_STOPS = re.compile(r"-{1,4}|\.[. ]*")


def _spell(token: str) -> str:
    """A token as the scorers see it, in lower case; "" for punctuation."""
    if token in _SPELLINGS or _STOPS.fullmatch(token):
        return _SPELLINGS.get(token, "")
    if _CONTRACTED.fullmatch(token):
        token = token.replace("’", "'")
    return token.replace("(", "-lrb-").replace(")", "-rrb-").lower()


@lru_cache(maxsize=1 << 16)
def words(text: str) -> tuple[str, ...]:
    """The words of a caption that the official scorers count.

    Args:
        text: A caption as typed.

    Returns:
        Lower-case treebank tokens without punctuation: `"It's a T-shirt."` gives
        `("it", "'s", "a", "t-shirt")`.
    """
    found: list[str] = []
    position = 0
    if (last := _LAST.search(text)) and last[1] not in _UNSPLIT:
        text = text[: last.end(1)]
    while position < len(text):
        if plain := _PLAIN.match(text, position):
            for word in plain.group().replace(",", "").split():
                found += _PAIRS.get(word, (word,))
            position = plain.end()
            continue
        matches = [match for rule in _RULES if (match := rule.match(text, position))]
        if not matches:  # white space, or a sign that the tokeniser throws away
            position += 1
            continue
        best = max(matches, key=re.Match.end)
        group = best.lastindex or 0
        found += _spell(best.group(group)).split()
        position = best.end(group)
    return tuple(found)
