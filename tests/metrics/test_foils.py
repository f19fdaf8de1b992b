"""Foils: sentences that are false, and no easier to tell by their words than true ones."""

from collections import Counter

import pytest

from v2t_lib.metrics.foils import PART, RECOMBINED, TRUE, claims, parts
from v2t_lib.metrics.texts import WORD_KINDS, content
from v2t_lib.text.content import stem

CAPTIONS = (
    ("A man is riding a horse.", "a guy rides a brown horse"),
    ("a woman is riding a horse",),
    ("two dogs play in the snow", "dogs are playing"),
    ("a girl sings on stage",),
)


def of_kind(found, kind):
    return [claim for claim in found if claim.kind == kind]


def test_every_clip_has_true_sentences_and_false_ones():
    found = claims(CAPTIONS)
    assert [c.sentence for c in of_kind(found, TRUE) if c.clip == 0] == [
        "a man is riding a horse",
        "a guy rides a brown horse",
    ]
    similar = {c.clip: c.sentence for c in of_kind(found, "similar")}
    assert similar[1] == "a man is riding a horse"
    for claim in found:
        words = [word for text in CAPTIONS[claim.clip] for word in text.lower().strip(".").split()]
        assert (content(claim.sentence.split()) <= content(words)) == (claim.kind == TRUE)


@pytest.mark.parametrize("kind", ["random", "similar"])
def test_captions_are_exchanged_in_pairs(kind):
    """Each is a foil as often as it is true, so none can be told by its words."""
    many = [(f"a thing {n % 7}", f"thing {n % 5} of {n}") for n in range(60)]
    found = claims(many)
    foils = {(c.clip, c.sentence) for c in of_kind(found, kind)}
    assert len(foils) > 90
    told = Counter(sentence for _, sentence in foils)
    said = Counter(c.sentence for c in of_kind(found, TRUE))
    assert all(told[sentence] <= said[sentence] for sentence in told)
    owners = {text: clip for clip, of in enumerate(many) for text in of if " of " in text}
    partners = {clip: owners[text] for clip, text in foils if text in owners}
    assert all(clip != other for clip, other in partners.items())


def test_one_word_is_swapped_for_another_of_its_kind():
    many = [("a man rides",), ("a woman rides",), ("a red dog",), ("a blue dog",)] * 20
    swapped = of_kind(claims(many), "swapped")
    assert {claim.words for claim in swapped} == {"people", "colours"}
    for claim in swapped:
        pairs = list(zip(claim.sentence.split(), many[claim.clip][0].split(), strict=True))
        (changed,) = [pair for pair in pairs if len(set(pair)) == 2]
        groups = [set(group) for groups in WORD_KINDS.values() for group in groups]
        assert any(set(changed) <= group for group in groups)


def test_words_are_swapped_both_ways_equally_often():
    """Three men to a woman: most men stay, or "woman" would speak for a foil."""
    many = [("a man rides",)] * 900 + [("a woman rides",)] * 300
    swapped = Counter(claim.sentence for claim in of_kind(claims(many), "swapped"))
    assert swapped.keys() == {"a man rides", "a woman rides"}
    # A fourth of the draws names the other word, and one in three of the men is let through.
    assert swapped["a woman rides"] == pytest.approx(75, abs=30)
    assert swapped["a man rides"] == pytest.approx(75, abs=30)


def test_directions_are_swapped_only_where_something_moves():
    many = [("a star moves up",), ("a star moves down",), ("he picks up a star",)] * 40
    swapped = of_kind(claims(many), "swapped")
    assert {c.clip % 3 for c in swapped if c.words == "directions"} == {0, 1}


def test_what_the_model_cannot_judge_is_neither_true_nor_false():
    known = claims(CAPTIONS, lambda text: "horse" not in text)
    assert not [claim for claim in known if "horse" in claim.sentence]
    assert claims(CAPTIONS, lambda text: False) == [] and claims([]) == []


def test_the_seed_the_number_a_clip_and_the_unit_decide():
    one, same, other = (claims(CAPTIONS * 5, seed=seed, per_clip=1) for seed in (1, 1, 2))
    assert one == same != other
    assert max(Counter(c.clip for c in one if c.kind == TRUE).values()) == 1
    found = claims([("一只狗",), ("一只猫",)], unit="character")
    assert [c.sentence for c in found if c.clip == 0] == ["一 只 狗", "一 只 猫", "一 只 猫"]


def test_a_word_has_one_stem_in_all_its_forms_and_no_other_word_has_it():
    for forms in ("moves moving", "dogs dog", "spins spinning", "dances dancing", "rides riding"):
        assert len({stem(word) for word in forms.split()}) == 1
    stems = [stem(word) for groups in WORD_KINDS.values() for word in groups[0]]
    assert len(set(stems)) == len(stems) and min(map(len, stems)) > 1


def test_words_and_phrases_are_as_often_false_as_true():
    """What is said of a clip is true of it; what no caption of it says together is not."""
    shown = [(f"a {c} {s} spins",) for c in ("red", "blue") for s in ("star", "cross")]
    two = ("a red cross grows while a blue star spins",)
    many = [*shown, two] * 4
    made = parts(many, lambda word: word != "while")
    words = {claim.sentence for claim in made["word"]}
    assert words == {"red", "blue", "star", "cross", "spins", "grows"}
    for form, claims_of in made.items():
        counts = Counter((claim.sentence, claim.kind == TRUE) for claim in claims_of)
        assert {counts[text, True] - counts[text, False] for text, _ in counts} == {0} or (
            form == "word"  # "spins" is false of no clip
        )
        for claim in claims_of:
            said = " ".join(many[claim.clip])
            assert (claim.sentence in said.replace("while a ", "")) == (claim.kind == TRUE)
    kinds = Counter(claim.kind for claim in made["phrase"])
    assert kinds[PART] > kinds[RECOMBINED] > 0
    mixed = [c for c in made["phrase"] if c.kind == RECOMBINED]
    assert all(set(c.sentence.split()) <= set(many[c.clip][0].split()) for c in mixed)
