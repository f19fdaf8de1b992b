"""`v2t search`: an object a result, bad clips named once, and the index beside the clips."""

import json

import pytest
from helpers.clips import write_gif

from v2t_lib.cli.main import main

pytestmark = pytest.mark.usefixtures("eager", "in_this_process")


def test_a_folder_is_searched(judge, tmp_path, capsys):
    clips = tmp_path / "clips"
    clips.mkdir()
    for name, seed in (("a.gif", 0), ("b.gif", 1), ("copy.gif", 0)):
        write_gif(clips / name, seed)
    (clips / "bad.gif").write_bytes(b"GIF89a")
    arguments = [str(clips), "A red zebra.", "--model", judge]
    assert main(["search", *arguments, "--json"]) == 0
    printed = capsys.readouterr()
    rows = list(map(json.loads, printed.out.splitlines()))
    assert len(rows) == 2 and rows[0]["score"] >= rows[1]["score"]
    assert rows[0].keys() == {"file", "sentence", "score", "match", "probability", "verdict",
                              "frame", "seconds", "words", "unlike_training",
                              "near_duplicates"}  # fmt: skip
    named = {row["file"] for row in rows} | {n for row in rows for n in row["near_duplicates"]}
    assert named == {str(clips / name) for name in ("a.gif", "b.gif", "copy.gif")}
    assert "doesn't know zebra" in printed.err and "bad.gif: corrupt" in printed.err
    assert "1 clip of the folder can't be searched" in printed.err
    assert (clips / ".v2t-search").is_dir()

    assert main(["search", *arguments, "--top", "1"]) == 0
    printed = capsys.readouterr()
    score, file, verdict, details = printed.out.splitlines()[0].split("\t")
    assert verdict == "can't tell"
    assert file in named and float(score) == pytest.approx(rows[0]["score"], abs=0.006)
    assert "the model doesn't know zebra" in details and "bad.gif" not in printed.err
    assert "1 clip of the folder" in printed.err


def test_a_sentence_that_cannot_be_searched_for_makes_no_index(judge, tmp_path, capsys):
    write_gif(tmp_path / "a.gif", 0)
    assert main(["search", str(tmp_path), "zebra", "--model", judge]) == 1
    assert "a word that the model knows" in capsys.readouterr().err
    assert not list(tmp_path.rglob(".v2t-search"))
