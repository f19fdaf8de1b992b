"""Foils: sentences, phrases and words that are false of a clip, beside true ones."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from v2t_lib.metrics.texts import WORD_KINDS, content
from v2t_lib.models.verification import PHRASE_WORDS
from v2t_lib.models.verifier import PHRASE, WORD
from v2t_lib.text.content import content_words, meaning, says, stem
from v2t_lib.text.vocabulary import tokenise

#: A caption of a random other clip, the most similar one of another clip, and one of the clip's own
#: captions with a word swapped for another of its kind.
FOILS = ("random", "similar", "swapped")
TRUE = "true"
#: A part of another clip's caption; and such a one whose words are all said of the clip, but not
#: together.
PART, RECOMBINED = "part", "recombined"
#: How often a recombined one is looked for first, and clips that are tried for each foil.
RECOMBINE, _CLIPS = 0.25, 100
#: Times that random pairs are drawn, of those that don't have a partner yet.
_TRIES = 20
#: Similar sentences of each that may become its partner.
_NEIGHBOURS = 100


@dataclasses.dataclass(frozen=True)
class Claim:
    """A sentence that is claimed of a clip."""

    clip: int  # its number
    sentence: str  # words, or characters, with single spaces between
    kind: str  # `TRUE`, or one of `FOILS`
    words: str = ""  # for a swapped word its kind in `WORD_KINDS`


def claims(
    captions: Sequence[Sequence[str]],
    judgeable: Callable[[str], bool] = bool,
    per_clip: int = 4,
    seed: int = 0,
    unit: str = "word",
) -> list[Claim]:
    """True sentences about clips, each followed by a foil of each kind where there is one.

    A caption of another clip may be true of this one as well: it is no foil if all its content
    words, in some form, are in the clip's own captions too.

    Foils can't be told by their words alone. Captions are exchanged between clips in pairs, random
    or most similar, so that each is a foil as often as it is true; words are swapped both ways
    equally often, "man" for "woman" as often as "woman" for "man".

    Args:
        captions: Every clip's captions.
        judgeable: Whether a model can judge a sentence; others are left out.
        per_clip: Captions of a clip that are claimed of it, at most.
        seed: Of all choices.
        unit: What captions are cut into, see `CaptionSpec`.
    """
    rng = np.random.default_rng(seed)
    words = [[tokenise(text, unit) for text in dict.fromkeys(of)] for of in captions]
    own = [content([word for text in of for word in text]) for of in words]
    usable = [[text for text in map(" ".join, of) if judgeable(text)] for of in words]
    chosen = [
        (clip, of[number])
        for clip, of in enumerate(usable)
        for number in sorted(rng.permutation(len(of))[:per_clip])
    ]
    exchanged = _exchanged(chosen, own, rng)
    counts = Counter(word for _, text in chosen for word in text.split())
    found = []
    for number, (clip, text) in enumerate(chosen):
        found.append(Claim(clip, text, TRUE))
        for kind, partner in exchanged.items():
            if number in partner:
                found.append(Claim(clip, chosen[partner[number]][1], kind))
        for foil, words in itertools.islice(_swapped(text, own[clip], counts, judgeable, rng), 1):
            found.append(Claim(clip, foil, "swapped", words))
    return found


def parts(
    captions: Sequence[Sequence[str]],
    known: Callable[[str], bool] = bool,
    per_clip: int = 4,
    seed: int = 0,
    unit: str = "word",
) -> dict[str, list[Claim]]:
    """By form, words and phrases of clips' captions as claims, true ones each followed by a foil.

    A phrase is 2 to `PHRASE_WORDS` content words that follow each other, function words left out.
    It is false of a clip that no caption says it of. Each is a foil as often as it is true, where
    there is a clip that it is false of. Arguments are those of `claims`; `known` is asked of words.
    """
    rng, made = np.random.default_rng(seed), {WORD: [], PHRASE: []}  # type: ignore[var-annotated]
    said = [[content_words(tokenise(text, unit)) for text in of] for of in captions]
    own = [content([word for words in of for word in words]) for of in said]
    for clip, of in enumerate(said):
        for form, least, most in ((WORD, 1, 1), (PHRASE, 2, PHRASE_WORDS)):
            found = sorted({run for words in of for run in _runs(words, least, most)})
            found = [run for run in found if all(map(known, run))]
            for number in rng.permutation(len(found))[:per_clip]:
                run = found[number]
                others = rng.permutation(len(captions))[:_CLIPS].tolist()
                false = [n for n in others if not any(says(words, run) for words in said[n])]
                mixed = [other for other in false if own[other].issuperset(meaning(run))]
                made[form].append(Claim(clip, " ".join(run), TRUE))
                if mixed and rng.random() < RECOMBINE:
                    made[form].append(Claim(mixed[0], " ".join(run), RECOMBINED))
                elif false:
                    made[form].append(Claim(false[0], " ".join(run), PART))
    return made


def _runs(words: list[str], least: int, most: int) -> Iterator[tuple[str, ...]]:
    """Yields the words that follow each other, `least` to `most` at a time."""
    for size in range(least, most + 1):
        for first in range(len(words) - size + 1):
            yield tuple(words[first : first + size])


def _exchanged(
    chosen: Sequence[tuple[int, str]], own: Sequence[set[str]], rng: np.random.Generator
) -> dict[str, dict[int, int]]:
    """By kind of foil, the numbers of the sentences `(clip, text)` that are exchanged.

    `own` has for each clip the stems of its captions' words.
    """
    meanings = [content(text.split()) for _, text in chosen]

    def exchangeable(one: int, other: int) -> bool:
        """Whether each of two sentences is false of the other's clip."""
        clips = chosen[one][0], chosen[other][0]
        return not (meanings[one] <= own[clips[1]] or meanings[other] <= own[clips[0]])

    return {
        "random": _matched(_random_pairs(len(chosen), rng), exchangeable),
        "similar": _matched(_similar_pairs([text for _, text in chosen]), exchangeable),
    }


def _matched(
    pairs: Iterable[tuple[int, int]], exchangeable: Callable[[int, int], bool]
) -> dict[int, int]:
    """Partners, each of the other, from pairs of which the first that fit are taken."""
    partner: dict[int, int] = {}
    for one, other in pairs:
        if one not in partner and other not in partner and exchangeable(one, other):
            partner |= {one: other, other: one}
    return partner


def _random_pairs(count: int, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    for _ in range(_TRIES):
        order = rng.permutation(count).tolist()
        yield from zip(order[::2], order[1::2], strict=False)


def _similar_pairs(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Pairs of sentences, the most similar first, by TF-IDF; some for every sentence."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.neighbors import NearestNeighbors

    if len(texts) < 2:
        return
    vectors = TfidfVectorizer(analyzer=str.split).fit_transform(texts)
    nearest = NearestNeighbors(n_neighbors=min(_NEIGHBOURS, len(texts) - 1), metric="cosine")
    distances, others = nearest.fit(vectors).kneighbors()
    for place in np.argsort(distances, axis=None, kind="stable"):
        one, column = divmod(int(place), distances.shape[1])
        yield one, int(others[one, column])


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
