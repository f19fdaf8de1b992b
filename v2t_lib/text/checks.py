"""What to tell a user about captions before training on them or scoring them."""

import math
from collections.abc import Iterable, Sequence

from v2t_lib.progress import log
from v2t_lib.text.vocabulary import character_counts, tokenise

#: The share of captions that the suggested length leaves whole.
KEPT_WHOLE = 0.99
# Words cut by a segmenter have 2 characters on average in Han and kana, 4 in Thai and the like.
_LONG, _LONG_ALPHABETIC = 3.0, 6.0


def without_spaces(captions: Iterable[str]) -> bool:
    """Whether most captions are in a script without spaces and haven't been cut into words.

    Captions whose words were parted by a segmenter are not: their words are short.
    """
    found = [character_counts(word) for caption in captions for word in tokenise(caption)]
    affected = [count for count, _ in found if count]
    others = len(found) - len(affected)
    if not affected or others > sum(affected) / 2:
        return False
    alphabetic = sum(count for _, count in found)
    limit = _LONG_ALPHABETIC if alphabetic > sum(affected) / 2 else _LONG
    return sum(affected) / len(affected) >= limit


def truncation(captions: Iterable[str], length: int, unit: str = "word") -> tuple[int, int]:
    """How many captions are too long for a model, and what length would do.

    Args:
        captions: Captions as typed, or normalised.
        length: Most tokens in a caption; the last one is END, so `length - 1` words fit.
        unit: What captions are cut into, as in `CaptionSpec`.

    Returns:
        The number of captions that lose words, and the smallest length that keeps 99% whole.
    """
    needed = sorted(len(tokenise(caption, unit)) + 1 for caption in captions)
    cut = sum(tokens > length for tokens in needed)
    return cut, needed[math.ceil(KEPT_WHOLE * len(needed)) - 1] if needed else 1


def _ordinal(number: int) -> str:
    teen = number % 100 in (11, 12, 13)
    return f"{number}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def problems(captions: Sequence[str], length: int | None = None, unit: str = "word") -> list[str]:
    """What is wrong with a set of captions, one sentence each.

    Args:
        captions: Captions as typed.
        length: Most tokens in a caption, where a model's is known.
        unit: What captions are cut into, as in `CaptionSpec`.
    """
    found = []
    wordless = [caption for caption in captions if not tokenise(caption)]
    if wordless:
        found.append(
            f"{len(wordless)} of {len(captions)} captions have no word at all, only signs or emoji "
            f"({wordless[0]!r}), and count as empty"
        )
    if unit == "word" and without_spaces(captions):
        found.append(
            "the captions have no spaces between words, so each whole phrase counts as one word "
            f"({captions[0]!r}): cut them into words with a segmenter, or train and score with "
            "--unit character"
        )
    if length is not None:
        cut, enough = truncation(captions, length, unit)
        if cut:
            found.append(
                f"{cut} of {len(captions)} captions lose {unit}s after the {_ordinal(length - 1)}; "
                f"--length {enough} keeps 99%"
            )
    return found


def warn(captions: Sequence[str], length: int | None = None, unit: str = "word") -> None:
    """Prints the `problems` about captions to stderr."""
    for problem in problems(captions, length, unit):
        log.warning("warning: %s", problem)
