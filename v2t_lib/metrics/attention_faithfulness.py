"""Faithfulness of the attention: does it point at the right object, and does the word depend on it?

The pointing game needs the embedded data, whose masks say which pixels belong to which object.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from v2t_lib.datasets.shapes import references
from v2t_lib.metrics.bootstrap import bootstrap, interval
from v2t_lib.models.caption import Caption, over_pixels
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.verification import blanked

_BATCH = 64


def to_cells(mask: np.ndarray, grid: tuple[int, int, int], shift=(0.0, 0.0)) -> np.ndarray:
    """bool `(T, H, W)` to bool `grid`: whether a cell contains a pixel of the mask."""
    numbers = over_pixels(np.arange(np.prod(grid)).reshape(grid), mask.shape, shift)
    return np.isin(np.arange(np.prod(grid)), numbers[mask]).reshape(grid)


class PointedWord(NamedTuple):
    """How well a word's attention points at the object that the word is about."""

    behaviour: bool  # or else a colour or a shape
    hit: bool  # the cell with the highest weight shows the object
    chance: float  # the share of cells that do
    mass: float  # the share of the attention on them


def pointed_words(caption: Caption, masks: np.ndarray | None) -> Iterator[PointedWord]:
    """Yields the words of a caption that are about an object, by masks bool `(T, H, W, objects)`.

    For a colour or a shape the cells that count are those that show the object, each at its time. A
    behaviour takes time to show: any cell on the object's track counts. Where the caption describes
    an object that the clip doesn't have, no cell counts.
    """
    if masks is None:
        return
    grid = caption.attention.shape[1:]
    shift = caption.cell_shift
    cells = [to_cells(masks[..., number], grid, shift) for number in range(masks.shape[-1])]
    for word, reference in enumerate(references(caption.words)):
        if reference and reference[1] < len(cells):
            behaviour, shows = reference[0] == "behaviour", cells[reference[1]]
            if behaviour:
                shows = np.broadcast_to(shows.any(axis=0), grid)
            weights = caption.attention[word]
            hit, mass = shows.flat[weights.argmax()], weights[shows].sum()
            yield PointedWord(behaviour, hit, shows.mean(), mass)


def pointing(words: Sequence[PointedWord]) -> dict:
    """The pointing game (arXiv 1608.00507), and the share of the attention on the object.

    Means over words, in fractions: `pointing`, `pointing_chance` and `mass_on_object` of colours
    and shapes, `pointing_behaviour` and `pointing_behaviour_chance`; None without such words.
    """

    def mean(figure: str, behaviour: bool) -> float | None:
        values = [getattr(word, figure) for word in words if word.behaviour == behaviour]
        return float(np.mean(values)) if values else None

    return {
        "pointing": mean("hit", False),
        "pointing_chance": mean("chance", False),
        "mass_on_object": mean("mass", False),
        "pointing_behaviour": mean("hit", True),
        "pointing_behaviour_chance": mean("chance", True),
    }


def deletion(
    captioner: Captioner, captions: Sequence[Caption], seed: int = 0, every_word: bool = False
) -> dict | None:
    """The deletion test (arXiv 1806.07421), word by word: does a word depend on where it attends?

    For each word about a drawn object, or every word, the tenth of the cells with the most
    attention is blanked in the clip, and in another copy a random tenth; the same sentence is
    scored on both.

    Returns:
        The mean `drop` of the words' probabilities, the drop for `random` cells, their paired
        `difference` with its 95% `interval` (bootstrap over clips), and how many `words`; None
        without such words.
    """
    rng = np.random.default_rng(seed)
    # The last word of a caption cut off by the length limit has no room when it is scored.
    longest = captioner.caption_spec.length - 1
    words = [
        (clip, word)
        for clip, caption in enumerate(captions)
        for word, reference in enumerate(references(caption.words[:longest]))
        if reference or every_word
    ]
    if not words:
        return None
    clips = [clip for clip, _ in words]
    attended, random = _drops(captioner, captions, words, rng).T
    difference = attended - random
    samples = bootstrap(lambda weights: np.average(difference, weights=weights), clips, seed)
    return {
        "drop": float(attended.mean()),
        "random": float(random.mean()),
        "difference": float(difference.mean()),
        "interval": interval(samples),
        "words": len(words),
    }


def _drops(
    captioner: Captioner,
    captions: Sequence[Caption],
    words: Sequence[tuple[int, int]],
    rng: np.random.Generator,
) -> np.ndarray:
    """How far each word's probability falls without its most attended tenth, and a random one."""
    drops = []
    for start in range(0, len(words), _BATCH // 2):
        rows = words[start : start + _BATCH // 2]
        clips, texts = [], []
        for number, word in rows:
            caption, weights = captions[number], captions[number].attention[word]
            for values in (weights, rng.random(weights.shape)):
                clips.append(blanked(caption.frames, values, caption.cell_shift))
                texts.append(caption.text)
        scored = captioner.explain_frames(np.stack(clips), texts)
        for (number, word), *after in zip(rows, scored[::2], scored[1::2], strict=True):
            drops.append([captions[number].probs[word] - one.probs[word] for one in after])
    return np.array(drops)
