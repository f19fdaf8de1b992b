"""What texts alone tell: exact matches, how varied captions are, and kinds of words."""

import collections
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from v2t_lib.datasets.shapes_drawing import COLOURS, MOVES, SHAPES
from v2t_lib.text.vocabulary import normalise, sentence, tokenise


def exact_match(
    captions: Sequence[str], references: Sequence[Sequence[str]], unit: str = "word"
) -> float:
    """The share of captions that equal one of their clip's references once that is normalised.

    `unit` is what captions are cut into, as in `CaptionSpec`.
    """
    hits = [
        caption in (normalise(text, unit) for text in texts)
        for caption, texts in zip(captions, references, strict=True)
    ]
    return float(np.mean(hits))


def exact_match_by(
    captions: Sequence[str],
    references: Sequence[Sequence[str]],
    behaviours: Sequence[Sequence[str] | None],
) -> dict | None:
    """Exact match of drawn clips by their number of objects and by behaviour.

    Args:
        captions: One a clip.
        references: Each clip's.
        behaviours: What each object of a drawn clip does; None for another clip. A clip of two
            objects counts for the behaviours of both.

    Returns:
        For `objects` and `behaviour`, by name, `clips` and `exact_match`; None without drawn clips.
    """
    groups = {"objects": collections.defaultdict(list), "behaviour": collections.defaultdict(list)}
    for clip, shown in enumerate(behaviours):
        if shown is None:
            continue
        groups["objects"][str(len(shown))].append(clip)
        for behaviour in set(shown):
            groups["behaviour"][behaviour].append(clip)
    if not groups["objects"]:
        return None

    def figures(clips: list[int]) -> dict:
        share = exact_match(
            [captions[clip] for clip in clips], [references[clip] for clip in clips]
        )
        return {"clips": len(clips), "exact_match": share}

    return {
        kind: {name: figures(clips) for name, clips in sorted(parts.items())}
        for kind, parts in groups.items()
    }


#: Fewer distinct captions than this share of the clips is a collapse.
COLLAPSE_SHARE = 0.1


def diversity(
    captions: Sequence[str], training: Iterable[str] | None = None, unit: str = "word"
) -> dict:
    """How varied captions are.

    Args:
        captions: One caption a clip.
        training: The captions of the training data, if known.
        unit: What captions are cut into, as in `CaptionSpec`.

    Returns:
        `distinct_captions`: the number of different captions divided by the number of clips;
        `distinct_1` and `distinct_2`: the same for words and word pairs (arXiv 1510.03055);
        `mean_length`: in words; `seen_in_training`: the share of captions that are identical to a
        training caption, None if those are unknown.
    """
    sentences = [tokenise(caption, unit) for caption in captions]
    words = [word for of_one in sentences for word in of_one]
    pairs = [pair for of_one in sentences for pair in pairwise(of_one)]
    known = None if training is None else {normalise(text, unit) for text in training}
    texts = [sentence(of_one, unit) for of_one in sentences]
    return {
        "distinct_captions": len(set(texts)) / len(texts),
        "distinct_1": len(set(words)) / max(1, len(words)),
        "distinct_2": len(set(pairs)) / max(1, len(pairs)),
        "mean_length": len(words) / len(texts),
        "seen_in_training": None if known is None else sum(t in known for t in texts) / len(texts),
    }


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
