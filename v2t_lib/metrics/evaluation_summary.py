"""The scores of an evaluation in words."""


def summary(scores: dict) -> str:
    """The scores that `evaluate` returns in a few sentences, and what there is to doubt."""

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
    half = next(row for row in scores["risk_coverage"] if row["coverage"] == 0.5)
    sentences.append(
        f"The half of the captions that the model is surest of: exact match "
        f"{100 * half['exact_match']:.1f}%, CIDEr {half['CIDEr']:.2f}."
    )
    if parts := scores["exact_match_by"]:
        for kind, groups in parts.items():
            shares = (f"{name} {100 * g['exact_match']:.1f}%" for name, g in groups.items())
            sentences.append(f"Exact match by {kind}: {', '.join(shares)}.")
    return "\n".join([" ".join(sentences), *(f"Careful: {doubt}" for doubt in scores["doubts"])])
