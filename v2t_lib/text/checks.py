"""What to tell a user about captions before training on them or scoring them."""

import math
import re
from collections.abc import Sequence

from v2t_lib.progress import log
from v2t_lib.text.vocabulary import CHARACTER, tokenise

#: The share of captions that the suggested length leaves whole.
KEPT_WHOLE = 0.99
# Words cut by a segmenter have 2 characters on average in Han and kana, 3 in Thai and the like.
_LONG = 4


def without_spaces(captions: Sequence[str]) -> bool:
    """Whether most captions are in a script without spaces and haven't been cut into words."""
    words = [word for caption in captions for word in tokenise(caption)]
    counts = [len(re.findall(CHARACTER, word)) for word in words]
    affected = sum(count > 0 for count in counts)
    return 2 * (len(words) - affected) <= sum(counts) and sum(counts) >= _LONG * max(1, affected)


def problems(captions: Sequence[str], length: int | None = None, unit: str = "word") -> list[str]:
    """What is wrong with a set of captions, one sentence each.

    Args:
        captions: Captions as typed.
        length: Most tokens in a caption, END among them, where a model's is known.
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
    needed = sorted(len(tokenise(caption, unit)) + 1 for caption in captions)
    if length is not None and needed and needed[-1] > length:
        cut = sum(tokens > length for tokens in needed)
        enough = needed[math.ceil(KEPT_WHOLE * len(needed)) - 1]
        found.append(
            f"{cut} of {len(captions)} captions have more than {length - 1} {unit}s and lose those "
            f"after; --length {enough} keeps {KEPT_WHOLE:.0%} whole"
        )
    return found


def warn(captions: Sequence[str], length: int | None = None, unit: str = "word") -> None:
    """Prints the `problems` about captions to stderr."""
    for problem in problems(captions, length, unit):
        log.warning("warning: %s", problem)
