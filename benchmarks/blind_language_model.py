"""How low does the sequence loss of captions get without any clip?

    python benchmarks/blind_language_model.py CAPTIONS.tsv

Trains the decoder blind on nine tenths of the clips' captions and prints its loss on the rest, in
nats a token, END and unknown words included, after every epoch. A captioner whose loss is not well
below this has learnt to write captions, not to look: "a loss of about 3" alone says little.
"""

import argparse
import math

import numpy as np

from v2t_lib.captions_file import read_captions, split_records
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.encoders import registry as encoders
from v2t_lib.specs import CaptionSpec, ClipSpec
from v2t_lib.text.vocabulary import PAD, UNK, Vocabulary
from v2t_lib.training.losses import sequence_loss
from v2t_lib.training.optimizer import compile_for_training
from v2t_lib.training.recipe import TrainingOptions

CLIP = ClipSpec(frames=1, height=1, width=1)
CAPTION = CaptionSpec(length=30, min_count=2)
DECODER = {"units": 256, "embedding_size": 128, "attention_units": 8, "dropout": 0.5}
BATCH = 64


def held_out_loss(model: Captioner, tokens: np.ndarray) -> float:
    """Nats a token over packed captions `(N, L + 1)`."""
    total = 0.0
    for first in range(0, len(tokens), BATCH):
        batch = tokens[first : first + BATCH]
        logits = model.predict_on_batch((blank(len(batch)), batch[:, :-1]))
        loss = float(sequence_loss(batch[:, 1:], logits))
        total += loss * np.sum(batch[:, 1:] != PAD)
    return total / np.sum(tokens[:, 1:] != PAD)


def blank(count: int) -> np.ndarray:
    return np.zeros((count, *CLIP.shape), np.uint8)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("captions", metavar="CAPTIONS.tsv")
    parser.add_argument("--epochs", type=int, default=20, help="default: %(default)s")
    args = parser.parse_args()
    records = split_records(read_captions(args.captions), {"train": 0.9, "test": 0.1})
    texts = {
        split: [text for record in records if record.split == split for text in record.captions]
        for split in ("train", "test")
    }
    vocabulary = Vocabulary.from_captions(texts["train"], CAPTION.min_count)
    train, test = (
        np.stack([vocabulary.pack(text, CAPTION.length) for text in texts[split]])
        for split in ("train", "test")
    )
    words = np.bincount(train[:, 1:].ravel(), minlength=len(vocabulary))[1:] + 1
    real = test[:, 1:][test[:, 1:] != PAD]
    unigram = -np.mean(np.log(words / words.sum())[real - 1])
    print(
        f"{args.captions}: {len(train)} captions to learn, {len(test)} held out with {len(real)} "
        f"tokens, {np.mean(real == UNK):.1%} of them unknown; {len(vocabulary)} words\n"
        f"word frequencies alone: {unigram:.2f} nats a token"
    )
    model = Captioner(
        CLIP, CAPTION, vocabulary, encoders.get("blind", memory_size=8), decoder=DECODER
    )
    options = TrainingOptions(epochs=args.epochs, batch_size=BATCH, learning_rate=3e-3)
    compile_for_training(model, options, math.ceil(len(train) / BATCH) * args.epochs)
    losses = []
    for epoch in range(args.epochs):
        model.fit((blank(len(train)), train[:, :-1]), train[:, 1:], BATCH, verbose=0)
        losses.append(held_out_loss(model, test))
        print(f"epoch {epoch + 1:2d}: {losses[-1]:.3f} nats a token", flush=True)
    print(
        f"blind: {min(losses):.2f} nats a token at best, perplexity {math.exp(min(losses)):.0f} "
        '(limit: a captioner that looks lies well below; "about 3" is the old headline)'
    )


if __name__ == "__main__":
    main()
