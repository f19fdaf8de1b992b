import dataclasses

import pytest

from v2t_lib.errors import DataError
from v2t_lib.fetching.manifest import HEADER, Known, Manifest, Row, read_rows

ROWS = [
    Row("http://a/ä.gif", "train", "ok", 1234, "ab" * 32, 40, 3.65, 250, 141, "http://a/b", 2,
        "train/00000.tfrecord", "clips/x.gif"),
    Row("http://a/2.gif", "train", "gone", final_url="http://a/2.gif", attempts=1, why="HTTP 404"),
    Row("local.gif", "", "still", 12, "cd" * 32, why='expected a clip. Received: "a picture"'),
]  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "manifest.tsv"


def written(path, rows=ROWS):
    manifest = Manifest(path)
    for row in rows:
        manifest.append(row)
    manifest.close()
    return path


def test_rows_come_back_as_written(path):
    assert list(read_rows(path)) == []
    written(path)
    assert list(read_rows(path)) == ROWS
    header = path.read_text(encoding="utf-8").split("\n")[0].split("\t")
    assert header == [field.name for field in dataclasses.fields(Row)]
    assert Manifest(path).known["local.gif"] == Known("still", "", "", 12)


def test_a_reason_stays_in_its_column(path):
    written(path, [dataclasses.replace(ROWS[1], why="a\tb\nc\r\x85d")])
    assert [row.why for row in read_rows(path)] == ["a b c \x85d"]


def test_wherever_a_write_is_cut_off_whole_rows_stay_and_others_follow(path, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda file: None)  # A thousand times is slow.
    whole = written(path).read_bytes()
    ends = [number + 1 for number, byte in enumerate(whole) if byte == 10]
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        count = max(0, sum(end <= cut for end in ends) - 1)
        manifest = Manifest(path)
        assert list(manifest.known) == [row.source for row in ROWS[:count]]
        manifest.tidy()
        for row in ROWS[count:]:
            manifest.append(row)
        manifest.close()
        assert path.read_bytes() == whole


def test_the_last_row_of_a_source_counts_and_tidying_leaves_it_alone(path):
    later = dataclasses.replace(ROWS[1], verdict="ok", bytes=7)
    manifest = Manifest(written(path, [*ROWS, later]))
    assert manifest.known[later.source].verdict == "ok"
    manifest.forget(["local.gif", "unheard of"])
    manifest.tidy()
    assert list(read_rows(path)) == [ROWS[0], later]
    assert [file.name for file in path.parent.iterdir()] == ["manifest.tsv"]
    before = path.stat().st_mtime_ns
    Manifest(path).tidy()
    assert path.stat().st_mtime_ns == before


def test_lines_that_are_no_rows_are_passed_over(path):
    written(path)
    with open(path, "a") as file:
        file.write("half a row\tok\n" + "a\tb\tunheard-of" + "\t0" * 11 + "\n\n")
        file.write("a\tb\tok\tmany" + "\t0" * 10 + "\n")
    assert list(read_rows(path)) == ROWS
    Manifest(path).tidy()
    assert len(path.read_text(encoding="utf-8").splitlines()) == 1 + len(ROWS)


def test_another_kind_of_file_is_refused(path):
    path.parent.mkdir()
    path.write_text("http://a/1.gif\ta caption\n")
    with pytest.raises(DataError, match="expected a manifest"):
        Manifest(path)
    assert HEADER.startswith("source\tsplit\tverdict")


def test_a_full_disk_says_what_to_do_and_loses_nothing(path, disk_of):
    whole = written(path).read_bytes()
    more = [dataclasses.replace(ROWS[1], source=f"http://b/{n}.gif") for n in range(100)]
    manifest = Manifest(path)
    with disk_of(4000), pytest.raises(DataError, match=r"File too large; .* same command again"):
        for row in more:
            manifest.append(row)
    assert path.read_bytes().startswith(whole) and path.stat().st_size == 4000
    done = len(manifest.known) - len(ROWS)
    manifest.close()
    manifest = Manifest(path)
    manifest.tidy()
    for row in more[done:]:
        manifest.append(row)
    assert list(read_rows(path)) == [*ROWS, *more]
    manifest.close()
