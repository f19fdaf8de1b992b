"""Words that one can stand in for another of: what a false sentence is made from."""

from v2t_lib.datasets.shapes_grammar import COLOURS, MOVES, SHAPES


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _verbs(stems: str) -> tuple[tuple[str, ...], ...]:
    """Each verb as "walks" and as "walking"; `stems` has e.g. "walk danc-e run-n"."""
    third, participle = [], []
    for stem in stems.split():
        root, _, ending = stem.partition("-")
        third.append(f"{root}es" if ending == "e" or root.endswith(("ch", "sh")) else f"{root}s")
        participle.append(f"{root}{ending if ending != 'e' else ''}ing")
    return tuple(third), tuple(participle)


#: By kind, groups of words of which each fits where another of the group stands.
WORD_KINDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "people": (
        _words("man woman boy girl"),
        _words("men women boys girls"),
        _words("guy lady"),
    ),
    "animals": (
        _words("dog cat horse bird cow monkey bear lion tiger fish pig rabbit"),
        _words("dogs cats horses birds cows monkeys bears lions tigers puppies kittens"),
    ),
    "numbers": (_words("two three four five six"),),
    "colours": ((*COLOURS, *_words("black white orange brown grey gray blonde")),),
    "verbs": _verbs(
        "talk sing danc-e walk run-n cook driv-e play rid-e eat sit-t stand jump swim-m cut-t "
        "fight read writ-e paint throw kick laugh cry sleep drink fly mix pour show wash wrestl-e"
    ),
    "behaviours": _verbs("grow shrink spin-n blink"),
    "shapes": (tuple(SHAPES),),
    "directions": (tuple(MOVES),),
}

#: Words that a sentence may have or lack without saying anything else.
FUNCTION_WORDS = frozenset(
    _words(
        "a an the is are am was were be been being there this that these those it its of in on at "
        "to for from by with and or while as then some someone something into onto over up out off "
        "about around his her their he she they him them who which has have having do does doing s"
    )
)


def stem(word: str) -> str:
    """A word without its ending, so that "moves" and "moving", "dogs" and "dog" are the same."""
    for ending in ("ing", "es", "ed", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            break
    if len(word) > 3 and word[-1] == word[-2]:
        word = word[:-1]
    return word.removesuffix("e") if len(word) > 3 else word


def content(words: list[str]) -> set[str]:
    """The stems of the words that say something."""
    return {stem(word) for word in words if word not in FUNCTION_WORDS or word in MOVES}
