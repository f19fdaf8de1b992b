"""Held-out figures: exact match, loss beside the blind loss, and whether the model looks right."""

import dataclasses
import itertools
import os
from pathlib import Path

import numpy as np
from tqdm import tqdm

from v2t_lib.captioner import JIT_COMPILE, Captioner
from v2t_lib.captions import Caption
from v2t_lib.errors import DataError
from v2t_lib.faithfulness import deletion, pointing
from v2t_lib.losses import sequence_loss
from v2t_lib.pipeline import Example, batches, iter_examples
from v2t_lib.shards import clip_spec
from v2t_lib.vocabulary import PAD, normalise

BATCH = 64
#: Clips of the deletion test, which scores each of their words twice.
DELETION_CLIPS = 128


@dataclasses.dataclass(frozen=True)
class Prediction:
    """A held-out clip with what the model wrote, greedily and with a beam."""

    example: Example
    greedy: Caption
    beam: Caption

    @staticmethod
    def matches(caption: Caption, example: Example) -> bool:
        """Whether the caption is, word for word, one of the clip's."""
        return caption.text in {normalise(text) for text in example.captions}


def predict(captioner: Captioner, shards: str | Path, beam: int) -> list[Prediction]:
    """Captions every clip of `shards`, greedily and with `beam` beams."""
    if clip_spec(shards) != captioner.clip_spec:
        raise DataError(
            f"{shards}: expected clips of {captioner.clip_spec}, as the model was trained on. "
            f"Received: {clip_spec(shards)}; pack again at the model's size"
        )
    examples, predictions = iter_examples(shards), []
    with tqdm(unit="clip", desc="caption") as progress:
        while batch := list(itertools.islice(examples, BATCH)):
            frames = np.stack([example.frames for example in batch])
            seconds = np.stack([example.seconds for example in batch])
            captions = captioner.caption_frames(frames, 1, seconds)
            beams = captions if beam == 1 else captioner.caption_frames(frames, beam, seconds)
            predictions += map(Prediction, batch, captions, beams)
            progress.update(len(batch))
    return predictions


def mean_loss(captioner: Captioner, shards: str | Path) -> float:
    """The sequence loss over every caption of `shards`, in nats a token."""
    captioner.compile(loss=sequence_loss, jit_compile=JIT_COMPILE)
    total = tokens = 0.0
    data = batches(shards, captioner.vocabulary, captioner.caption_spec, BATCH)
    for inputs, targets in data:
        count = float(np.sum(np.asarray(targets) != PAD))
        total += count * float(captioner.test_on_batch(inputs, targets))
        tokens += count
    return total / tokens


def _exact(predictions: list[Prediction], way: str) -> float:
    return float(np.mean([p.matches(getattr(p, way), p.example) for p in predictions]))


def evaluate(
    captioner: Captioner,
    shards: str | Path,
    *,
    blind: Captioner | None = None,
    unseen: str | Path | None = None,
    beam: int = 4,
) -> tuple[dict, list[Prediction]]:
    """Scores a captioner on held-out shards.

    Args:
        captioner: The model.
        shards: Held-out clips.
        blind: Its blind twin, for the loss that a model reaches without looking.
        unseen: Shards of combinations that training never showed, scored apart.
        beam: Number of beams for the figures with a beam.

    Returns:
        The scores, `None` where the data can't say: fractions 0 to 1, losses in nats a token; and
        the predictions on `shards`.
    """
    predictions = predict(captioner, shards, beam)
    captions = [prediction.greedy for prediction in predictions]
    masks = [prediction.example.masks for prediction in predictions]
    scores = {
        "clips": len(predictions),
        "exact_match": _exact(predictions, "greedy"),
        "exact_match_beam": _exact(predictions, "beam"),
        "beam": beam,
        "unseen_combinations": None,
        "loss": mean_loss(captioner, shards),
        "blind_loss": mean_loss(blind, shards) if blind else None,
        **pointing(captions, masks),
        "deletion": deletion(captioner, captions[:DELETION_CLIPS]),
        "distinct_captions": len({p.greedy.text for p in predictions}) / len(predictions),
    }
    if unseen is not None:
        scores["unseen_combinations"] = _exact(predict(captioner, unseen, 1), "greedy")
    return scores, predictions


def write_predictions(predictions: list[Prediction], path: str | Path) -> None:
    """Writes `source<TAB>caption`, one clip a row, whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    rows = (f"{p.example.source}\t{p.beam.text}\n" for p in predictions)
    temporary.write_text("".join(rows), encoding="utf-8")
    os.replace(temporary, path)
