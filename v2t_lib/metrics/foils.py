"""Foils: sentences that are not true of a clip, of three kinds, beside ones that are."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from v2t_lib.metrics.word_kinds import WORD_KINDS, content, stem
from v2t_lib.text.vocabulary import tokenise

#: A caption of a random other clip, the most similar one of another clip, and a caption of the
#: clip's own with one word swapped for another of its kind.
FOILS = ("random", "similar", "swapped")
TRUE = "true"
#: Other clips whose captions are tried for a random foil.
_TRIES = 20


@dataclasses.dataclass(frozen=True)
class Claim:
    """A sentence that is claimed of a clip.

    Attributes:
        clip: The clip's number.
        sentence: The sentence, normalised.
        kind: `TRUE`, or one of `FOILS`.
        words: For a swapped word its kind in `WORD_KINDS`; else "".
    """

    clip: int
    sentence: str
    kind: str
    words: str = ""


def claims(
    captions: Sequence[Sequence[str]],
    judgeable: Callable[[str], bool] = bool,
    per_clip: int = 4,
    seed: int = 0,
) -> list[Claim]:
    """True sentences about clips, each followed by a foil of each kind as far as there is one.

    A caption of another clip may be true of this one as well: it is no foil if every word with a
    meaning stands, in some form, in the clip's own captions too. Words are swapped both ways
    equally often ("man" for "woman" as often as "woman" for "man"), so that a foil can't be told by
    how frequent its words are.

    Args:
        captions: Every clip's captions.
        judgeable: Whether a model can judge a sentence; others are left out.
        per_clip: Captions of a clip that are claimed of it, at most.
        seed: Of all choices.

    Returns:
        The claims, clip by clip.
    """
    rng = np.random.default_rng(seed)
    own = [content([word for text in of for word in tokenise(text)]) for of in captions]
    usable = [[" ".join(tokenise(t)) for t in dict.fromkeys(of) if judgeable(t)] for of in captions]
    chosen = [
        (clip, of[number])
        for clip, of in enumerate(usable)
        for number in sorted(rng.permutation(len(of))[:per_clip])
    ]
    similar = _most_similar(chosen, usable, own)
    counts = Counter(word for _, text in chosen for word in text.split())
    found = []
    for (clip, text), near in zip(chosen, similar, strict=True):
        found.append(Claim(clip, text, TRUE))
        foils = {"random": (_random(clip, usable, own, rng), ""), "similar": (near, "")}
        foils["swapped"] = next(_swapped(text, own[clip], counts, judgeable, rng), ("", ""))
        found += [Claim(clip, foil, kind, of) for kind, (foil, of) in foils.items() if foil]
    return found


def _random(clip: int, usable: Sequence, own: Sequence[set], rng: np.random.Generator) -> str:
    for other in rng.integers(len(usable), size=_TRIES):
        if other != clip and usable[other]:
            text = usable[other][rng.integers(len(usable[other]))]
            if not content(text.split()) <= own[clip]:
                return text
    return ""


def _most_similar(chosen: Sequence, usable: Sequence, own: Sequence[set]) -> list[str]:
    """For each chosen caption the other clips' most similar one, by TF-IDF, that isn't true."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = sorted({text for of in usable for text in of})
    if not chosen:
        return []
    meanings = [content(text.split()) for text in texts]
    vectors = TfidfVectorizer(analyzer=str.split).fit_transform(texts)
    places = {text: number for number, text in enumerate(texts)}
    found = []
    for clip, text in chosen:
        near = (vectors @ vectors[places[text]].T).toarray().ravel()
        ranked = (number for number in np.argsort(-near, kind="stable") if near[number] > 0)
        foils = (texts[n] for n in ranked if not meanings[n] <= own[clip])
        found.append(next(foils, ""))
    return found


def _swapped(
    text: str,
    own: set[str],
    counts: Counter,
    judgeable: Callable[[str], bool],
    rng: np.random.Generator,
) -> Iterator[tuple[str, str]]:
    """Yields foils with one word swapped, and the word's kind; kinds in random order."""
    words = text.split()
    places = [
        (place, kind, group)
        for place, word in enumerate(words)
        for kind, groups in WORD_KINDS.items()
        for group in groups
        if word in group and (kind != "directions" or stem(words[place - 1]) == "mov")
    ]
    for number in rng.permutation(len(places)):
        place, kind, group = places[number]
        other = group[rng.integers(len(group))]
        # As many swaps one way as the other: with chances n(other) / n(word), at most 1, the
        # expected number from a word to the other is the lesser of the two counts, both ways.
        even = rng.random() * counts[words[place]] < counts[other]
        foil = " ".join([*words[:place], other, *words[place + 1 :]])
        if even and not content([other]) <= own and judgeable(foil):
            yield foil, kind
