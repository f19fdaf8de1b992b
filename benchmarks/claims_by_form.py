"""How often are verdicts right on claims as people make them, form by form?

    python benchmarks/claims_by_form.py MODEL.keras SHARDS [--clips 60] [--per-clip 2] [--cache DIR]

SHARDS are held-out clips with their captions, other ones than those that calibrated the model.
Claims are true where they are said in a clip's captions, and false where they are said of another
clip and, function words and endings apart, in none of this one's captions. Prints by form how many
claims are true, and of each verdict the share of claims that get it and the share that is right.
Negations, function words alone and shuffled captions have no agreed truth: of these the share that
is told is printed, which should be none. Then the seconds that one claim takes.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from v2t_lib.models.captioner import Captioner
from v2t_lib.models.saving import load
from v2t_lib.models.verifier import CANT_TELL, REFUTED, SUPPORTED
from v2t_lib.shards.reader import ShardDataset
from v2t_lib.text.content import FUNCTION_WORDS, says
from v2t_lib.text.vocabulary import tokenise
from v2t_lib.training.feature_cache import cached_features

#: Claims that are judged at once.
BATCH = 32
#: Forms whose truth nobody agrees on.
OPEN = ("negation", "function words", "shuffled")


def forms_of(words: list[str], rng: np.random.Generator) -> Iterator[tuple[str, list[str]]]:
    """Yields claims of every form that one caption makes."""
    content = [i for i, word in enumerate(words) if word not in FUNCTION_WORDS]
    for place in content:
        yield "word", [words[place]]
        if place and words[place - 1] not in FUNCTION_WORDS:
            yield "two words", words[place - 1 : place + 1]
            if place > 1 and words[place - 2] in FUNCTION_WORDS:
                yield "noun phrase", words[place - 2 : place + 1]
    if content:
        yield "article and word", ["a", words[content[-1]]]
        yield "without its last word", words[: content[-1]] if len(content) > 2 else []
        yield "negation", [*words[: content[-1]], "not", *words[content[-1] :]]
    yield "function words", [word for word in words if word in FUNCTION_WORDS]
    yield "shuffled", [words[i] for i in rng.permutation(len(words))]
    yield "caption", words


def claims(captioner: Captioner, captions: list[list[str]], per_clip: int) -> list[tuple]:
    """`(clip, form, text, true)`: of each form up to `per_clip` true and false ones a clip."""
    rng, unit, found = np.random.default_rng(0), captioner.caption_spec.unit, []
    said = [[tokenise(text, unit) for text in of] for of in captions]
    for clip, own in enumerate(said):
        others = [said[i] for i in rng.permutation(len(said))[:20] if i != clip]
        foils = [text for of in others for text in of[:1]]
        for true, texts in ((True, own), (False, foils)):
            made: dict[str, set] = {}
            for text in texts:
                for form, words in forms_of(text, rng):
                    known = all(w in captioner.vocabulary or w == "not" for w in words)
                    held = form in OPEN or any(says(of, words) for of in own) == true
                    if words and known and held:
                        made.setdefault(form, set()).add(" ".join(words))
            for form, of in made.items():
                kept = rng.permutation(sorted(of))[:per_clip].tolist()
                found += [(clip, form, text, true) for text in kept]
    return found


def judged(captioner: Captioner, shards: ShardDataset, made: list[tuple], clips: int) -> list[str]:
    """The verdict on every claim."""
    inputs = next(iter(shards.clip_batches(clips)))[0]
    memory = np.concatenate([captioner.encode(inputs[i : i + 8]) for i in range(0, clips, 8)])
    frames = np.broadcast_to(np.uint8(0), (BATCH, *captioner.clip_spec.shape))
    verdicts: list[str] = []
    for first in range(0, len(made), BATCH):
        some = [made[min(first + row, len(made) - 1)] for row in range(BATCH)]
        texts, rows = [text for _, _, text, _ in some], memory[[clip for clip, *_ in some]]
        verdicts += [each.verdict for each in captioner.verify_frames(frames, texts, memory=rows)]
    return verdicts[: len(made)]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("shards", type=Path)
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--per-clip", type=int, default=2)
    parser.add_argument("--cache", type=Path)
    args = parser.parse_args()
    captioner, shards = load(args.model), ShardDataset.open(args.shards)
    with tempfile.TemporaryDirectory() as folder:
        shards = cached_features(captioner.encoder, shards, args.cache or folder)
        captions = list(shards.sentences())[: args.clips // 8 * 8]
        made = claims(captioner, captions, args.per_clip)
        verdicts = np.array(judged(captioner, shards, made, len(captions)))
        start = time.perf_counter()
        judged(captioner, shards, made[:BATCH], 8) if made[BATCH - 1][0] < 8 else None
    print(f"{len(captions)} clips; {(time.perf_counter() - start) / BATCH * 1000:.0f} ms a claim")
    forms, true = np.array([form for _, form, _, _ in made]), np.array([t for *_, t in made])
    for form in dict.fromkeys(forms.tolist()):
        of, cells = forms == form, []
        for verdict, right in ((SUPPORTED, true), (REFUTED, ~true)):
            given = of & (verdicts == verdict)
            precision = f"{right[given].mean():6.1%}" if given.any() else "     -"
            among = (given & right).sum() / max(1, (of & right).sum())
            cells.append(f"{verdict} {given.sum():4d}: {precision} right, {among:5.1%} of those")
        if form in OPEN:
            cells = [f"told {(of & (verdicts != CANT_TELL)).sum():4d}"]
        print(f"{form:22s} {of.sum():4d} claims, {true[of].mean():4.0%} true | {' | '.join(cells)}")


if __name__ == "__main__":
    main()
