"""Held-out figures: captions' scores, loss beside its controls, whether the model looks right."""

import collections
import dataclasses
import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from v2t_lib.datasets.shapes_grammar import behaviours
from v2t_lib.errors import DataError
from v2t_lib.files import replacing
from v2t_lib.metrics.attention_faithfulness import deletion, pointing
from v2t_lib.metrics.corpus_scores import intervals, score_corpus
from v2t_lib.metrics.diversity import diagnose, diversity
from v2t_lib.models.caption import Caption
from v2t_lib.models.captioner import JIT_COMPILE, Captioner
from v2t_lib.shards.example import Example
from v2t_lib.shards.reader import ShardDataset, Shards
from v2t_lib.text.vocabulary import PAD, normalise, tokenise
from v2t_lib.training.losses import sequence_loss

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


def predict(captioner: Captioner, shards: Shards, beam: int) -> list[Prediction]:
    """Captions every clip of `shards`, greedily and with `beam` beams."""
    shards = ShardDataset.open(shards)
    if shards.info.clip_spec != captioner.clip_spec:
        raise DataError(
            f"{shards.folder}: expected clips of {captioner.clip_spec}, as the model was trained "
            f"on. Received: {shards.info.clip_spec}; pack again at the model's size"
        )
    examples, predictions = shards.examples(), []
    with tqdm(unit="clip", desc="caption") as progress:
        while batch := list(itertools.islice(examples, BATCH)):
            frames = np.stack([example.frames for example in batch])
            seconds = np.stack([example.seconds for example in batch])
            captions = captioner.caption_frames(frames, 1, seconds)
            beams = captions if beam == 1 else captioner.caption_frames(frames, beam, seconds)
            predictions += map(Prediction, batch, captions, beams)
            progress.update(len(batch))
    return predictions


def _shown(shards: ShardDataset, lag: int) -> Iterator[tuple[np.ndarray, str]]:
    """Every caption with the frames of the clip `lag` before its own, the first with the last."""
    frames, waiting = collections.deque(), []
    for example in shards.examples():
        frames.append(example.frames)
        waiting.append(example.captions)
        if len(frames) > lag:
            yield from zip(itertools.repeat(frames.popleft()), waiting.pop())
    for captions in waiting:
        yield from zip(itertools.repeat(frames.popleft()), captions)


def mean_loss(captioner: Captioner, shards: Shards, lag: int = 0) -> float:
    """The sequence loss over every caption of `shards`, in nats a token.

    Args:
        captioner: The model.
        shards: The clips.
        lag: 0, or how many clips before its own the one lies that a caption is judged by: the
            loss of a model that is shown the wrong clips.
    """
    captioner.compile(loss=sequence_loss, jit_compile=JIT_COMPILE)
    length = captioner.caption_spec.length
    total = tokens = 0.0
    shown = _shown(ShardDataset.open(shards), lag)
    with tqdm(unit="caption", desc="loss") as progress:
        while batch := list(itertools.islice(shown, BATCH)):
            frames = np.stack([frames for frames, _ in batch])
            packed = np.stack([captioner.vocabulary.pack(text, length) for _, text in batch])
            count = float(np.sum(packed[:, 1:] != PAD))
            inputs, targets = (frames, packed[:, :-1]), packed[:, 1:]
            captioner.reset_metrics()  # up to Keras 3.13 at least, earlier batches count on
            total += count * float(captioner.test_on_batch(inputs, targets))
            tokens += count
            progress.update(len(batch))
    return total / tokens


def _exact(predictions: list[Prediction], way: str) -> float:
    return float(np.mean([p.matches(getattr(p, way), p.example) for p in predictions]))


def exact_by(predictions: list[Prediction]) -> dict | None:
    """Exact match, greedily, of clips with so many objects, and of those with such a behaviour.

    A clip of two objects counts for the behaviours of both. None where no clip is drawn.
    """
    groups = {"objects": collections.defaultdict(list), "behaviour": collections.defaultdict(list)}
    for prediction in predictions:
        if prediction.example.masks is None:
            continue
        shown = behaviours(tokenise(prediction.example.captions[0]))
        groups["objects"][str(len(shown))].append(prediction)
        for behaviour in sorted(set(shown)):
            groups["behaviour"][behaviour].append(prediction)
    if not groups["objects"]:
        return None
    return {
        kind: {
            name: {"clips": len(group), "exact_match": _exact(group, "greedy")}
            for name, group in sorted(parts.items())
        }
        for kind, parts in groups.items()
    }


def _losses(captioner: Captioner, blind: Captioner | None, shards, clips: int) -> dict:
    loss = mean_loss(captioner, shards)
    return {
        "loss": loss,
        "perplexity": math.exp(loss),
        "blind_loss": mean_loss(blind, shards) if blind else None,
        "shuffled_loss": mean_loss(captioner, shards, min(BATCH, clips // 2))
        if clips > 1
        else None,
    }


def evaluate(
    captioner: Captioner,
    shards: Shards,
    *,
    blind: Captioner | None = None,
    unseen: Shards | None = None,
    training: Shards | None = None,
    beam: int = 4,
) -> tuple[dict, list[Prediction]]:
    """Scores a captioner on held-out shards.

    Args:
        captioner: The model.
        shards: Held-out clips.
        blind: Its blind twin, for the loss that a model reaches without looking.
        unseen: Shards of combinations that training never showed, scored apart.
        training: The shards it was trained on, to count the captions it has from there.
        beam: Number of beams for the captions that are kept and scored.

    Returns:
        The scores, `None` where the data can't say: fractions 0 to 1, losses in nats a token,
        `shuffled_loss` that with the clips of other captions, all of `diversity` and the scores
        and intervals of `corpus_scores`, and in `doubts` what a reader should be told; and the
        predictions on `shards`.
    """
    shards = ShardDataset.open(shards)
    predictions = predict(captioner, shards, beam)
    captions = {p.example.source: p.beam.text for p in predictions}
    references = {p.example.source: p.example.captions for p in predictions}
    scored = score_corpus(captions, references)
    greedy = [prediction.greedy for prediction in predictions]
    masks = [prediction.example.masks for prediction in predictions]
    scores = {
        "clips": len(predictions),
        "exact_match": _exact(predictions, "greedy"),
        "exact_match_beam": _exact(predictions, "beam"),
        "beam": beam,
        "exact_match_by": exact_by(predictions),
        "unseen_combinations": None,
        **_losses(captioner, blind, shards, len(predictions)),
        **pointing(greedy, masks),
        "deletion": deletion(captioner, greedy[:DELETION_CLIPS]),
        **diversity(
            list(captions.values()), ShardDataset.open(training).captions() if training else None
        ),
        **scored.scores(),
        "no_meteor": scored.no_meteor,
        "intervals": intervals(scored),
    }
    if unseen is not None:
        scores["unseen_combinations"] = _exact(predict(captioner, unseen, 1), "greedy")
    return scores | {"doubts": diagnose(scores)}, predictions


def summary(scores: dict) -> str:
    """The scores in a few sentences, and what there is to doubt."""

    def percent(name: str) -> str:
        return "not measured" if scores[name] is None else f"{100 * scores[name]:.1f}%"

    def nats(name: str) -> str:
        return "not measured" if scores[name] is None else f"{scores[name]:.3f}"

    sentences = [
        f"{scores['clips']} held-out clips: exact match {percent('exact_match')} greedy, "
        f"{percent('exact_match_beam')} with {scores['beam']} beams; unseen combinations "
        f"{percent('unseen_combinations')}.",
        f"Loss {nats('loss')} nats a token (perplexity {scores['perplexity']:.2f}), "
        f"{nats('blind_loss')} for the same decoder when blind, {nats('shuffled_loss')} when shown "
        "other clips.",
        f"BLEU-4 {scores['BLEU-4']:.3f}, ROUGE-L {scores['ROUGE-L']:.3f}, "
        f"CIDEr {scores['CIDEr']:.2f} of 10; captions that are distinct "
        f"{percent('distinct_captions')}, seen in training {percent('seen_in_training')}.",
        f"Pointing {percent('pointing')} (chance {percent('pointing_chance')}), behaviour words "
        f"{percent('pointing_behaviour')} (chance {percent('pointing_behaviour_chance')}); "
        f"{percent('mass_on_object')} of the attention on the object.",
    ]
    if deleted := scores["deletion"]:
        sentences.append(
            f"Blanking the most attended tenth of a clip takes {deleted['drop']:.2f} from a word's "
            f"probability, a random tenth {deleted['random']:.2f} (difference "
            f"{deleted['interval'][0]:.2f} to {deleted['interval'][1]:.2f})."
        )
    if parts := scores["exact_match_by"]:
        for kind, groups in parts.items():
            shares = (f"{name} {100 * g['exact_match']:.1f}%" for name, g in groups.items())
            sentences.append(f"Exact match by {kind}: {', '.join(shares)}.")
    return "\n".join([" ".join(sentences), *(f"Careful: {doubt}" for doubt in scores["doubts"])])


def write_predictions(predictions: list[Prediction], path: str | Path) -> None:
    """Writes `source<TAB>caption`, one clip a row, whole or not at all."""
    rows = (f"{p.example.source}\t{p.beam.text}\n" for p in predictions)
    with replacing(path) as temporary:
        temporary.write_text("".join(rows), encoding="utf-8")
