"""Exact match: captions that are, word for word, one of the references."""

import collections
from collections.abc import Sequence

import numpy as np

from v2t_lib.text.vocabulary import normalise


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
