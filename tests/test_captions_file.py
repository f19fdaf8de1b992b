import re
import unicodedata

import pytest

from v2t_lib.captions_file import (
    Record,
    check_apart,
    read_captions,
    read_predictions,
    read_split,
    select,
    split_records,
)
from v2t_lib.errors import DataError


def write(folder, content, name="captions.tsv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def records_of(count):
    return [Record(f"k{n}", f"clips/{n}.gif", ("a", "b")) for n in range(count)]


def refused(read, path, *says):
    with pytest.raises(DataError) as error:
        read(path)
    for words in (str(path), *says):
        assert words in str(error.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("b\tone\na\ttwo\nb\tthree\n", [("b", ("one", "three")), ("a", ("two",))]),
        ("\ufeffa\tone\r\n\r\nb\ttwo\r\n", [("a", ("one",)), ("b", ("two",))]),
        ("a\tone\nb\ttwo", [("a", ("one",)), ("b", ("two",))]),
        ('a\t"Look," he  says\u2028twice "\n', [("a", ('"Look," he  says\u2028twice "',))]),
        ("a\tone\n./a\ttwo\nx//../a\tthree\n", [("a", ("one", "two", "three"))]),
    ],
)
def test_a_source_gathers_its_captions_as_typed_and_in_order(tmp_path, content, expected):
    records = read_captions(write(tmp_path, content))
    assert [(r.source, r.captions) for r in records] == expected


def test_repeated_rows_count_once_and_are_counted_or_are_kept(tmp_path, capsys):
    path = write(tmp_path, "a\tx\nb\tx\na\tx\na\ty\na\tx\n")
    records = read_captions(path)
    assert read_captions(path) == records
    (said,) = capsys.readouterr().err.splitlines()
    assert "2 rows repeat an earlier one word for word and count once" in said
    assert [(r.source, r.captions) for r in records] == [("a", ("x", "y")), ("b", ("x",))]
    kept = read_captions(path, keep_repeats=True)
    assert [r.captions for r in kept] == [("x", "x", "y", "x"), ("x",)]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("a\tx\na.gif only\n", ("row 2", "1 column in", "a.gif only")),
        ("a\tx\n\na\tx\ty\n", ("row 3", "3 columns", "a | x | y")),
        ("a\t \u00a0\n", ("row 1", "a blank caption")),
        ("a\tx\n\tx\n", ("row 2", "a blank source")),
        ("a,b\n", ("row 1", "1 column (columns are parted by tabs, not by commas)")),
        ("sep=;\na;b\n", ("row 1", "tabs, not by semicolons")),
        ("a.gif    x\n", ("row 1", "tabs, not by spaces")),
        ('a\t"x\ny"\n', ("row 2", "the quoted cell before it has a line end")),
        (b"PK\x03\x04\x14", ("a workbook, or another archive", "save it as text with tabs")),
        (" \n\r\n", ("an empty file",)),
        (b"a\tx\nb\tcaf\xe9\n", ("row 2", "0xe9 at byte 5 of the row", "save the file as UTF-8")),
        ("a\tx\n".encode("utf-16")[:-1], ("expected text in utf-16", "truncated data")),
        ("a\tx\n".encode("utf-16-le"), ("row 1", "0x00 at byte 1 of", "save the file as UTF-8")),
    ],
)
def test_bad_captions_files_are_named_with_the_row(tmp_path, content, says):
    refused(read_captions, write(tmp_path, content), *says)


@pytest.mark.parametrize("read", [read_captions, read_split])
def test_a_missing_file_and_a_folder_are_named(tmp_path, read):
    refused(read, tmp_path / "absent.tsv", "No such file")
    refused(read, tmp_path, "Is a directory")


def test_keys_are_fit_for_files_and_differ_where_sources_do(tmp_path):
    sources = [
        "clips/a b.gif",
        "other/a b.gif",
        "clips/A b.gif",
        "https://example.org/x/a%20b.gif?size=2",
        "https://example.org/x/a%20b.gif?size=3",
        "https://example.org/",
        "-rf.gif",
        ".hidden",
        "../../фильм.gif",
        "c" * 300 + ".gif",
        "con",
    ]
    path = write(tmp_path, "".join(f"{source}\tx\n" for source in sources))
    keys = [record.key for record in read_captions(path)]
    assert len({key.lower() for key in keys}) == len(sources)
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}", key) for key in keys)
    # Stable: what is written under a key today is found again by a later release.
    assert keys[0] == "a_b-5e7847df91fcd036"


def test_local_sources_lie_beside_the_captions_file_and_urls_stay(tmp_path):
    path = write(tmp_path, "a/b.gif\tx\n/abs/c.gif\tx\nHTTPS://example.org//d.gif\tx\n")
    local, absolute, remote = read_captions(path)
    assert local.path(path) == str(tmp_path / "a" / "b.gif")
    assert absolute.path(path) == "/abs/c.gif"
    assert remote.path(path) == "HTTPS://example.org//d.gif"
    for piped in ("/dev/stdin", "/dev/fd/63", "/proc/self/fd/3"):  # beside nothing
        assert local.path(piped) == "a/b.gif"
    assert [local.remote, absolute.remote, remote.remote] == [False, False, True]


def test_split_lists_ignore_what_follows_a_tab(tmp_path):
    path = write(tmp_path, "\ufeffb.gif\tnoted\r\n\r\na.gif\r\nb.gif\r\n", "train.txt")
    assert read_split(path) == ["b.gif", "a.gif"]
    refused(read_split, write(tmp_path, "a\n\tx\n", "val.txt"), "row 2", "expected a source")
    refused(read_split, write(tmp_path, "", "test.txt"), "an empty file")


def test_select_takes_the_lists_sources_in_its_order(tmp_path):
    split = write(tmp_path, "clips/2.gif\nclips/0.gif\n", "val.txt")
    chosen = select(records_of(4), split)
    assert [(r.source, r.split) for r in chosen] == [("clips/2.gif", "val"), ("clips/0.gif", "val")]
    assert chosen[0].captions == ("a", "b")
    split = write(tmp_path, "x\nclips/1.gif\n\ny\nz\nw\n", "val.txt")
    said = "4 of 5 that it lacks ('x', 'y', 'z', ...)"
    refused(lambda path: select(records_of(3), path), split, said)


def test_splits_are_disjoint_whole_and_of_the_asked_size():
    records = records_of(1000)
    placed = split_records(records, {"train": 0.8, "val": 0.05, "test": 0.15}, seed=3)
    counts = {name: sum(r.split == name for r in placed) for name in ("train", "val", "test")}
    assert counts == {"train": 800, "val": 50, "test": 150}
    assert [r.source for r in placed] == [r.source for r in records]
    assert all(r.captions == ("a", "b") for r in placed)


def test_a_split_depends_on_seed_and_sources_alone():
    shares = {"train": 0.5, "test": 0.5}
    placed = {r.source: r.split for r in split_records(records_of(200), shares, seed=1)}
    again = {r.source: r.split for r in split_records(records_of(200)[::-1], shares, seed=1)}
    other = {r.source: r.split for r in split_records(records_of(200), shares, seed=2)}
    assert placed == again
    assert placed != other
    # Written down, so that no release may move a clip from test to train.
    assert [n for n in range(12) if placed[f"clips/{n}.gif"] == "test"] == [2, 6, 11]


def test_clips_that_join_later_move_only_those_next_to_a_cut():
    shares = {"train": 0.9, "test": 0.1}
    before = {r.source: r.split for r in split_records(records_of(1000), shares)}
    after = {r.source: r.split for r in split_records(records_of(1100), shares)}
    assert sum(after[source] != split for source, split in before.items()) < 20


def test_wrong_shares_are_refused_and_a_split_is_never_silently_empty():
    for shares in ({}, {"a": 0.5}, {"a": 1.5, "b": -0.5}):
        with pytest.raises(ValueError, match="sum to 1"):
            split_records(records_of(4), shares)
    with pytest.raises(DataError, match="leaves 'test' without any"):
        split_records(records_of(3), {"train": 0.9, "test": 0.1})
    assert {r.split for r in split_records(records_of(3), {"train": 1.0, "test": 0.0})} == {"train"}


def test_the_first_prediction_of_a_source_counts_even_if_blank(tmp_path, capsys):
    path = write(tmp_path, "a\tone\nb\t\na\ttwo\nb\tthree\nc\t ein grüner Stern \n")
    predictions = read_predictions(path)
    assert re.search("2 rows predict .* the first in row 3", capsys.readouterr().err)
    assert predictions == {"a": "one", "b": "", "c": "ein grüner Stern"}
    refused(read_predictions, write(tmp_path, "a\n"), "row 1", "1 column")


@pytest.mark.parametrize(
    "header",
    [
        "source\tcaption",
        "\ufeffvideo\tcaption",
        "image_id\tsentence",
        "#VideoID\tCaption",
        "gif url\tdescription",
        "clip_name\tgenerated caption",
    ],
)
@pytest.mark.parametrize("read", [read_captions, read_predictions])
def test_a_header_row_is_skipped_and_said(tmp_path, capsys, read, header):
    expected = read(write(tmp_path, "a.gif\tone\n"))
    assert read(write(tmp_path, f"{header}\n\na.gif\tone\n")) == expected
    assert "row 1: taken for a header and skipped: " in capsys.readouterr().err


@pytest.mark.parametrize(
    "row",
    [
        "source\ta man opens a source of water",
        "clip1\ta caption",
        "video1\tcaption",
        "intro\tdancing",
        "video.gif\tcaption",
        "clips/video\tcaption",
        "https://example.org/video\tcaption",
    ],
)
def test_a_row_that_may_be_a_clip_is_kept(tmp_path, row):
    first = read_captions(write(tmp_path, f"{row}\na.gif\tone\n"))[0]
    assert [first.source, *first.captions] == row.split("\t")


def test_sources_that_are_the_same_file_are_one(tmp_path):
    nfc, nfd = (unicodedata.normalize(form, "clips/été.gif") for form in ("NFC", "NFD"))
    path = write(tmp_path, f"./clips/0.gif\ta\nclips//0.gif\tb\n{nfd}\tc\n{nfc}\td\n")
    zero, summer = read_captions(path)
    assert (zero.source, zero.captions) == ("./clips/0.gif", ("a", "b"))
    assert (summer.source, summer.captions) == (nfd, ("c", "d"))  # as it lies on the disk
    (usual,) = read_captions(write(tmp_path, "clips/0.gif\ta\n"))
    assert zero.key == usual.key
    split = write(tmp_path, f"x/../clips/0.gif\n{nfc}\nclips/0.gif\n", "val.txt")
    assert [record.key for record in select([zero, summer], split)] == [zero.key, summer.key]
    predicted = read_predictions(write(tmp_path, f"./clips/0.gif\ta\n{nfd}\tb\nclips/0.gif\tc\n"))
    assert predicted == {"clips/0.gif": "a", nfc: "b"}
    two = "https://a.org/x//é\ta\nhttps://a.org/x/é\ta\nHTTPS://A.org/x/e\u0301\tb\n"
    two = read_captions(write(tmp_path, two))
    assert len(two) == 2


def test_a_clip_that_is_trained_on_is_not_held_out():
    first, second, third = (Record(name, f"{name}.gif", ("a dog",)) for name in "abc")
    check_apart({"train": [first], "val": [second, third], "test": [second]})
    with pytest.raises(DataError, match=r"test.txt that train.txt lacks.*1 in both, 'a.gif'"):
        check_apart({"train": [first, second], "val": [third], "test": [third, first]})


@pytest.mark.parametrize("ends", ["\r\n", "\r", "\t\t\r\n", "\r\n\t\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_what_spreadsheets_write_is_read(tmp_path, ends, encoding):
    rows = ('"c, é.gif"\ta star', 'b.gif\t"a ""red"" star, é"', 'd.gif\t"a" star', 'e.gif\t"a"')
    text = "".join(row + ends for row in rows)
    path = write(tmp_path, ("\ufeff" * (encoding == "utf-16-be") + text).encode(encoding))
    assert [(record.source, *record.captions) for record in read_captions(path)] == [
        ("c, é.gif", "a star"),
        ("b.gif", 'a "red" star, é'),
        ("d.gif", '"a" star'),
        ("e.gif", '"a"'),
    ]


def test_a_device_without_an_end_is_refused(tmp_path):
    with pytest.raises(DataError, match="row 1: expected at most 1,048,576 characters"):
        read_captions("/dev/zero")
    (tmp_path / "captions.tsv").write_text("0.gif\t" + "é" * (1 << 20))
    with pytest.raises(DataError, match="row 1: expected at most"):
        read_captions(tmp_path / "captions.tsv")
