"""The scores of an evaluation for people: each with what it means, and whether it is good."""

import dataclasses

from v2t_lib.metrics.diversity import COLLAPSE_SHARE, SMALL_GAP

#: A clip that lowers the loss by this much, in nats a token, is clearly used.
CLEAR_GAP = 0.25


@dataclasses.dataclass(frozen=True)
class Figure:
    """One figure of an evaluation.

    Attributes:
        name: What it is.
        value: The figure as text, with its unit.
        meaning: What it says, in a few words.
        mark: "good" or "poor", by a control that it stands beside; "" where nothing but another
            model's figure on the same clips could tell.
    """

    name: str
    value: str
    meaning: str
    mark: str = ""


def _percent(share: float | None) -> str:
    return "not measured" if share is None else f"{100 * share:.1f}%"


def _mark(good: bool, poor: bool) -> str:
    return "good" if good else "poor" if poor else ""


def _exact(scores: dict) -> list[Figure]:
    greedy, beam = scores["exact_match"], scores["exact_match_beam"]
    # Only of drawn clips is everything known that may be said about them.
    drawn = bool(scores["exact_match_by"])
    found = [
        Figure(
            "exact match",
            _percent(greedy),
            "captions that are, word for word, one of the clip's own",
            _mark(drawn and greedy >= 0.9, drawn and greedy < 0.5),
        ),
        Figure(f"with {scores['beam']} beams", _percent(beam), "the same, by beam search"),
    ]
    if (unseen := scores["unseen_combinations"]) is not None:
        found.append(
            Figure(
                "unseen combinations",
                _percent(unseen),
                "the same, for colour, shape and behaviour never together in training",
                _mark(unseen >= 0.9 * greedy > 0, unseen < 0.5 * greedy),
            )
        )
    return found


def _losses(scores: dict) -> list[Figure]:
    loss = scores["loss"]
    found = [
        Figure("loss", f"{loss:.3f} nats", "a token; lower is better, but see the next two lines")
    ]
    for name, label, meaning in (
        ("blind_loss", "loss when blind", "the same decoder trained without seeing the clip"),
        ("shuffled_loss", "loss on wrong clips", "this model, shown other clips"),
    ):
        if (other := scores[name]) is not None:
            gap = other - loss
            mark = _mark(gap >= CLEAR_GAP, gap < SMALL_GAP)
            found.append(Figure(label, f"{other:.3f} nats", f"{meaning}; has to be higher", mark))
    return found


def _texts(scores: dict) -> list[Figure]:
    meanings = {
        "BLEU-4": "runs of up to four words found in the references",
        "ROUGE-L": "longest common subsequence with a reference",
        "METEOR": "words in common, stems and synonyms too",
        "CIDEr": "of 10: words in common, rare ones weigh more",
    }
    found = []
    for name, meaning in meanings.items():
        if (value := scores[name]) is not None:
            low, high = scores["intervals"][name]
            found.append(Figure(name, f"{value:.3f}", f"{meaning} (95%: {low:.3f} to {high:.3f})"))
    distinct, copied = scores["distinct_captions"], scores["seen_in_training"]
    meaning = "different captions, a clip; few mean that it writes the same for many"
    mark = _mark(False, distinct < COLLAPSE_SHARE)
    found.append(Figure("distinct captions", _percent(distinct), meaning, mark))
    if copied is not None:
        meaning = "captions that are in the training data word for word"
        found.append(Figure("seen in training", _percent(copied), meaning))
    return found


def _attention(scores: dict) -> list[Figure]:
    found = []
    for name, label, where in (
        ("pointing", "pointing", "colour and shape words whose peak of attention is on the object"),
        ("pointing_behaviour", "pointing, behaviour", "behaviour words, peak on the object's way"),
    ):
        if (value := scores[name]) is not None:
            chance = scores[f"{name}_chance"]
            good, poor = value >= (1 + chance) / 2, value < chance + 0.05
            meaning = f"{where}; {_percent(chance)} by chance"
            found.append(Figure(label, _percent(value), meaning, _mark(good, poor)))
    if (mass := scores["mass_on_object"]) is not None:
        found.append(Figure("attention on object", _percent(mass), "of it, for the same words"))
    if deleted := scores["deletion"]:
        low, high = deleted["interval"]
        meaning = (
            f"fall of a word's probability without its most attended tenth of the clip; "
            f"{deleted['random']:.3f} without a random tenth (difference {low:.3f} to {high:.3f})"
        )
        found.append(Figure("deletion", f"{deleted['drop']:.3f}", meaning, _mark(low > 0, low < 0)))
    return found


def _surest(scores: dict) -> Figure:
    half = next(row for row in scores["risk_coverage"] if row["coverage"] == 0.5)
    exact = _percent(half["exact_match"])
    meaning = f"CIDEr of the half that the model is surest of; exact match {exact}"
    mark = _mark(half["CIDEr"] > scores["CIDEr"], half["CIDEr"] < scores["CIDEr"])
    return Figure("surest half", f"{half['CIDEr']:.3f}", meaning, mark)


def figures(scores: dict) -> list[Figure]:
    """What `evaluate` returns as a table's rows; what was not measured is left out."""
    return [
        *_exact(scores),
        *_losses(scores),
        *_texts(scores),
        _surest(scores),
        *_attention(scores),
        *(
            Figure(f"{kind}: {name}", _percent(group["exact_match"]), "exact match of such clips")
            for kind, groups in (scores["exact_match_by"] or {}).items()
            for name, group in groups.items()
        ),
    ]


def headline(scores: dict) -> str:
    """What was scored, in a few words."""
    return f"{scores['clips']:,} held-out clips, captioned greedily and with {scores['beam']} beams"


def summary(scores: dict) -> str:
    """The scores that `evaluate` returns as a text table, and what there is to doubt."""
    rows = figures(scores)
    name, value = (max(len(getattr(row, part)) for row in rows) for part in ("name", "value"))
    lines = [
        f"{row.name:{name}}  {row.value:>{value}}  {row.mark:4}  {row.meaning}" for row in rows
    ]
    doubts = [f"Careful: {doubt}" for doubt in scores["doubts"]]
    return "\n".join([headline(scores), *lines, *doubts])
