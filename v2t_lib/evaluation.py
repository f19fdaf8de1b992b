"""Scores of a captioner on held-out shards, clip by clip, in memory that doesn't grow with them."""

import contextlib
import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from v2t_lib.datasets.shapes import behaviours
from v2t_lib.files import replacing
from v2t_lib.metrics.attention_faithfulness import deletion, pointed_words, pointing
from v2t_lib.metrics.caption_loss import CaptionLoss
from v2t_lib.metrics.corpus_scores import CorpusScores, intervals, score_corpus, scores_of
from v2t_lib.metrics.selective import risk_coverage
from v2t_lib.metrics.tables import diagnose
from v2t_lib.metrics.texts import diversity, exact_match, exact_match_by
from v2t_lib.models.caption import Caption
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.compiled import filled_up
from v2t_lib.progress import Progress
from v2t_lib.shards.example import Example
from v2t_lib.shards.reader import ShardDataset, Shards
from v2t_lib.text.vocabulary import tokenise

#: Clips captioned at once.
BATCH = 64
#: How many clips away the wrong clip of `shuffled_loss` lies, at most.
LAG = 64
#: Clips of the deletion test, which scores each of their words twice.
DELETION_CLIPS = 128


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What the model generated for a held-out clip.

    Attributes:
        source: The clip, as the captions file names it.
        references: Its captions in the data.
        greedy: The caption of greedy search.
        beam: The caption of beam search.
        behaviours: What each object of a drawn clip does; None for other clips.
        shown: A caption with its frames and attention, the greedy one of the first clips; else
            None.
        log_prob: The log-probability of the greedy caption, by which the surest are found.
        cider: CIDEr of the caption of beam search, by which the worst are found.
    """

    source: str
    references: tuple[str, ...]
    greedy: str
    beam: str
    behaviours: tuple[str, ...] | None
    shown: Caption | None
    log_prob: float = 0.0
    cider: float = 0.0


def predict(
    captioner: Captioner,
    shards: Shards,
    beam: int,
    losses: Sequence[CaptionLoss] = (),
) -> Iterator[tuple[Example, Caption, Caption]]:
    """Yields every clip of `shards` with its greedy caption and that of `beam` beams.

    Args:
        captioner: The model.
        shards: The clips.
        beam: Number of beams.
        losses: What gets every clip too: those of `captioner` with the memory that its captions
            come from, so that an encoder runs once.

    Raises:
        DataError: The shards hold clips of another size than the model's.
    """
    shards = ShardDataset.open(shards, captioner.clip_spec)
    examples, size = shards.examples(), 0
    with Progress(unit="clip", desc="caption") as progress:
        while batch := list(itertools.islice(examples, BATCH)):
            size = max(size, len(batch))
            rows = filled_up(batch, size)
            frames = np.stack([example.frames for example in rows])
            seconds = np.stack([example.seconds for example in rows])
            memory = captioner.encode(frames)
            captions = captioner.caption_frames(frames, 1, seconds, memory)
            beams = captions
            if beam > 1:
                beams = captioner.caption_frames(frames, beam, seconds, memory)
            for loss in losses:
                own = loss.captioner is captioner
                cells = memory if own else loss.captioner.encode(frames)
                for example, of_clip in zip(batch, cells, strict=False):
                    loss.add(example.frames, example.captions, of_clip)
            yield from zip(batch, captions, beams, strict=False)
            progress.update(len(batch))


def _behaviours(caption: str) -> tuple[str, ...] | None:
    """What each object does, by a caption of drawn clips; None for any other caption."""
    with contextlib.suppress(KeyError):
        return tuple(behaviours(tokenise(caption)))
    return None


def _risk_coverage(
    predictions: Sequence[Prediction], figures: CorpusScores, unit: str
) -> list[dict]:
    """Scores of the captions that the model is surest of, for shrinking shares of the clips."""
    order = {source: number for number, source in enumerate(figures.sources)}
    places = np.array([order[prediction.source] for prediction in predictions])

    def scores(kept: np.ndarray) -> dict:
        texts = [predictions[clip].beam for clip in kept]
        references = [predictions[clip].references for clip in kept]
        found = scores_of(figures.table[places[kept]].sum(0))
        return {
            "exact_match": exact_match(texts, references, unit),
            **{name: float(found[name]) for name in ("BLEU-4", "ROUGE-L", "CIDEr")},
        }

    return risk_coverage([prediction.log_prob for prediction in predictions], scores)


def _unseen(captioner: Captioner, shards: Shards) -> float:
    captions, references = [], []
    for example, greedy, _ in predict(captioner, shards, beam=1):
        captions.append(greedy.text)
        references.append(example.captions)
    return exact_match(captions, references, captioner.caption_spec.unit)


def evaluate(
    captioner: Captioner,
    shards: Shards,
    *,
    blind: Captioner | None = None,
    unseen: Shards | None = None,
    training: Shards | None = None,
    beam: int = 4,
    shown: int = 24,
) -> tuple[dict, list[Prediction]]:
    """Scores a captioner on held-out shards.

    Clips are read in batches and dropped, so that memory stays the same however many there are.
    The captioner stays as it is, its optimiser included: training can go on afterwards.

    Args:
        captioner: The model.
        shards: Held-out clips.
        blind: Its blind twin, for the loss of a model without the clips.
        unseen: Shards of combinations that are not in training, scored apart.
        training: The training shards, to count the captions that are copied from there.
        beam: Number of beams of the captions that are scored.
        shown: How many predictions keep their frames and attention.

    Returns:
        The scores, `None` where the data can't say: fractions 0 to 1, losses in nats a token,
        `shuffled_loss` that with the clips of other captions, `risk_coverage` the scores of the
        surest captions alone, all of `diversity` and the scores and intervals of
        `corpus_scores`, and in `doubts` what a reader should be told; and the predictions on
        `shards`.
    """
    shards, predictions, words, first = ShardDataset.open(shards), [], [], []
    losses = _losses(captioner, blind, shards.info.clips)
    unit = captioner.caption_spec.unit
    for example, greedy, best in predict(captioner, shards, beam, [*filter(None, losses.values())]):
        number = len(predictions)
        predictions.append(_prediction(example, greedy, best, shown=number < shown))
        words += pointed_words(greedy, example.masks)
        first += [greedy] if number < DELETION_CLIPS else []
    losses = {name: loss and loss.mean() for name, loss in losses.items()}
    texts = [prediction.beam for prediction in predictions]
    figures = _figures(predictions, unit)
    of_clips = dict(zip(figures.sources, scores_of(figures.table)["CIDEr"], strict=True))
    predictions = [dataclasses.replace(p, cider=float(of_clips[p.source])) for p in predictions]
    scores = {
        "clips": len(predictions),
        "beam": beam,
        **_text_scores(predictions, figures, unit),
        "unseen_combinations": None if unseen is None else _unseen(captioner, unseen),
        **losses,
        "perplexity": math.exp(losses["loss"]),
        **pointing(words),
        "deletion": deletion(captioner, first, every_word=predictions[0].behaviours is None),
        **diversity(texts, ShardDataset.open(training).captions() if training else None, unit),
    }
    return scores | {"doubts": diagnose(scores)}, predictions


def _losses(
    captioner: Captioner, blind: Captioner | None, clips: int
) -> dict[str, CaptionLoss | None]:
    lag = min(LAG, clips // 2)
    return {
        "loss": CaptionLoss(captioner),
        "blind_loss": CaptionLoss(blind) if blind else None,
        "shuffled_loss": CaptionLoss(captioner, lag) if lag else None,
    }


def _prediction(example: Example, greedy: Caption, best: Caption, shown: bool) -> Prediction:
    drawn = example.masks is not None
    return Prediction(
        source=example.source,
        references=example.captions,
        greedy=greedy.text,
        beam=best.text,
        behaviours=_behaviours(example.captions[0]) if drawn else None,
        shown=greedy if shown else None,
        log_prob=greedy.log_prob,
    )


def _figures(predictions: Sequence[Prediction], unit: str) -> CorpusScores:
    texts = {prediction.source: prediction.beam for prediction in predictions}
    references = {prediction.source: prediction.references for prediction in predictions}
    return score_corpus(texts, references, unit=unit)


def _text_scores(predictions: Sequence[Prediction], figures: CorpusScores, unit: str) -> dict:
    """The scores of the captions' texts alone."""
    greedy, texts = [p.greedy for p in predictions], [p.beam for p in predictions]
    references = [p.references for p in predictions]
    return {
        "exact_match": exact_match(greedy, references, unit),
        "exact_match_beam": exact_match(texts, references, unit),
        "exact_match_by": exact_match_by(greedy, references, [p.behaviours for p in predictions]),
        "risk_coverage": _risk_coverage(predictions, figures, unit),
        **figures.scores(),
        "no_meteor": figures.no_meteor,
        "intervals": intervals(figures),
    }


def write_predictions(predictions: list[Prediction], path: str | Path) -> None:
    """Writes `source<TAB>caption`, one clip a row, atomically."""
    rows = (f"{p.source}\t{p.beam}\n" for p in predictions)
    with replacing(path) as temporary:
        temporary.write_text("".join(rows), encoding="utf-8")
