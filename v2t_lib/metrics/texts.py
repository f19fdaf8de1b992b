"""What texts alone tell: exact matches, how varied captions are, and kinds of words."""

import collections
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from v2t_lib.datasets.shapes_drawing import COLOURS, MOVES, SHAPES
from v2t_lib.text.content import meaning
from v2t_lib.text.vocabulary import normalise, sentence, tokenise


def exact_match(
    captions: Sequence[str], references: Sequence[Sequence[str]], unit: str = "word"
) -> float:
    """The share of captions that equal one of their clip's references once that is normalised."""
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
    """Exact match of drawn clips by their number of objects and by what each object does.

    A clip of two objects counts for the `behaviours` of both; they are None for other clips.

    Returns:
        For `objects` and `behaviour`, by name, `clips` and `exact_match`; None without drawn clips.
    """
    hits = {"objects": collections.defaultdict(list), "behaviour": collections.defaultdict(list)}
    for caption, texts, shown in zip(captions, references, behaviours, strict=True):
        if shown is not None:
            hit = exact_match([caption], [texts])
            hits["objects"][str(len(shown))].append(hit)
            for behaviour in set(shown):
                hits["behaviour"][behaviour].append(hit)
    if not hits["objects"]:
        return None
    return {
        kind: {
            name: {"clips": len(of), "exact_match": float(np.mean(of))}
            for name, of in sorted(groups.items())
        }
        for kind, groups in hits.items()
    }


#: Fewer distinct captions than this share of the clips is a collapse.
COLLAPSE_SHARE = 0.1


def diversity(
    captions: Sequence[str], training: Iterable[str] | None = None, unit: str = "word"
) -> dict:
    """How varied captions are, one a clip.

    Returns:
        `distinct_captions`: the number of different captions divided by the number of clips;
        `distinct_1` and `distinct_2`: the same for words and word pairs (arXiv 1510.03055);
        `mean_length`: in words; `seen_in_training`: the share of captions that are identical to a
        caption of `training`, None if those are unknown.
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


_WORDS = {
    "people": ("man woman boy girl", "men women boys girls", "guy lady"),
    "animals": (
        "dog cat horse bird cow monkey bear lion tiger fish pig rabbit",
        "dogs cats horses birds cows monkeys bears lions tigers puppies kittens",
    ),
    "numbers": ("two three four five six",),
    "colours": (" ".join([*COLOURS, "black white orange brown grey gray blonde"]),),
    "verbs": (
        "talks sings dances walks runs cooks drives plays rides eats sits stands jumps swims cuts "
        "fights reads writes paints throws kicks laughs cries sleeps drinks flies mixes pours "
        "shows washes wrestles",
        "talking singing dancing walking running cooking driving playing riding eating sitting "
        "standing jumping swimming cutting fighting reading writing painting throwing kicking "
        "laughing crying sleeping drinking flying mixing pouring showing washing wrestling",
    ),
    "behaviours": ("grows shrinks spins blinks", "growing shrinking spinning blinking"),
    "shapes": (" ".join(SHAPES),),
    "directions": (" ".join(MOVES),),
}
#: By kind, groups of words of which each fits where another of the group stands.
WORD_KINDS = {kind: [group.split() for group in groups] for kind, groups in _WORDS.items()}


def content(words: list[str]) -> set[str]:
    """The stems of the words that say something."""
    return {*meaning(words)}
