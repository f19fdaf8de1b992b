"""Does search find the clip that a sentence describes, and how long does it take?

    python benchmarks/search.py MODEL SHARDS [--cache DIR] [--full 50]

SHARDS hold clips that the model wasn't trained on. Each clip's first caption is looked for among
all clips. Prints, beside chance, how often its clip is the first, among the first 5 and the first
10, and its median rank, with 95% intervals over clips: for the first stage by itself (word lifts),
for search as it is (the best of the first stage ranked anew by lift), and for `--full` sentences
ranked by lift among all clips, which search approximates. Words that the model doesn't know are
left out, and captions longer than it writes are cut. Then: the seconds that 10,000 clips take.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from v2t_lib.folder_index import read_index, write_index
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.saving import load
from v2t_lib.models.word_lifts import WordLifts
from v2t_lib.search import GROUPS, first_stage, in_8_bits
from v2t_lib.shards.reader import ShardDataset
from v2t_lib.text.vocabulary import sentence, tokenise
from v2t_lib.training.feature_cache import cached_features

#: Clips that are scored at once.
BATCH = 16
#: Clips of the index that is timed.
MANY = 10_000
#: Sentences that are scored for each clip at once.
SENTENCES = 25


def filled(batch: np.ndarray) -> np.ndarray:
    """A last, smaller batch filled up with its last clip: another size would be compiled."""
    return np.concatenate([batch, np.repeat(batch[-1:], BATCH - len(batch), axis=0)])


def judgeable(captioner: Captioner, caption: str) -> str:
    """The words of a caption that the model knows, as many as it writes."""
    unit = captioner.caption_spec.unit
    words = [word for word in tokenise(caption, unit) if word in captioner.vocabulary]
    return sentence(words[: captioner.caption_spec.length - 1], unit)


def read(captioner: Captioner, shards: ShardDataset) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Each clip's inputs, word lifts and first caption, of those that have a word."""
    model, inputs, lifts, captions = WordLifts(captioner), [], [], []
    for batch, texts in shards.clip_batches(BATCH):
        lifts.append(in_8_bits(model(filled(batch)))[: len(texts)])
        inputs.append(batch)
        captions += [judgeable(captioner, of_clip[0]) for of_clip in texts]
    kept = [number for number, caption in enumerate(captions) if caption]
    found = np.concatenate(inputs)[kept], np.concatenate(lifts)[kept]
    return *found, [captions[number] for number in kept]


def lifts_of(captioner: Captioner, inputs: np.ndarray, sentences: list[str]) -> np.ndarray:
    """float32 `(clips, sentences)`: the lift a word of every sentence for every clip."""
    length, scores = captioner.caption_spec.length, []
    tokens = np.stack([captioner.vocabulary.pack(text, length) for text in sentences])
    words = (tokens != 0).sum(axis=1) - 2  # without START and END
    tokens = np.repeat(tokens[None], BATCH, axis=0)
    real = np.arange(length) < words[:, None]
    for first in range(0, len(inputs), BATCH):
        memory = captioner.encode(filled(inputs[first : first + BATCH]))
        found, blind = captioner.score_tokens(memory, tokens)
        lifts = (found.log_probs - blind) * real
        scores.append(lifts.sum(axis=2) / words)
    return np.concatenate(scores)[: len(inputs)]


def rank(scores: np.ndarray, own: int) -> float:
    """The place of clip `own`, from 1; among equals the middle one."""
    others = np.delete(scores, own)
    return 1 + (others > scores[own]).sum() + (others == scores[own]).sum() / 2


def line(name: str, ranks: np.ndarray, clips: int) -> str:
    """A row of the table, with intervals by resampling the sentences."""
    drawn = np.random.default_rng(0).choice(ranks, (1000, len(ranks)))
    figures = []
    for depth in (1, 5, 10):
        low, high = np.percentile((drawn <= depth).mean(axis=1), (2.5, 97.5))
        figures.append(f"{(ranks <= depth).mean():6.1%} ({low:.1%} to {high:.1%})")
    low, high = np.percentile(np.median(drawn, axis=1), (2.5, 97.5))
    figures.append(f"{np.median(ranks):5.0f} ({low:.0f} to {high:.0f})")
    chance = f"{1 / clips:.1%}, {5 / clips:.1%}, {10 / clips:.1%}, {(clips + 1) / 2:.0f}"
    return f"{name:32s} | {' | '.join(figures)} | {chance}"


def time_many(captioner: Captioner, lifts: np.ndarray, query: str) -> str:
    """Seconds that the first stage takes among `MANY` clips, from the disk and once read."""
    names = [f"{n}.gif" for n in range(MANY)]
    states = {name: [0, 0] for name in names}
    files = {name: ([0, 0], "") for name in names}
    prints = np.zeros((MANY, 1536), np.uint8)
    rows = {"thumbprints": prints, "lifts": lifts[np.arange(MANY) % len(lifts)]}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.npz"
        write_index(path, "key", files, [rows])
        start = time.perf_counter()
        _, arrays = read_index(path, "key", states)
        read_in, start = time.perf_counter() - start, time.perf_counter()
        np.argsort(-first_stage(captioner, arrays["lifts"], query), kind="stable")
        searched, size = time.perf_counter() - start, path.stat().st_size
    return (
        f"{MANY:,} clips: {read_in:.2f} s to read the index ({size / 1e6:.0f} MB) "
        f"and {1000 * searched:.0f} ms for the first stage (limit 1 s together)"
    )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("shards", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--full", type=int, default=50, help="sentences ranked among all clips")
    args = parser.parse_args()
    captioner, shards = load(args.model), ShardDataset.open(args.shards)
    if shards.info.features is None:
        shards = cached_features(captioner.encoder, shards, args.cache)
    inputs, lifts, captions = read(captioner, shards)
    count = len(captions)
    rough = np.stack(
        [first_stage(captioner, lifts, text) for text in captions]
    )  # (sentences,clips)
    names = ("the clip is the first", "among 5", "among 10", "median rank", "chance")
    print(f"{count} clips{'':21s} | " + " | ".join(names))
    print(line("word lifts, the first stage", ranks_of(rough), count), flush=True)
    print(line(f"search: {GROUPS} of them by lift", two_stages(captioner, inputs, captions, rough),
               count), flush=True)  # fmt: skip
    some = np.random.default_rng(0).permutation(count)[: args.full].tolist()
    parts = [some[n : n + SENTENCES] for n in range(0, len(some), SENTENCES)]
    scores = np.concatenate(
        [lifts_of(captioner, inputs, [captions[n] for n in part]) for part in parts], axis=1
    ).T
    exact = np.array([rank(row, own) for row, own in zip(scores, some, strict=True)])
    print(line(f"lift of all clips, {len(some)} sentences", exact, count))
    kept = [np.isin(np.argsort(-row)[:10], np.argsort(-rough[own], kind="stable")[:GROUPS])
            for row, own in zip(scores, some, strict=True)]  # fmt: skip
    print(f"of the 10 best by lift, the first stage's best {GROUPS} hold {np.mean(kept):.1%}")
    print(time_many(captioner, lifts, captions[0]))


def ranks_of(scores: np.ndarray) -> np.ndarray:
    """Of `(sentences, clips)`, where sentence i describes clip i."""
    return np.array([rank(row, own) for own, row in enumerate(scores)])


def two_stages(captioner, inputs, captions: list[str], rough: np.ndarray) -> np.ndarray:
    """The ranks that search gives: the first stage's best are ranked anew, the rest follow."""
    ranks = ranks_of(rough)
    for own, (text, row) in enumerate(zip(captions, rough, strict=True)):
        best = np.argsort(-row, kind="stable")[:GROUPS]
        if own in best:
            anew = lifts_of(captioner, inputs[best], [text])[:, 0]
            ranks[own] = rank(anew, int(np.flatnonzero(best == own)[0]))
    return ranks


if __name__ == "__main__":
    main()
