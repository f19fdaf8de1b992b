"""The whole path on embedded data, in one go: `v2t demo`."""

import dataclasses
import json
import os
import sys
import time
from pathlib import Path

from v2t_lib.captioner import load
from v2t_lib.evaluation import Prediction, evaluate, write_predictions
from v2t_lib.inspector import save_page
from v2t_lib.packing import pack
from v2t_lib.records import read_captions, select
from v2t_lib.shapes import SPLITS, write_shapes
from v2t_lib.specs import CaptionSpec, ClipSpec
from v2t_lib.training import BLIND_FILE, MODEL_FILE, TrainingOptions, train

CLIPS = 8000
CLIP = ClipSpec(frames=8, height=48, width=48)
CAPTION = CaptionSpec(length=14)
ENCODER = {
    "widths": (32, 48, 96),
    "strides": ((2, 2, 2), (1, 2, 2), (1, 2, 2)),
    "residual_from": 1,
}
DECODER = {"units": 160, "embedding_size": 64, "attention_units": 64}
TRAINING = TrainingOptions(epochs=8, batch_size=32, learning_rate=3e-3)
SHOWN = 24


def _say(started: float, text: str) -> None:
    print(f"[{time.monotonic() - started:4.0f} s] {text}", file=sys.stderr, flush=True)


def _report(out: Path, scores: dict, predictions: list[Prediction]) -> None:
    """`report.html` with the first held-out clips, and a few of them as GIFs."""
    shown = predictions[:SHOWN]
    save_page(
        out / "report.html",
        [p.greedy for p in shown],
        names=[p.example.source for p in shown],
        truths=[" | ".join(p.example.captions) for p in shown],
        title="Video-to-Text on held-out clips",
        summary=summary(scores),
    )
    for prediction in shown[:12]:
        caption = prediction.greedy
        if caption.words:
            word = caption.sharpest_word()
            name = f"{Path(prediction.example.source).stem}-{caption.words[word]}.gif"
            caption.save_gif(out / "attention" / name, word)


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
    return "\n".join([" ".join(sentences), *(f"Careful: {doubt}" for doubt in scores["doubts"])])


def demo(out: str | Path, seed: int = 0, clips: int = CLIPS, epochs: int = TRAINING.epochs) -> dict:
    """Draws, packs, trains, scores and reports; what is already there is kept.

    Writes `captioner.keras`, `blind.keras`, `scores.json`, `history.csv`, `predictions.tsv`,
    `attention/*.gif` and `report.html` into `out`, data into `out/data`.

    Returns:
        What `scores.json` holds.
    """
    started, out = time.monotonic(), Path(out)
    data = out / f"data-{clips}-{seed}"
    captions = data / "captions.tsv"
    if not captions.exists():
        _say(started, f"drawing {clips} captioned GIFs")
        write_shapes(data, clips, seed)
    records = read_captions(captions)
    shards = {split: data / "shards" / split for split in SPLITS}
    for split, folder in shards.items():
        _say(started, f"packing {split}")
        pack(select(records, data / f"{split}.txt"), captions, folder, CLIP)
    _say(started, "training")
    train(
        shards["train"],
        out,
        val=shards["val"],
        encoder_options=ENCODER,
        decoder_options=DECODER,
        caption_spec=CAPTION,
        options=dataclasses.replace(TRAINING, epochs=epochs, seed=seed),
    )
    _say(started, "scoring held-out clips")
    scores, predictions = evaluate(
        load(out / MODEL_FILE),
        shards["test"],
        blind=load(out / BLIND_FILE),
        unseen=shards["unseen"],
        training=shards["train"],
    )
    write_predictions(predictions, out / "predictions.tsv")
    temporary = out / "scores.json.tmp"
    temporary.write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, out / "scores.json")
    _report(out, scores, predictions)
    _say(started, f"done: open {out / 'report.html'}")
    return scores
