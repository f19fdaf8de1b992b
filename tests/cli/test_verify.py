"""`v2t verify`: one object a row, in order; what can't be judged is named."""

import json
import re

import pytest
from helpers.clips import write_gif
from helpers.towers import Colours, write_colours

from v2t_lib.cli.main import main

pytestmark = pytest.mark.usefixtures("eager")

#: What `v2t verify --json` promises of a row, and of one that can't be judged.
KEYS = {"file", "sentence", "score", "match", "probability", "verdict", "frame", "seconds", "words",
        "unlike_training"}  # fmt: skip


@pytest.fixture(autouse=True)
def clip(tmp_path) -> str:
    write_gif(tmp_path / "a.gif", 0)
    return str(tmp_path / "a.gif")


def test_a_table_of_pairs_gives_one_object_a_row(judge, tmp_path, capsys):
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("a.gif\tA red star.\nb.gif\ta cross\na.gif\ta red zebra\n")
    assert main(["verify", str(pairs), "--model", judge, "--json"]) == 1
    printed = capsys.readouterr()
    good, bad, unknown = map(json.loads, printed.out.splitlines())
    assert good.keys() == unknown.keys() == KEYS and good["sentence"] == "A red star."
    assert [word["word"] for word in good["words"]] == ["a", "red", "star"]
    assert all(word.keys() == {"word", "lift", "instead"} for word in good["words"])
    assert 0 <= good["frame"] < 4 and good["seconds"] > 0
    assert good["probability"] is None and good["unlike_training"] is None
    assert bad.keys() == {"file", "sentence", "error"} and bad["file"] == "b.gif"
    assert unknown["score"] is None and unknown["verdict"] == "can't tell"
    assert unknown["words"][2] == {"word": "zebra", "lift": None, "instead": None}
    for said in ("doesn't know zebra", "1 of 3 sentences", f"`v2t calibrate {judge} SHARDS`"):
        assert said in printed.err


def test_one_claim_is_judged_in_words(judge, clip, capsys):
    assert main(["verify", clip, "a red star", "--model", judge]) == 0
    file, verdict, sentence, details = capsys.readouterr().out.rstrip("\n").split("\t")
    assert (file, verdict, sentence) == (clip, "can't tell", "a red star")
    assert "nats a word; evidence at" in details
    assert main(["verify", clip, "!", "--model", judge, "--quiet"]) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and "calibrate" not in printed.err
    assert "expected a sentence with a word. Received: '!'" in printed.err


@pytest.mark.parametrize("command", ["verify", "inspect"])
def test_an_old_model_says_what_it_lacks(command, clip, model, capsys):
    claim = ["a cross"] if command == "verify" else ["--claim", "a cross", "--out", "page.html"]
    assert main([command, clip, *claim, "--model", model]) == 1
    assert "add it with `v2t calibrate MODEL SHARDS`" in capsys.readouterr().err


def test_a_page_holds_what_is_printed(judge, clip, tmp_path, capsys):
    page = tmp_path / "page.html"
    arguments = ["verify", clip, "A red star.", "--model", judge, "--json"]
    assert main(arguments) == 0
    printed = json.loads(capsys.readouterr().out)
    assert main([*arguments, "--html", str(page)]) == 0
    assert json.loads(capsys.readouterr().out) == printed
    text = page.read_text(encoding="utf-8")
    (row,) = json.loads(re.search(r'id="verification">(.*)</script>', text).group(1))
    assert row == printed and "“A red star.”" in text and "m.keras; not calibrated" in text
    page.unlink()
    for bad in ([clip, "!"], [str(tmp_path / "none.gif"), "a red star"]):
        assert main(["verify", *bad, "--model", judge, "--html", str(page), "--json"]) == 1
        assert "error" in json.loads(capsys.readouterr().out) and not page.exists()
    with pytest.raises(SystemExit, match="2"):
        main(["verify", "pairs.tsv", "--model", judge, "--html", str(page)])
    assert "a page shows one claim" in capsys.readouterr().err


def test_inspect_puts_claims_beside_the_caption(judge, clip, tmp_path, capsys):
    page, none = tmp_path / "deep" / "page.html", str(tmp_path / "none.gif")
    claims = ["--claim", "a red star", "--claim", "A red zebra"]
    arguments = ["--out", str(page), "--model", judge, "--beam", "2"]
    assert main(["inspect", clip, none, *arguments, *claims]) == 1
    printed = capsys.readouterr()
    assert printed.out == f"{page}\n" and "none.gif: gone" in printed.err
    assert "1 of 2 files are not on the page" in printed.err
    text = page.read_text(encoding="utf-8")
    caption, red, zebra = json.loads(re.search(r"const clips = (.*);\n", text).group(1))
    assert caption["marks"] is None and caption["name"] == clip
    for card, sentence in ((red, "a red star"), (zebra, "A red zebra")):
        assert main(["verify", clip, sentence, "--model", judge, "--json"]) == 0
        row = json.loads(capsys.readouterr().out)
        assert card["evidence"] == row["frame"]
        assert [mark["word"] for mark in card["marks"]] == [word["word"] for word in row["words"]]
    assert [mark["sign"] for mark in zebra["marks"]][2] == "?"
    assert main(["inspect", clip, *arguments, "--claim", "!"]) == 1
    assert "expected a sentence with a word" in capsys.readouterr().err
    page.unlink()
    assert main(["inspect", none, *arguments]) == 1 and not page.exists()


def test_towers_say_how_well_clip_and_sentence_match(judge, tmp_path, capsys, monkeypatch):
    from v2t_lib.models.towers import registry

    monkeypatch.setattr(registry, "load_towers", lambda name: Colours())
    write_colours(tmp_path / "red.gif", "#080", "#f00", "#e00")
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("red.gif\tred\nno.gif\tred\nred.gif\tblue\n")
    assert main(["verify", str(pairs), "--towers", "colours", "--json"]) == 1
    red, bad, blue = map(json.loads, capsys.readouterr().out.splitlines())
    assert red.keys() == KEYS and bad.keys() == {"file", "sentence", "error"}
    assert red["match"] > 0.8 > 0.2 > blue["match"]
    assert (red["score"], red["probability"], red["words"]) == (None, None, [])
    assert (red["verdict"], red["frame"], red["seconds"]) == ("can't tell", 1, 0.15)
    both = [str(tmp_path / "red.gif"), "red", "--model", judge]
    assert main(["verify", *both, "--json"]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert main(["verify", *both, "--towers", "colours", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == alone | {"match": red["match"]}
    assert main(["verify", *both[:2], "--towers", "colours"]) == 0
    assert f"evidence at 0.15 s; cosine {red['match']:.3f}" in capsys.readouterr().out
    for bad in (["--html", str(tmp_path / "page.html"), "--towers", "colours"], []):
        with pytest.raises(SystemExit, match="2"):
            main(["verify", *both[:2], *bad])
