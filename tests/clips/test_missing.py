"""A clip that isn't there: what is said of it, and what lies near."""

import unicodedata

import pytest

from v2t_lib.clips.decode import read_clip
from v2t_lib.errors import ClipError

NFC, NFD = (unicodedata.normalize(form, "café.gif") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    ("there", "asked", "said"),
    [
        (NFD, NFC, r"no such file; there is one whose accents are written otherwise \(NFD\)"),
        (NFC, NFD, r"there is one whose accents are written otherwise \(NFC\)"),
        ("ok.gif", "OK.GIF", "no such file; there is ok.gif"),
        ("ok.gif", "clips\\ok.gif", "a backslash .*; write clips/ok.gif"),
        (
            "ok.gif",
            "www.example.com/a.gif",
            "no such file, nor its folder; .* lacks http:// in front",
        ),
        ("ok.gif", "example.org/a.gif", "lacks http:// in front"),
        ("ok.gif", "file:///tmp/ok.gif", "file: URLs are not read; write the path alone"),
        ("ok.gif", "~/ok.gif", "~ is not expanded here; write the whole path"),
        ("ok.gif", "none.gif", "no such file$"),
        ("ok.gif", "none/a.gif", "no such file, nor its folder$"),
    ],
)
def test_what_lies_near_is_named(there, asked, said, tmp_path):
    (tmp_path / there).touch()
    with pytest.raises(ClipError, match=said):
        read_clip(f"{tmp_path}/{asked}")


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_data_url_is_told_and_not_repeated_whole(size):
    with pytest.raises(ClipError, match="data: URLs are not read; save it to a file") as error:
        read_clip("data:image/gif;base64," + "R" * size)
    assert len(str(error.value)) < 300
