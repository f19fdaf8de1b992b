"""How well does a model tell true sentences from false ones, and clips unlike its training data?

    python benchmarks/verification.py MODEL.keras SHARDS [--unlike SHARDS ...] [--per-clip 1]

SHARDS are held-out clips with their captions, other ones than those that calibrated the model.
Prints the area under the ROC curve, with 95% intervals over clips, of true captions against (a) a
random other clip's caption, (b) the most similar caption of another clip, (c) one word swapped for
another of its kind, and by kind of word; by lift, by calibrated probability, and beside them by
log-likelihood, by that a word, and by the blind twin's log-likelihood, which would be above .5 if
false sentences could be told by their words alone. Then the verdicts' precision and coverage, the
calibration error, and how well blank, noise and text-only clips and those of `--unlike` are told
from SHARDS. `--json` prints all of it as one object.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from v2t_lib.metrics.claims import (
    BATCH,
    ScoredClaims,
    aurocs,
    calibration_error,
    pooled_memories,
    precision_and_coverage,
    reliability,
    score_claims,
)
from v2t_lib.metrics.foils import FOILS, TRUE
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.saving import load
from v2t_lib.models.verifier import REFUTED, SUPPORTED, pooled
from v2t_lib.shards.reader import ShardDataset
from v2t_lib.training.feature_cache import cached_features

#: Clips of shards that are measured, at most.
CLAIMED = 1000
#: Made-up clips of each sort.
CLIPS = 96


def measures(captioner: Captioner, scored: ScoredClaims) -> dict[str, np.ndarray]:
    """Every claim's score, by each of the ways to score one."""
    calibration = captioner.verifier.calibration
    found = {
        "lift": [lifts.mean() for lifts in scored.lifts],
        "log-likelihood": [words.sum() for words in scored.seeing],
        "log-likelihood a word": [words.mean() for words in scored.seeing],
        "blind": [words[:-1].sum() for words in scored.blind],
        "blind a word": [words[:-1].mean() for words in scored.blind],
    }
    if calibration is not None:
        found["probability"] = [
            calibration.probability(*lifts)
            for lifts in zip(scored.lifts, scored.anywhere, strict=True)
        ]
    return {name: np.array(values) for name, values in found.items()}


def areas(scored: ScoredClaims, scores: dict[str, np.ndarray]) -> dict[str, dict]:
    """By way to score and kind of foil; swapped ones also by kind of word."""
    kinds = np.array([claim.kind for claim in scored.claims])
    words = np.array([claim.words or claim.kind for claim in scored.claims])
    found = {name: aurocs(values, kinds, scored.clips) for name, values in scores.items()}
    by_word = aurocs(scores["lift"], words, scored.clips)
    found["lift, by kind of word"] = {k: v for k, v in by_word.items() if k not in FOILS}
    return found


def verdicts(captioner: Captioner, scored: ScoredClaims, probabilities: np.ndarray) -> dict:
    """Precision and coverage of the verdicts, and the calibration error."""
    calibration, true = captioner.verifier.calibration, scored.true
    given = np.array([calibration.verdict(p) for p in probabilities])
    found = {"calibration_error": calibration_error(reliability(probabilities, true))}
    for name, right in ((SUPPORTED, true), (REFUTED, ~true)):
        pair = precision_and_coverage(given == name, right)
        found[name] = dict(zip(("precision", "coverage"), pair, strict=True))
    return found


def made_up(shape: tuple[int, ...], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Clips that show nothing: of one colour, of noise that moves or stands, and of text alone."""
    frames, height, width, _ = shape
    moving = rng.integers(0, 256, (CLIPS, *shape), dtype=np.uint8)
    colours = rng.integers(0, 256, (CLIPS, 1, 1, 1, 3), dtype=np.uint8)
    texts = []
    for number in range(CLIPS):
        paper = rng.integers(0, 256, 3)
        ink = 255 * (paper.mean() < 128)
        picture = Image.new("RGB", (width, height), tuple(paper.tolist()))
        draw, line = ImageDraw.Draw(picture), max(12, height // (4 + number % 8))
        for y in range(4, height - 10, line):
            letters = rng.integers(97, 123, max(4, width // 7))
            text = "".join(" " if rng.random() < 0.18 else chr(code) for code in letters)
            draw.text((4, y), text, (ink,) * 3)
        texts.append(np.repeat(np.asarray(picture)[None], frames, axis=0))
    return {
        "blank": np.broadcast_to(colours, moving.shape).copy(),
        "moving noise": moving,
        "still noise": np.repeat(moving[:, :1], frames, axis=1),
        "text alone": np.stack(texts),
    }


def unlike(captioner: Captioner, home: np.ndarray, others: list[Path], cache: Path) -> dict:
    """How well clips of each sort are told from `home`, the memories of clips like training's."""
    familiarity, rng = captioner.verifier.familiarity, np.random.default_rng(0)
    memories = {}
    for name, clips in made_up(captioner.clip_spec.shape, rng).items():
        batches = [captioner.encode(clips[i : i + BATCH]) for i in range(0, CLIPS, BATCH)]
        memories[name] = np.concatenate([pooled(batch) for batch in batches])
    for folder in others:
        shards = cached_features(captioner.encoder, folder, cache)
        memories[str(folder)] = pooled_memories(captioner, shards, CLAIMED)
    distances = {name: familiarity.distances(memory) for name, memory in memories.items()}
    at_home, found = familiarity.distances(home), {}
    for name, far in distances.items():
        kinds = np.array([TRUE] * len(far) + [name] * len(at_home))
        both = aurocs(np.concatenate([far, at_home]), kinds, np.arange(len(kinds)))
        found[name] = both[name] | {"flagged": float((far > familiarity.threshold).mean())}
    found["SHARDS"] = {"flagged": float((at_home > familiarity.threshold).mean())}
    return found


def show(result: dict) -> None:
    """Prints the result as tables."""
    print("area under the ROC curve (95% interval)")
    for name, by_kind in result["auroc"].items():
        for kind, area in by_kind.items():
            low, high = area["interval"]
            print(f"  {name:24s} {kind:12s} {area['value']:.3f} ({low:.3f} to {high:.3f})")
    for name, found in result.get("verdicts", {}).items():
        print(f"{name}: {found}")
    print("clips unlike the training data: area, and share flagged")
    for name, found in result.get("unlike", {}).items():
        area = f"{found['value']:.3f}" if "value" in found else "     "
        print(f"  {name:40s} {area} {found['flagged']:.1%}")


def main() -> None:
    """Measures one model on one set of shards."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("shards", type=Path)
    parser.add_argument("--unlike", type=Path, nargs="*", default=[], metavar="SHARDS")
    parser.add_argument("--per-clip", type=int, default=1, help="true captions of each clip")
    parser.add_argument("--cache", type=Path, help="where features are kept")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    captioner = load(args.model)
    with tempfile.TemporaryDirectory() as folder:
        cache = args.cache or Path(folder)
        shards = cached_features(captioner.encoder, ShardDataset.open(args.shards), cache)
        scored = score_claims(captioner, shards, args.per_clip, seed=1)
        scores = measures(captioner, scored)
        counts = {k: sum(c.kind == k for c in scored.claims) for k in (TRUE, *FOILS)}
        result = {"claims": counts, "auroc": areas(scored, scores)}
        if captioner.verifier.calibration is not None:
            result["verdicts"] = verdicts(captioner, scored, scores["probability"])
        if captioner.verifier.familiarity is not None:
            home = pooled_memories(captioner, shards, CLAIMED)
            result["unlike"] = unlike(captioner, home, args.unlike, cache)
    print(json.dumps(result)) if args.json else show(result)


if __name__ == "__main__":
    main()
