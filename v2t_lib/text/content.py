"""Which words of a sentence say something that can be seen, and which turn it around."""

from collections.abc import Iterable

_WITHOUT_MEANING = (
    "a an the is are am was were be been being there this that these those it its of in on at to "
    "for from by with and or while as then some someone something into onto over out off about "
    "around his her their he she they him them who which has have having do does doing s"
)
#: Words that a sentence may have or lack without saying anything else.
FUNCTION_WORDS = frozenset(_WITHOUT_MEANING.split())

_TURNING = (
    "not no never without nothing nobody none nowhere neither nor cannot can't don't doesn't isn't "
    "aren't wasn't weren't won't dont doesnt isnt arent cant ain't hardly barely except unless if "
    "or instead fake lacks lacking missing "
    "nicht kein keine keinen keiner ohne niemals nie pas sans jamais nunca sin ningún não sem non "
    "senza 不 没 沒 無 无 非 未"
)
#: Words after which the others no longer say what they say by themselves: negations, alternatives.
TURNING_WORDS = frozenset(_TURNING.split())


def content_words(words: Iterable[str]) -> list[str]:
    """The words that say something by themselves."""
    return [word for word in words if word not in FUNCTION_WORDS]


def turned(words: Iterable[str]) -> str:
    """The first word that turns a sentence around, "" where none does."""
    return next((w for w in words if w in TURNING_WORDS or w.endswith("n't")), "")


def stem(word: str) -> str:
    """A word without its ending, so that "moves" and "moving", "dogs" and "dog" are the same."""
    for ending in ("ing", "es", "ed", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            break
    if len(word) > 3 and word[-1] == word[-2]:
        word = word[:-1]
    return word.removesuffix("e") if len(word) > 3 else word


def meaning(words: Iterable[str]) -> tuple[str, ...]:
    """The stems of the words that say something by themselves, in their order."""
    return tuple(map(stem, content_words(words)))


def says(words: Iterable[str], part: Iterable[str]) -> bool:
    """Whether the content words of a part follow each other in a sentence, in any form."""
    whole, run = meaning(words), meaning(part)
    return any(run == whole[first : first + len(run)] for first in range(len(whole)))
