"""What drawn clips show: one or two coloured shapes over a textured background, with masks.

Shapes move, grow, shrink, spin or blink; grey distractors don't. Of two shapes each stays in its
own half, and the left one is named first, so that the clip alone decides the caption.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable

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


@dataclasses.dataclass(frozen=True)
class Drawing:
    """One drawn clip."""

    things: tuple[Thing, ...]  # from left to right
    pictures: np.ndarray  # uint8 (N, H, W), palette indices
    masks: np.ndarray  # uint8 (N, H, W), 0 for the background, k for the k-th object
    palette: np.ndarray  # uint8 (colours, 3)
    delays: list[int]  # the time each of the N pictures is shown, in milliseconds


def _background(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Eight muted tones and a picture of them, with grey distractors."""
    light = rng.uniform(30, 215)
    tones = light + np.linspace(-22, 22, 8)[:, None] + rng.uniform(-9, 9, 3)
    y, x = np.mgrid[0:height, 0:width]
    angle = rng.uniform(0, 2 * math.pi)
    slope = (x * math.cos(angle) + y * math.sin(angle)) / max(height, width)
    kind = rng.integers(4)
    if kind == 0:
        level = np.full((height, width), 4.0)
    elif kind == 1:
        level = 3.5 + 3.0 * slope
    elif kind == 2:
        level = 3.5 + 1.5 * np.sign(np.sin(slope * rng.uniform(15, 50)))
    else:
        tile = int(rng.integers(8, 20))
        level = 3.5 + 1.5 * ((x // tile + y // tile) % 2)
    level += rng.normal(0, rng.uniform(0, 0.6), (height, width))
    for _ in range(rng.integers(0, 5)):
        top, left = rng.integers(0, height - 4), rng.integers(0, width - 4)
        size = rng.integers(2, 8, 2)
        level[top : top + size[0], left : left + size[1]] = rng.integers(0, 8)
    return np.clip(level, 0, 7).astype(np.uint8), np.clip(tones, 0, 255)


@dataclasses.dataclass(frozen=True)
class _Track:
    """One object's path, in pixels and radians; `phase` is time as a fraction of the clip."""

    thing: Thing
    centre: tuple[float, float]
    radius: float
    reach: float  # how far it moves
    beyond: float  # how far outside its path it starts, beyond the canvas
    turn: float  # how far a spinning object turns
    tilt: float  # its angle at the start
    cycles: float  # how often a blinking object blinks
    enters: float  # the phase in which it appears

    def at(self, phase: float) -> tuple[float, float, float, float]:
        """`(x, y, radius, angle)` in pixels and radians; radius 0 where nothing shows."""
        x, y = self.centre
        radius, angle = self.radius, self.tilt
        verb, *way = self.thing.behaviour.split()
        if verb == "moves":
            along_x, along_y = MOVES[way[0]]
            shift = self.reach * (phase - 0.5) - self.beyond * (1 - phase)
            x, y = x + along_x * shift, y + along_y * shift
        elif verb == "grows":
            radius *= 0.5 + 0.5 * phase
        elif verb == "shrinks":
            radius *= 1.0 - 0.5 * phase
        elif verb == "spins":
            angle += self.turn * phase
        elif (phase * self.cycles) % 1.0 > 0.6:
            radius = 0.0
        return x, y, radius if phase >= self.enters else 0.0, angle


def _track(
    rng: np.random.Generator, thing: Thing, left: float, right: float, height: int, canvas: int
) -> _Track:
    """Places an object so that its whole path stays between `left` and `right`.

    Some objects appear late, some enter from outside the canvas where its edge is behind them.
    """
    width = right - left
    radius = rng.uniform(0.31, 0.38) * min(width, height * 0.7)
    verb, *way = thing.behaviour.split()
    room_x, room_y = width - 2 * radius, height - 2 * radius
    reach = beyond = 0.0
    if verb == "moves":
        across = MOVES[way[0]][0] != 0
        reach = rng.uniform(0.75, 1.0) * (room_x if across else min(room_y, 0.7 * height))
        room_x, room_y = (room_x - reach, room_y) if across else (room_x, room_y - reach)
        open_behind = {"left": right == canvas, "right": left == 0}.get(way[0], True)
        if open_behind and rng.random() < 0.25:
            beyond = 2 * radius
    return _Track(
        thing=thing,
        centre=(
            (left + right) / 2 + rng.uniform(-0.5, 0.5) * room_x,
            height / 2 + rng.uniform(-0.5, 0.5) * room_y,
        ),
        radius=radius,
        reach=reach,
        beyond=beyond,
        turn=float(rng.choice([-1, 1]) * rng.uniform(math.pi, 1.5 * math.pi)),
        tilt=rng.uniform(-0.15, 0.15),
        cycles=rng.uniform(2.2, 3.6),
        enters=rng.uniform(0.0, 0.2) if rng.random() < 0.3 else 0.0,
    )


def _stamp(mask: np.ndarray, track: _Track, phase: float, value: int) -> None:
    x, y, radius, angle = track.at(phase)
    if not radius:
        return
    height, width = mask.shape
    top, bottom = max(0, int(y - radius)), min(height, int(y + radius) + 2)
    left, right = max(0, int(x - radius)), min(width, int(x + radius) + 2)
    down = ((np.arange(top, bottom) - y) / radius)[:, None]
    along = ((np.arange(left, right) - x) / radius)[None, :]
    cos, sin = math.cos(angle), math.sin(angle)
    inside = SHAPES[track.thing.shape](along * cos + down * sin, down * cos - along * sin)
    mask[top:bottom, left:right][inside] = value


def _things(rng: np.random.Generator, unseen: bool) -> tuple[Thing, ...]:
    count = 1 if rng.random() < 0.6 else 2
    things = [SEEN[i] for i in rng.integers(len(SEEN), size=count)]
    if unseen:
        things[int(rng.integers(count))] = UNSEEN[int(rng.integers(len(UNSEEN)))]
    return tuple(things)


def draw(rng: np.random.Generator, *, unseen: bool = False) -> Drawing:
    """Draws one clip; `unseen` puts a combination into it that training never shows."""
    things = _things(rng, unseen)
    height, width = (int(n) for n in rng.integers(80, 113, 2))
    background, tones = _background(rng, height, width)
    edges = np.linspace(0, width, len(things) + 1)
    tracks = [_track(rng, t, edges[k], edges[k + 1], height, width) for k, t in enumerate(things)]
    delays = (10 * rng.integers(4, 13, int(rng.integers(14, 25)))).tolist()
    starts = np.cumsum([0, *delays])
    phases = (starts[:-1] + np.array(delays) / 2) / starts[-1]
    masks = np.zeros((len(delays), height, width), np.uint8)
    for mask, phase in zip(masks, phases, strict=True):
        for number, track in enumerate(tracks, start=1):
            _stamp(mask, track, phase, number)
    pictures = np.where(masks > 0, masks + np.uint8(7), background)
    if rng.random() < 0.3:
        spots = rng.integers(0, pictures.size, int(0.002 * pictures.size))
        pictures.flat[spots] = rng.integers(0, 8, len(spots))
    paint = [np.array(COLOURS[t.colour]) + rng.uniform(-12, 12, 3) for t in things]
    palette = np.clip(np.vstack([tones, *paint]), 0, 255).astype(np.uint8)
    return Drawing(things, pictures, masks, palette, delays)
