"""What drawn clips can show, and how a caption says it."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Container, Sequence

import numpy as np

COLOURS = {
    "red": (214, 32, 36),
    "yellow": (240, 212, 30),
    "green": (38, 158, 52),
    "blue": (34, 76, 220),
    "purple": (126, 34, 178),
    "pink": (250, 128, 190),
}
MOVES = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
BEHAVIOURS = (*(f"moves {way}" for way in MOVES), "grows", "shrinks", "spins", "blinks")
#: Every held-out clip has a caption in each of three phrasings. A train or val clip has one, drawn
#: with these shares: people, too, have their favourite ways to say a thing.
PHRASING_SHARES = (0.6, 0.25, 0.15)


def _star(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    # Folded into one half point: inside lies left of the line from the tip to the inner corner.
    sector = 2 * math.pi / 5
    angle = np.abs((np.arctan2(u, -v) + sector / 2) % sector - sector / 2)
    radius = np.hypot(u, v)
    corner_u, corner_v = 0.38 * math.cos(sector / 2), 0.38 * math.sin(sector / 2)
    return radius * (corner_v * np.cos(angle) + (1 - corner_u) * np.sin(angle)) <= corner_v


#: Tests on coordinates within the shape's own unit circle, v pointing down.
SHAPES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "circle": lambda u, v: u * u + v * v <= 0.8,
    "square": lambda u, v: np.maximum(np.abs(u), np.abs(v)) <= 0.8,
    "triangle": lambda u, v: (v <= 0.5) & (v >= 1.732 * np.abs(u) - 1.0),
    "star": _star,
    "cross": lambda u, v: (
        (np.minimum(np.abs(u), np.abs(v)) <= 0.3) & (np.maximum(np.abs(u), np.abs(v)) <= 0.95)
    ),
}


@dataclasses.dataclass(frozen=True)
class Thing:
    """What a caption says of one drawn object."""

    colour: str
    shape: str
    behaviour: str

    @property
    def unseen(self) -> bool:
        """Whether the combination is kept out of training.

        One behaviour for each colour and shape is, so that every pair of words still occurs.
        """
        colour = list(COLOURS).index(self.colour)
        shape = list(SHAPES).index(self.shape)
        return BEHAVIOURS[(colour + 3 * shape) % len(BEHAVIOURS)] == self.behaviour


#: A turning circle shows nothing, so there is none.
THINGS = tuple(
    Thing(*words)
    for words in itertools.product(COLOURS, SHAPES, BEHAVIOURS)
    if words[1:] != ("circle", "spins")
)
SEEN = tuple(thing for thing in THINGS if not thing.unseen)
UNSEEN = tuple(thing for thing in THINGS if thing.unseen)


def _participle(behaviour: str) -> str:
    verb, *way = behaviour.split()
    stem = {"moves": "mov", "spins": "spinn", "shrinks": "shrink"}.get(verb, verb[:-1])
    return " ".join([f"{stem}ing", *way])


def describe(things: tuple[Thing, ...], phrasing: int) -> str:
    """The caption of `things`, named from left to right, in one of the three phrasings."""

    if phrasing == 0:
        return " while ".join(f"a {t.colour} {t.shape} {t.behaviour}" for t in things)
    if phrasing == 1:
        return " and ".join(
            f"the {t.colour} {t.shape} is {_participle(t.behaviour)}" for t in things
        )
    named = " and ".join(f"a {t.colour} {t.shape} {_participle(t.behaviour)}" for t in things)
    return f"there is {named}"


_VERBS = {way(behaviour).split()[0] for behaviour in BEHAVIOURS for way in (str, _participle)}


def references(words: Sequence[str]) -> list[tuple[str, int] | None]:
    """What each word of a caption speaks of.

    Returns:
        For each word its kind, "colour", "shape" or "behaviour", and the object's number, counted
        from 0 from left to right; None for words that speak of no object. The n-th colour belongs
        to the n-th object, and so do the n-th shape and the n-th verb; a direction belongs to the
        verb before it.
    """
    counts = {"colour": -1, "shape": -1, "behaviour": -1}
    kinds: tuple[Container[str], ...] = (COLOURS, SHAPES, _VERBS)
    found: list[tuple[str, int] | None] = []
    for word in words:
        if word in MOVES and counts["behaviour"] >= 0:
            found.append(("behaviour", counts["behaviour"]))
            continue
        kind = next(
            (k for k, said in zip(counts, kinds, strict=True) if word in said),
            "",
        )
        if kind:
            counts[kind] += 1
        found.append((kind, counts[kind]) if kind else None)
    return found


_SAID = {way(behaviour): behaviour for behaviour in BEHAVIOURS for way in (str, _participle)}


def behaviours(words: Sequence[str]) -> list[str]:
    """What each object of a drawn clip does, from left to right, by a caption of any phrasing."""
    said: dict[int, list[str]] = {}
    for word, reference in zip(words, references(words), strict=True):
        if reference and reference[0] == "behaviour":
            said.setdefault(reference[1], []).append(word)
    return [_SAID[" ".join(part)] for part in said.values()]
