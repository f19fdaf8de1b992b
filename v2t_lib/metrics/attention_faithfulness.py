"""Is the heat true? Whether words look at what they speak of, and need what they look at.

Measured on the embedded data, where masks say which pixels belong to which object.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from v2t_lib.datasets.shapes_grammar import references
from v2t_lib.models.caption import Caption
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.cells import cell_of

#: The share of cells that the deletion test blanks.
DELETED = 0.1
_BATCH = 64


def to_cells(mask: np.ndarray, grid: tuple[int, int, int]) -> np.ndarray:
    """bool `(T, H, W)` to bool `grid`: whether a cell holds any of the mask."""
    for axis, cells in enumerate(grid):
        parts = np.array_split(mask, cells, axis=axis)
        mask = np.stack([part.any(axis=axis) for part in parts], axis=axis)
    return mask


def _spoken(
    captions: Sequence[Caption], masks: Sequence
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Each word that speaks of an object, as its kind, its attention and the cells it means.

    A colour and a shape are where the object is at the time. A behaviour takes time to show: it
    means all cells on the object's track. No cell belongs to an object that isn't there.
    """
    for caption, mask in zip(captions, masks, strict=True):
        if mask is None:
            continue
        grid = caption.attention.shape[1:]
        cells = [to_cells(mask[..., number], grid) for number in range(mask.shape[-1])]
        for word, reference in enumerate(references(caption.words)):
            if reference and reference[1] < len(cells):
                kind, meant = reference[0], cells[reference[1]]
                if kind == "behaviour":
                    meant = np.broadcast_to(meant.any(axis=0), grid)
                yield kind, caption.attention[word], meant


def pointing(captions: Sequence[Caption], masks: Sequence) -> dict:
    """The pointing game (arXiv 1608.00507), and how much of the attention lies on the object.

    A word scores when the peak of its attention lies on its object, at a time when the object is
    there for colours and shapes, anywhere on the object's track for behaviours. Chance is the
    share of cells that do. A word for an object that isn't there misses.

    Args:
        captions: What the model wrote.
        masks: For each bool `(T, H, W, objects)`, from left to right, or None.

    Returns:
        `pointing`, `pointing_chance` and `mass_on_object`, of colour and shape words;
        `pointing_behaviour` and `pointing_behaviour_chance`; None where no mask says.
    """
    rows = [
        (kind == "behaviour", cells.flat[weights.argmax()], cells.mean(), weights[cells].sum())
        for kind, weights, cells in _spoken(captions, masks)
    ]

    def mean(behaviour: bool, column: int) -> float | None:
        values = [row[column] for row in rows if row[0] == behaviour]
        return float(np.mean(values)) if values else None

    return {
        "pointing": mean(False, 1),
        "pointing_chance": mean(False, 2),
        "mass_on_object": mean(False, 3),
        "pointing_behaviour": mean(True, 1),
        "pointing_behaviour_chance": mean(True, 2),
    }


def blank(frames: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Paints the pixels of some cells in the clip's mean colour.

    Args:
        frames: uint8 `(T, H, W, 3)`.
        cells: bool `(T', h', w')`.

    Returns:
        uint8 `(T, H, W, 3)`, a copy.
    """
    where = cells
    for axis, (size, count) in enumerate(zip(frames.shape, cells.shape, strict=False)):
        where = where.take(cell_of(np.arange(size), size, count), axis=axis)
    blanked = frames.copy()
    blanked[where] = np.round(frames.mean(axis=(0, 1, 2)))
    return blanked


def deletion(captioner: Captioner, captions: Sequence[Caption], seed: int = 0) -> dict | None:
    """The deletion test (arXiv 1806.07421), a word at a time: do words need what they looked at?

    For each word that speaks of an object the tenth of the cells it looked at most is blanked in
    the clip, and, apart from that, a random tenth; both times the same sentence is scored again.

    Args:
        captioner: The model.
        captions: What it wrote.
        seed: Of the random cells.

    Returns:
        The mean `drop` of the word's probability, the drop for `random` cells, and the paired
        `difference` with its 95% `interval` (bootstrap over clips); None without such words.
    """
    rng = np.random.default_rng(seed)
    # A sentence cut short by the length limit can't be scored to its end.
    longest = captioner.caption_spec.length - 1
    tasks = [
        (number, word, most)
        for number, caption in enumerate(captions)
        for word, reference in enumerate(references(caption.words[:longest]))
        if reference
        for most in (True, False)
    ]
    if not tasks:
        return None
    after = []
    for start in range(0, len(tasks), _BATCH):
        rows = tasks[start : start + _BATCH]
        clips = [_without(captions[number], word, most, rng) for number, word, most in rows]
        texts = [captions[number].text for number, *_ in rows]
        scored = captioner.explain_frames(np.stack(clips), texts)
        after += [caption.probs[row[1]] for caption, row in zip(scored, rows, strict=True)]
    before = np.array([captions[number].probs[word] for number, word, _ in tasks])
    drops = (before - np.array(after)).reshape(-1, 2)  # (words, [most attended, random])
    return {
        "drop": float(drops[:, 0].mean()),
        "random": float(drops[:, 1].mean()),
        "difference": float((drops[:, 0] - drops[:, 1]).mean()),
        "interval": _interval(drops[:, 0] - drops[:, 1], np.array([t[0] for t in tasks[::2]]), rng),
        "words": len(drops),
    }


def _without(caption: Caption, word: int, most: bool, rng: np.random.Generator) -> np.ndarray:
    weights = caption.attention[word]
    count = max(1, round(DELETED * weights.size))
    order = (
        np.argsort(-weights, axis=None, kind="stable") if most else rng.permutation(weights.size)
    )
    cells = np.zeros(weights.size, bool)
    cells[order[:count]] = True
    return blank(caption.frames, cells.reshape(weights.shape))


def _interval(values: np.ndarray, clips: np.ndarray, rng: np.random.Generator) -> list[float]:
    """The 95% bootstrap interval of the mean, clips drawn whole."""
    _, clips = np.unique(clips, return_inverse=True)
    sums, counts = np.bincount(clips, values), np.bincount(clips)
    drawn = rng.integers(len(sums), size=(1000, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    return [float(value) for value in np.percentile(means, [2.5, 97.5])]
