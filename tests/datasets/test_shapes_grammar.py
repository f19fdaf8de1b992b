from v2t_lib.datasets.shapes_grammar import BEHAVIOURS, Thing, behaviours, describe, references


def test_references_are_found_in_every_phrasing():
    left, right = Thing("red", "star", "moves left"), Thing("blue", "cross", "spins")
    for phrasing in range(3):
        words = describe((left, right), phrasing).split()
        found = dict(zip(words, references(words), strict=True))
        for thing, number in ((left, 0), (right, 1)):
            assert found[thing.colour] == ("colour", number)
            assert found[thing.shape] == ("shape", number)
        assert found["left"] == ("behaviour", 0)
        assert [found[w] for w in words if w.startswith("mov")] == [("behaviour", 0)]
        assert [found[w] for w in words if w.startswith("spin")] == [("behaviour", 1)]
        little = {"a", "the", "is", "while", "and", "there"} & set(words)
        assert little and all(found[word] is None for word in little)


def test_every_behaviour_is_known():
    for behaviour in BEHAVIOURS:
        for phrasing in range(3):
            words = describe((Thing("red", "star", behaviour),), phrasing).split()
            kinds = [reference and reference[0] for reference in references(words)]
            assert kinds.count("behaviour") == len(behaviour.split())


def test_behaviours_are_read_back_from_every_phrasing():
    for left in BEHAVIOURS:
        for right in BEHAVIOURS:
            things = (Thing("red", "star", left), Thing("blue", "cross", right))
            for phrasing in range(3):
                assert behaviours(describe(things, phrasing).split()) == [left, right]
    assert behaviours(["a", "red", "star"]) == []
