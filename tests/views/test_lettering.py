from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

from v2t_lib.models.caption import Caption
from v2t_lib.views.animation import side_by_side
from v2t_lib.views.inspector import cards
from v2t_lib.views.lettering import font_for, right_to_left

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
ARABIC = ("قطة", "حمراء", "تركض")


@pytest.fixture
def fresh():
    """Fonts are looked for anew, before and after."""
    font_for.cache_clear()
    yield
    font_for.cache_clear()


@pytest.mark.usefixtures("fresh")
def test_other_letters_come_from_a_font_of_the_machine(monkeypatch, tmp_path):
    theirs, ours = (
        set(FT2Font(str(FONTS / name)).get_charmap())
        for name in ("STIXNonUni.ttf", "DejaVuSans.ttf")
    )
    letter = chr(min(theirs - ours))
    damaged = tmp_path / "damaged.ttf"
    damaged.write_bytes(b"no font")

    def machine_has(*paths):
        entries = [font_manager.FontEntry(fname=str(path), name="a font") for path in paths]
        monkeypatch.setattr(font_manager.fontManager, "ttflist", entries)

    machine_has(damaged, tmp_path / "gone.ttf", FONTS / "STIXNonUni.ttf")
    assert font_for(letter, 15).path == str(FONTS / "STIXNonUni.ttf")
    assert font_for("êкשقطγ", 15).path == str(FONTS / "DejaVuSans.ttf")
    font_for.cache_clear()
    machine_has()
    assert font_for(letter, 15).path == str(FONTS / "DejaVuSans.ttf")  # as a box


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (ARABIC, True),
        (("2", "חתולים"), True),
        (("a", "قطة"), False),
        (("猫",), False),
        (("2",), False),
        ((), False),
    ],
)
def test_the_first_letter_sets_the_direction(words, expected):
    assert right_to_left(words) is expected


def test_arabic_captions_read_from_right_to_left_everywhere():
    weights, seconds = np.full((3, 1, 1, 1), 1.0), np.arange(4)
    frames = np.full((4, 20, 20, 3), 255, np.uint8)
    caption = Caption(" ".join(ARABIC), ARABIC, np.ones(3), 0.0, weights, frames, seconds)
    highlighted = []
    for word in range(3):
        shown = side_by_side(caption, word, 100)[0, 100:].astype(int)
        highlighted.append(np.nonzero((shown == (246, 168, 0)).all(axis=-1))[1].mean())
    assert highlighted[0] > highlighted[1] > highlighted[2] and highlighted[0] > 150
    assert [card["direction"] for card in cards([caption])] == ["rtl"]
