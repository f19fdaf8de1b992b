"""`v2t search`: an object a result, bad clips named once, and the index beside the clips."""

import json

import pytest
from helpers.clips import write_gif
from helpers.towers import Colours, write_colours

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
    assert rows[0]["match"] is None
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


def test_towers_search_alone_and_beside_a_captioner(judge, tmp_path, capsys, monkeypatch):
    from v2t_lib.models.towers import registry

    monkeypatch.setattr(registry, "load_towers", lambda name: Colours())
    clips, page = tmp_path / "clips", tmp_path / "page.html"
    clips.mkdir()
    write_colours(clips / "red.gif", "#f00", "#d22")
    write_colours(clips / "blue.gif", "#00f", "#22d")
    towers = ["search", str(clips), "red", "--towers", "colours"]
    assert main([*towers, "--json", "--html", str(page)]) == 0
    red, blue = map(json.loads, capsys.readouterr().out.splitlines())
    assert red.keys() == {"file", "sentence", "score", "match", "frame", "seconds",
                          "near_duplicates"}  # fmt: skip
    assert (red["file"], red["match"]) == (str(clips / "red.gif"), red["score"])
    assert red["score"] > 0.98 > 0.2 > blue["score"]
    assert f"cosine {red['score']:.3f}, best at" in page.read_text(encoding="utf-8")
    assert main([*towers, "--model", judge, "--json", "--top", "1"]) == 0
    (both,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (both["match"], both["score"]) == (red["score"], red["score"])
    assert main(["verify", both["file"], "red", "--model", judge, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["words"] == both["words"]
    assert main([*towers]) == 0
    assert capsys.readouterr().out.splitlines()[0].startswith(f"+0.99\t{clips / 'red.gif'}\tat 0.")
    with pytest.raises(SystemExit, match="2"):
        main(towers[:3])
    assert "expected --towers NAME, --model M.keras or both" in capsys.readouterr().err
