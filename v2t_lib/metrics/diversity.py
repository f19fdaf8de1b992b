"""How varied captions are, and signs that a model ignores the clips."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from v2t_lib.text.vocabulary import normalise, sentence, tokenise

#: Fewer distinct captions than this share of the clips is a collapse.
COLLAPSE_SHARE = 0.1
#: If the clip lowers the loss by less than this, in nats a token, the model hardly uses it.
SMALL_GAP = 0.05


def diversity(
    captions: Sequence[str], training: Iterable[str] | None = None, unit: str = "word"
) -> dict:
    """How varied captions are.

    Args:
        captions: One caption a clip.
        training: The captions of the training data, if known.
        unit: What captions are cut into, as in `CaptionSpec`.

    Returns:
        `distinct_captions`: the number of different captions divided by the number of clips;
        `distinct_1` and `distinct_2`: the same for words and word pairs (arXiv 1510.03055);
        `mean_length`: in words; `seen_in_training`: the share of captions that are identical to a
        training caption, None if those are unknown.
    """
    sentences = [tokenise(caption, unit) for caption in captions]
    words = [word for of_one in sentences for word in of_one]
    pairs = [pair for of_one in sentences for pair in pairwise(of_one)]
    known = None if training is None else {normalise(text, unit) for text in training}
    texts = [sentence(of_one, unit) for of_one in sentences]
    return {
        "distinct_captions": len(set(texts)) / len(texts),
        "distinct_1": len(set(words)) / max(1, len(words)),
        "distinct_2": len(set(pairs)) / max(1, len(pairs)),
        "mean_length": len(words) / len(texts),
        "seen_in_training": None if known is None else sum(t in known for t in texts) / len(texts),
    }


def diagnose(scores: dict) -> list[str]:
    """Signs that a model ignores the clips, one or more sentences each; none if all is well.

    Args:
        scores: `clips`, `loss`, `blind_loss` and `shuffled_loss` in nats a token (the last two may
            be None), and what `diversity` returns.
    """
    controls = {
        "blind_loss": "for the same decoder when it sees nothing",
        "shuffled_loss": "when it is shown other clips",
    }
    near = [
        f"{scores[name]:.3f} {when}"
        for name, when in controls.items()
        if scores[name] is not None and scores[name] - scores["loss"] < SMALL_GAP
    ]
    found = []
    if near:
        found.append(
            f"The model hardly uses the clip: its loss is {scores['loss']:.3f} nats a token, and "
            f"{' and '.join(near)}. Train longer, or with another encoder, before you trust its "
            "captions."
        )
    distinct = round(scores["distinct_captions"] * scores["clips"])
    if scores["clips"] > 1 and (distinct == 1 or scores["distinct_captions"] < COLLAPSE_SHARE):
        found.append(
            f"The captions have collapsed: {distinct} distinct for {scores['clips']} clips. The "
            "model writes nearly the same for every clip: train longer, or lower the learning rate."
        )
    return found
