"""Options: what each field says of itself, and what it refuses."""

import dataclasses
import re

import pytest

from v2t_lib.fetching.http import RetryPolicy
from v2t_lib.options import Options, option
from v2t_lib.specs import CaptionSpec, ClipSpec
from v2t_lib.training.recipe import DecoderOptions, Recipe, TrainingOptions

CLASSES = (ClipSpec, CaptionSpec, DecoderOptions, TrainingOptions, RetryPolicy)
FIELDS = [(cls, name) for cls in CLASSES for name in cls.about()]


@dataclasses.dataclass(frozen=True)
class Few(Options):
    count: int = option(3, "how many", "things", at_least=2)
    share: float = option(0.5, "how much of it", "share", at_least=0, below=1)
    rate: float = option(0.1, "how fast", "rate", above=0, at_most=10)
    kind: str = option("one", "which", "name", choices=("one", "two"))


def test_every_field_says_what_it_is_and_in_which_range():
    for cls in CLASSES:
        assert cls.about().keys() == {field.name for field in dataclasses.fields(cls)}
    for cls, name in FIELDS:
        about = cls.about()[name]
        assert len(about.help.split()) > 2 and about.unit.isidentifier(), name
        assert about.choices or about.range, f"{name} has no range"
        assert about.allows(about.default), name


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"count": 1}, "Few.count to be a whole number, at least 2. Received: 1"),
        ({"count": 2.0}, "Received: 2.0"),
        ({"count": True}, "Received: True"),
        ({"count": "3"}, "Received: '3'"),
        ({"share": 1}, "Few.share to be a number, at least 0 and below 1. Received: 1"),
        ({"share": float("nan")}, "Received: nan"),
        ({"rate": 0}, "Few.rate to be a number, above 0 and at most 10. Received: 0"),
        ({"rate": 10.1}, "Received: 10.1"),
        ({"kind": "three"}, "Few.kind to be one of one, two. Received: 'three'"),
    ],
)
def test_values_outside_the_range_are_refused(values, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Few(**values)


def test_the_ends_of_a_range_are_in_it_and_text_becomes_a_value():
    assert Few(count=2, share=0, rate=10, kind="two") == Few(2, 0.0, 10.0, "two")
    about = Few.about()
    assert about["count"].parse("12") == 12 and about["share"].parse("1e-1") == 0.1
    with pytest.raises(ValueError, match=r"^expected a whole number, .*Received: '2\.5'$"):
        about["count"].parse("2.5")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"clip": (8, 48, 48)}, r"Recipe\.clip to be a ClipSpec\. Received: \(8, 48, 48\)"),
        ({"training": {"epochs": 3}}, r"Recipe\.training to be a TrainingOptions"),
        ({"encoder": ""}, r"Recipe\.encoder to be a name\. Received: ''"),
        ({"encoder_options": [3]}, r"Recipe\.encoder_options to be a dict\. Received: \[3\]"),
        ({"encoder_options": {"widths": {1, 2}}}, r"numbers, strings, lists .*Received: \{1, 2\}"),
    ],
)
def test_recipes_are_made_of_their_parts(values, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**values)
