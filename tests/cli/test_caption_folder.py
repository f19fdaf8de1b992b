"""`v2t caption FOLDER`: every clip in it, with a table and a page for people to look through."""

import csv

import pytest
from helpers.clips import write_gif

from v2t_lib.cli.main import main

pytestmark = pytest.mark.usefixtures("eager")


def test_a_folder_becomes_a_table_and_a_page(model, tmp_path, capsys):
    clips = tmp_path / "clips"
    (clips / "more").mkdir(parents=True)
    (clips / ".hidden").mkdir()
    for name in ("b.gif", "more/a.gif", ".hidden/no.gif"):
        write_gif(clips / name, len(name))
    (clips / "bad.webm").write_text("none")
    (clips / "notes.txt").write_text("none")
    table, page = tmp_path / "out.csv", tmp_path / "out" / "page.html"
    arguments = [str(clips), "--model", model, "--table", str(table), "--html", str(page)]
    assert main(["caption", *arguments]) == 1
    printed = capsys.readouterr()
    assert "1 of 3 files gave no caption" in printed.err and f"{page}: written" in printed.err
    lines = [line.split("\t") for line in printed.out.splitlines()]
    with open(table, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [
        str(clips / name) for name in ("b.gif", "bad.webm", "more/a.gif")
    ]
    assert [[row["file"], row["alt"]] for row in rows if not row["note"]] == lines
    text = page.read_text(encoding="utf-8")
    assert 'data-source="b.gif"' in text and 'data-source="more/a.gif"' in text
    # A file beside a folder: sources that hold wherever the captions file lies.
    assert main(["caption", str(clips / "b.gif"), str(clips / "more"), *arguments[1:]]) == 0
    assert f'data-source="{clips / "more/a.gif"}"' in page.read_text(encoding="utf-8")


def test_an_empty_folder_is_refused_before_the_model_is_read(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["caption", str(tmp_path / "empty"), "--model", "none.keras"]) == 1
    assert "expected clips in" in capsys.readouterr().err


def test_what_was_captioned_before_ctrl_c_is_kept(model, tmp_path, monkeypatch, capsys):
    from v2t_lib.models import over_clips

    for number in range(2):
        write_gif(tmp_path / f"{number}.gif", number)

    def stopped(captioner, pairs, size, encoded=over_clips._encoded):
        if pairs[0][0].endswith("1.gif"):
            raise KeyboardInterrupt
        return encoded(captioner, pairs, size)

    monkeypatch.setattr(over_clips, "_encoded", stopped)
    monkeypatch.setattr(over_clips, "BATCH", 1)
    table = tmp_path / "out.csv"
    assert main(["caption", str(tmp_path), "--model", model, "--table", str(table)]) == 130
    assert len(table.read_text(encoding="utf-8-sig").splitlines()) == 2


@pytest.mark.parametrize("beam", ["1", "2"])
def test_lengths_are_said_when_captioning(model, tmp_path, capsys, beam):
    write_gif(tmp_path / "a.gif", 1)
    asked = ["--fewest-words", "6", "--length", "8", "--length-exponent", "1", "--beam", beam]
    assert main(["caption", str(tmp_path / "a.gif"), "--model", model, *asked]) == 0
    assert 6 <= len(capsys.readouterr().out.split("\t")[1].split()) <= 8
