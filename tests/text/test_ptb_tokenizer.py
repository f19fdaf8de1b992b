"""The expected words are what the Stanford tokeniser 3.4.1 and the scorers' filter leave."""

import hashlib
import random

import pytest

from v2t_lib.captions_file import read_captions
from v2t_lib.text.ptb_tokenizer import PUNCTUATION, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It's a T-shirt.", "it 's a t-shirt"),
        (
            "A man can't open the door; he won't give up!",
            "a man ca n't open the door he wo n't give up",
        ),
        (
            "Two girls, who cannot dance, are gonna try.",
            "two girls who can not dance are gon na try",
        ),
        ("the dogs' bowls", "the dogs bowls"),
        ("it’s a man that doesn’t move", "it 's a man that does n't move"),
        ("a 3-year-old boy eats 1/2 of a pizza", "a 3-year-old boy eats 1/2 of a pizza"),
        ("He scores 3,000 points at 50% for $20", "he scores 3,000 points at 50 % for $ 20"),
        ("a man (with a hat) smiles...", "a man -lrb- with a hat -rrb- smiles"),
        ("rock 'n' roll", "rock 'n' roll"),
        ("Mr. Bean falls. Dr. Who laughs", "mr. bean falls dr. who laughs"),
        ("the U.S. flag is waving.", "the u.s. flag is waving"),
        ("a car drives by.a man looks", "a car drives by.a man looks"),
        ("two men fighting ,one falls", "two men fighting one falls"),
        ("a cat & a dog/wolf and/ or", "a cat & a dog/wolf and / or"),
        ("i <3 you :)", "i < 3 you :-rrb-"),
        ("a café in São Paulo", "a café in são paulo"),
        ("日本語 テスト", "日本語 テスト"),
        ("a cost of 5€ or £3", "a cost of 5 $ or # 3"),
        ("wait... what?!", "wait what ?!"),
        ("a man etc.", "a man etc."),
        ("two people kiss.   ", "two people kiss"),
        ("one", "one"),
        ("...", ""),
        ("", ""),
    ],
)
def test_words_are_those_of_the_official_tokeniser(text, expected):
    assert " ".join(words(text)) == expected


def test_typed_and_parted_captions_are_the_same_words():
    assert words("The man's dog, it seems, can't jump.") == words(
        "the man 's dog , it seems , ca n't jump ."
    )


def test_nothing_that_can_be_typed_breaks_a_word():
    rng = random.Random(0)
    odd = "aZé1 .,'’-–_/&;:()<>[]#@!?…“”€½\u00a0\t\u0301日😀\x00"
    for _ in range(2000):
        text = "".join(rng.choices(odd, k=rng.randint(0, 12)))
        found = words(text)
        assert not PUNCTUATION.intersection(found)
        assert all(word and word == word.lower() and word.split() == [word] for word in found)


#: SHA-256 of what the official tokeniser gives, one caption a line.
OFFICIAL = {
    "tgif_rows.tsv": "b7178fb5624e7ffcb0e46900dabd0505694f2178f6f4d76a57c26480255a806e",
    "scores/references.tsv": "422758a89fe9f6248f944b3b6301ba904cbd5491c0f81ef3b8baaada5c74e0d7",
    "scores/predictions.tsv": "12d7efc9d2a082580bb4b7538289c9f79c19e15be0eb8d4cbe4eada4aca35652",
}


@pytest.mark.shared
@pytest.mark.parametrize("name", OFFICIAL)
def test_real_captions_are_cut_as_the_official_tokeniser_cuts_them(shared_data, name):
    records = read_captions(shared_data / name, keep_repeats=True)
    lines = "".join(" ".join(words(text)) + "\n" for r in records for text in r.captions)
    assert hashlib.sha256(lines.encode()).hexdigest() == OFFICIAL[name]
