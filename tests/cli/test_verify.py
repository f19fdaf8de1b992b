"""`v2t verify`: one object a row, in order; what can't be judged is named."""

import json

import pytest
from helpers import tiny
from helpers.clips import write_gif

from v2t_lib.cli.main import main
from v2t_lib.models.saving import save
from v2t_lib.models.verifier import Verifier

pytestmark = pytest.mark.usefixtures("eager")

#: What `v2t verify --json` promises of a row, and of one that can't be judged.
KEYS = {"file", "sentence", "score", "probability", "verdict", "frame", "seconds", "words",
        "unlike_training"}  # fmt: skip


@pytest.fixture
def model(tmp_path):
    captioner = tiny.captioner()
    captioner.verifier = Verifier(tiny.null_memory(captioner))
    save(captioner, tmp_path / "m.keras")
    write_gif(tmp_path / "a.gif", 0)
    return str(tmp_path / "m.keras")


def test_a_table_of_pairs_gives_one_object_a_row(model, tmp_path, capsys):
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("a.gif\tA red star.\nb.gif\ta cross\na.gif\ta red zebra\n")
    assert main(["verify", str(pairs), "--model", model, "--json"]) == 1
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
    for said in ("doesn't know zebra", "1 of 3 sentences", f"`v2t calibrate {model} SHARDS`"):
        assert said in printed.err


def test_one_claim_is_judged_in_words(model, tmp_path, capsys):
    clip = str(tmp_path / "a.gif")
    assert main(["verify", clip, "a red star", "--model", model]) == 0
    file, verdict, sentence, details = capsys.readouterr().out.rstrip("\n").split("\t")
    assert (file, verdict, sentence) == (clip, "can't tell", "a red star")
    assert "nats a word; evidence at" in details
    assert main(["verify", clip, "!", "--model", model, "--quiet"]) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and "calibrate" not in printed.err
    assert "expected a sentence with a word. Received: '!'" in printed.err


def test_an_old_model_says_what_it_lacks(tmp_path, capsys):
    save(tiny.captioner(), tmp_path / "old.keras")
    write_gif(tmp_path / "a.gif", 0)
    arguments = [str(tmp_path / "a.gif"), "a cross", "--model", str(tmp_path / "old.keras")]
    assert main(["verify", *arguments]) == 1
    assert "add it with `v2t calibrate MODEL SHARDS`" in capsys.readouterr().err
