"""Captions whose attention is known, and claims whose lifts are."""

import dataclasses

import numpy as np

from v2t_lib.models.caption import Caption
from v2t_lib.models.verification import Verification, WordSupport
from v2t_lib.models.verifier import CANT_TELL, Calibration


def example(words=("red", "</script>", "red"), frames=4, size=20, grid=(2, 2, 2)):
    """A caption whose n-th word attends to the n-th cell, the last one to all cells equally."""
    attention = np.zeros((len(words), *grid), "float32")
    for number in range(len(words)):
        attention[number].flat[number] = 1
    if len(words) > 1:
        attention[-1] = 1 / np.prod(grid)
    return Caption(
        " ".join(words),
        tuple(words),
        np.linspace(0.9, 0.3, len(words)),
        -1.0,
        attention,
        np.full((frames, size, size, 3), 120, np.uint8),
        np.arange(frames) / 5,
        tuple((("blue", 0.05), ("<end>", 0.01)) for _ in words),
    )


#: Of a model whose verdicts were measured on 40 true claims and 60 false ones.
CALIBRATION = Calibration(
    (1.0, 1.0),
    0.0,
    supported=0.8,
    refuted=0.1,
    figures={
        "claims": {"true": 40, "random": 40, "swapped": 20},
        "calibration_error": 0.025,
        "supported": {"threshold": 0.8, "precision": 0.9625, "coverage": 0.5},
        "refuted": {"threshold": 0.1, "precision": 1.0, "coverage": 0.5},
    },
)


def claim(
    lifts: dict, verdict=CANT_TELL, probability=None, unlike_training=False, **options
) -> Verification:
    """A claim about `clip.gif` by its words' lifts, None for an unknown word; frame 2 is evidence.

    Where a lift is negative, the model expects "blue".
    """
    words = tuple(
        WordSupport(word, lift, "blue" if lift is not None and lift < 0 else None)
        for word, lift in lifts.items()
    )
    unknown = tuple(word for word, lift in lifts.items() if lift is None)
    known = [lift for lift in lifts.values() if lift is not None]
    fields = {
        "source": "clip.gif",
        "sentence": " ".join(lifts),
        "score": None if unknown else float(np.mean(known)),
        "unlike_training": unlike_training,
        "caption": dataclasses.replace(example(tuple(lifts)), unlike_training=unlike_training),
    }
    return Verification(
        probability=probability,
        verdict=verdict,
        words=words,
        frame=2,
        seconds=0.4,
        unknown=unknown,
        **fields | options,
    )
