"""Scores of a captioner on held-out shards."""

import contextlib
import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from v2t_lib.datasets.shapes import behaviours
from v2t_lib.files import replacing
from v2t_lib.metrics import coco
from v2t_lib.metrics.attention_faithfulness import PointedWord, deletion, pointed_words, pointing
from v2t_lib.metrics.corpus_scores import CorpusScores, intervals, score_corpus, scores_of
from v2t_lib.metrics.tables import diagnose
from v2t_lib.metrics.texts import diversity, exact_match, exact_match_by
from v2t_lib.models.caption import Caption
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.compiled import filled_up
from v2t_lib.models.over_clips import Batch, over_clips
from v2t_lib.progress import Progress
from v2t_lib.shards.example import Example
from v2t_lib.shards.reader import ShardDataset, Shards
from v2t_lib.shards.slices import warn_of_copies
from v2t_lib.text.vocabulary import tokenise

#: Clips of the deletion test, which scores each of their words twice.
DELETION_CLIPS = 128
#: Shares of the clips that keep their caption in `risk_coverage`.
COVERAGES = (1.0, 0.9, 0.75, 0.5, 0.25)


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What the model generated for a held-out clip."""

    source: str  # the clip, as the captions file names it
    references: tuple[str, ...]
    greedy: str  # the caption of greedy search
    beam: str  # the caption of beam search
    behaviours: tuple[str, ...] | None  # what each object of a drawn clip does
    shown: Caption | None  # the greedy caption with frames and attention, of the first clips
    log_prob: float = 0.0  # of the greedy caption
    cider: float = 0.0  # of the caption of beam search


def cross_entropy(
    captioner: Captioner, frames: np.ndarray, memory: np.ndarray, captions: Sequence[Sequence[str]]
) -> np.ndarray:
    """The cross-entropy of captions in nats, and the number of their tokens, `(2,)`.

    The first captions of all clips are scored together, then the second ones, and so on; clips at
    the end, which fill up the batch, have none. `memory` `(batch, S, D)` is what `Captioner.encode`
    made of the frames, uint8 `(batch, T, H, W, 3)`, or of others.
    """
    sums = np.zeros(2)
    for texts in itertools.zip_longest(*captions):
        known = [text or of_clip[0] for text, of_clip in zip(texts, captions, strict=True)]
        scored = captioner.explain_frames(frames, filled_up(known, len(frames)), None, memory)
        for text, caption in zip(texts, scored, strict=False):
            if text is not None:
                sums += -caption.log_prob, len(caption.words) + 1  # and END
    return sums


def _add_losses(
    sums: dict[str, np.ndarray], captioner: Captioner, blind: Captioner | None, batch: Batch
) -> None:
    captions = [example.captions for example in batch.items]
    sums["loss"] += cross_entropy(captioner, batch.frames, batch.memory, captions)
    if blind:
        memory = blind.encode(batch.frames)
        sums["blind_loss"] += cross_entropy(blind, batch.frames, memory, captions)
    if len(captions) > 1:  # each caption with the clip half a batch away
        others = np.roll(np.arange(len(captions)), len(captions) // 2)
        memory = batch.memory[filled_up(others, len(batch.memory))]
        sums["shuffled_loss"] += cross_entropy(captioner, batch.frames, memory, captions)


def predict(
    captioner: Captioner,
    shards: Shards,
    beam: int = 1,
    watch: Callable[[Batch], None] = lambda batch: None,
) -> Iterator[tuple[Example, Caption, Caption]]:
    """Yields every clip of `shards` with its greedy caption and that of `beam` beams.

    `watch` is called with every batch of clips and what the encoder made of it.
    """

    def captions(batch: Batch) -> list[tuple[Caption, Caption]]:
        watch(batch)
        clips = (batch.seconds, batch.memory)
        greedy = captioner.caption_frames(batch.frames, 1, *clips)
        best = greedy if beam == 1 else captioner.caption_frames(batch.frames, beam, *clips)
        return list(zip(greedy, best, strict=True))

    opened = ShardDataset.open(shards, captioner.clip_spec)
    clips = ((example, example) for example in opened.examples())
    captioned = over_clips(captioner, clips, captions)
    for example, pair in Progress(captioned, "caption", opened.info.clips, unit="clip"):
        yield example, *pair


def risk_coverage(
    predictions: Sequence[Prediction], rows: Mapping[str, np.ndarray], unit: str = "word"
) -> list[dict]:
    """Selective captioning: scores of the captions that the model is surest of (arXiv 1705.08500).

    For each of `COVERAGES`, the share `coverage`, the `least` log-probability in it, and its scores
    by each clip's row of `coco.clip_statistics`.
    """
    surest, found = sorted(predictions, key=lambda prediction: -prediction.log_prob), []
    for coverage in COVERAGES:
        kept = surest[: max(1, round(coverage * len(surest)))]
        scores = coco.scores(np.sum([rows[p.source] for p in kept], axis=0))
        match = exact_match([p.beam for p in kept], [p.references for p in kept], unit)
        row = {"coverage": coverage, "least": kept[-1].log_prob, "exact_match": match}
        found.append(row | {name: float(scores[name]) for name in ("BLEU-4", "ROUGE-L", "CIDEr")})
    return found


def _unseen(captioner: Captioner, shards: Shards) -> float:
    pairs = [(greedy.text, example.captions) for example, greedy, _ in predict(captioner, shards)]
    captions, references = zip(*pairs, strict=True)
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
    """Scores a captioner on held-out shards, in memory that doesn't grow with them.

    The captioner stays as it is, its optimiser included: training can go on afterwards.

    Args:
        captioner: The model.
        shards: Held-out clips.
        blind: Its blind twin, for the loss without the clips.
        unseen: Shards of combinations that are not in training, scored apart.
        training: The training shards, to count the captions that are copied from there.
        beam: The beams of the captions that are scored.
        shown: How many predictions keep their frames and attention.

    Returns:
        The scores, None where the data can't say: fractions 0 to 1, losses in nats a token,
        `shuffled_loss` that with the clips of other captions, `risk_coverage` the scores of the
        surest captions alone, `doubts` in words, and all of `diversity` and `corpus_scores`; and
        the predictions on `shards`.
    """
    unit = captioner.caption_spec.unit
    if training is not None:
        warn_of_copies(*(ShardDataset.open(of).folder for of in (training, shards)))
    sums = {name: np.zeros(2) for name in ("loss", "blind_loss", "shuffled_loss")}
    predictions: list[Prediction] = []
    words: list[PointedWord] = []
    first: list[Caption] = []
    watch = functools.partial(_add_losses, sums, captioner, blind)
    for example, greedy, best in predict(captioner, shards, beam, watch):
        number = len(predictions)
        predictions.append(_prediction(example, greedy, best, shown=number < shown))
        words += pointed_words(greedy, example.masks)
        first += [greedy] if number < DELETION_CLIPS else []
    figures = score_corpus(
        {p.source: p.beam for p in predictions},
        {p.source: p.references for p in predictions},
        unit=unit,
    )
    cider = dict(zip(figures.sources, scores_of(figures.table)["CIDEr"].tolist(), strict=True))
    predictions = [dataclasses.replace(p, cider=cider[p.source]) for p in predictions]
    texts = [prediction.beam for prediction in predictions]
    scores = {
        "clips": len(predictions),
        "beam": beam,
        **_text_scores(predictions, figures, unit),
        "unseen_combinations": None if unseen is None else _unseen(captioner, unseen),
        **{name: nats / tokens if tokens else None for name, (nats, tokens) in sums.items()},
        "perplexity": math.exp(sums["loss"][0] / sums["loss"][1]),
        **pointing(words),
        "deletion": deletion(captioner, first, every_word=predictions[0].behaviours is None),
        **diversity(texts, ShardDataset.open(training).captions() if training else None, unit),
    }
    return scores | {"doubts": [*diagnose(scores), *figures.doubts()]}, predictions


def _prediction(example: Example, greedy: Caption, best: Caption, shown: bool) -> Prediction:
    drawn = None
    if example.masks is not None:
        with contextlib.suppress(KeyError):  # masks, but not a caption of drawn clips
            drawn = tuple(behaviours(tokenise(example.captions[0])))
    return Prediction(
        source=example.source,
        references=example.captions,
        greedy=greedy.text,
        beam=best.text,
        behaviours=drawn,
        shown=greedy if shown else None,
        log_prob=greedy.log_prob,
    )


def _text_scores(predictions: Sequence[Prediction], figures: CorpusScores, unit: str) -> dict:
    """The scores of the captions' texts alone."""
    rows = dict(zip(figures.sources, figures.table[:, : coco.COLUMNS], strict=True))
    greedy, texts = [p.greedy for p in predictions], [p.beam for p in predictions]
    references = [p.references for p in predictions]
    return {
        "exact_match": exact_match(greedy, references, unit),
        "exact_match_beam": exact_match(texts, references, unit),
        "exact_match_by": exact_match_by(greedy, references, [p.behaviours for p in predictions]),
        "risk_coverage": risk_coverage(predictions, rows, unit),
        **figures.scores(),
        "no_meteor": figures.no_meteor,
        "intervals": intervals(figures),
    }


def write_predictions(predictions: list[Prediction], path: str | Path) -> None:
    """Writes `source<TAB>caption`, one clip a row, atomically."""
    rows = (f"{p.source}\t{p.beam}\n" for p in predictions)
    with replacing(path) as temporary:
        temporary.write_text("".join(rows), encoding="utf-8")
