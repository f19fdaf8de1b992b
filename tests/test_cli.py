import dataclasses
import json

import pytest
from helpers import tiny
from helpers.clips import write_gif
from helpers.video_corpus import video

from v2t_lib.cli.main import main
from v2t_lib.datasets.shapes import Shapes
from v2t_lib.demo import demo
from v2t_lib.specs import CaptionSpec
from v2t_lib.training.recipe import DecoderOptions, TrainingOptions
from v2t_lib.training.recipes import registry as recipes

pytestmark = pytest.mark.usefixtures("no_java")

#: What `v2t score --json` promises.
FIGURES = {"BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr", "METEOR"}
SCORES = FIGURES | {
    "clips", "exact_match", "exact_match_beam", "unseen_combinations", "loss", "blind_loss",
    "pointing", "pointing_chance", "perplexity", "shuffled_loss", "distinct_captions",
    "distinct_1", "distinct_2", "mean_length", "seen_in_training", "doubts",
}  # fmt: skip
SIZES = ["--frames", "4", "--size", "16"]


def test_help_teaches_and_wrong_usage_is_two(capsys):
    for arguments, code in ((["--help"], 0), (["train", "--help"], 0), ([], 2), (["pack"], 2)):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == code
    printed = capsys.readouterr().out
    for command in ("demo", "shapes", "pack", "train", "caption", "evaluate", "score"):
        assert command in printed
    with pytest.raises(SystemExit) as stop:
        main(["shapes", "--out", "x", "--clips", "0"])
    assert stop.value.code == 2


@pytest.mark.usefixtures("eager", "in_this_process")
def test_every_step_by_hand(tmp_path, capsys):
    data, shards, run = (str(tmp_path / name) for name in ("data", "shards", "run"))
    assert main(["shapes", "--out", data, "--clips", "40"]) == 0
    captions = capsys.readouterr().out.strip()
    for split in ("train", "val", "test"):
        arguments = ["--out", f"{shards}/{split}", *SIZES, "--json"]
        listed = ["--split", f"{data}/{split}.txt"]
        assert main(["pack", captions, *listed, *arguments]) == 0
        assert json.loads(capsys.readouterr().out)["left_out"] == {}
    sizes = ["--batch", "16", "--epochs", "1", "--length", "4", "--units", "24"]
    for name, value in tiny.ENCODER.items():
        sizes += ["--encoder-option", f"{name}={json.dumps(value)}"]
    assert main(["train", f"{shards}/train", "--val", f"{shards}/val", "--out", run, *sizes]) == 0
    printed = capsys.readouterr()
    assert printed.out.strip() == f"{run}/captioner.keras" and "reference:" in printed.err
    predictions = tmp_path / "run" / "predictions.tsv"
    arguments = ["--model", f"{run}/captioner.keras", "--out", str(predictions), "--json"]
    arguments += ["--published", "msvd", "--html", str(tmp_path / "page" / "report.html")]
    assert main(["evaluate", f"{shards}/test", *arguments, "--beam", "2"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert "all 670 test clips" in scores["published"]["why_not"]
    assert scores.keys() >= SCORES and scores["clips"] == 3
    assert scores["blind_loss"] > 0
    assert len(predictions.read_text().splitlines()) == 3
    assert "Learning curves" in (tmp_path / "page" / "report.html").read_text()
    assert main(["score", str(predictions), captions, "--split", f"{data}/test.txt", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert {name: again[name] for name in FIGURES} == {name: scores[name] for name in FIGURES}


@pytest.mark.usefixtures("in_this_process")
def test_pack_goes_on_past_bad_clips_and_names_them(tmp_path, capsys):
    for number in range(3):
        write_gif(tmp_path / f"{number}.gif", number)
    (tmp_path / "1.gif").write_text("<html>")
    (tmp_path / "captions.tsv").write_text("".join(f"{n}.gif\ta star\n" for n in range(3)))
    arguments = [str(tmp_path / "captions.tsv"), "--out", str(tmp_path / "shards"), *SIZES]
    assert main(["pack", *arguments]) == 0
    printed = capsys.readouterr()
    assert "2 clips" in printed.out and "left out 1 (1 not-a-clip)" in printed.out
    assert "left out 1.gif: not-a-clip" in printed.err


@pytest.mark.usefixtures("eager")
def test_caption_reports_a_bad_file_and_goes_on(model, tmp_path, capsys):
    for number in range(3):
        write_gif(tmp_path / f"{number}.gif", number)
    (tmp_path / "1.gif").write_bytes(b"GIF89a")
    (tmp_path / "2.gif").write_bytes(video("mp4-h264"))  # whatever its name
    files = [str(tmp_path / f"{number}.gif") for number in range(3)]
    assert main(["caption", *files, "--model", str(model), "--json"]) == 1
    printed = capsys.readouterr()
    rows = [json.loads(line) for line in printed.out.splitlines()]
    assert [row["file"] for row in rows] == files
    assert "error" in rows[1] and "1 of 3 files gave no caption" in printed.err
    for row in (rows[0], rows[2]):
        assert set(row) == {"file", "caption", "log_prob", "words"}
        assert [word["word"] for word in row["words"]] == row["caption"].split()
        for word in row["words"]:
            assert set(word) == {"word", "prob", "frame", "seconds"}
            assert 0 <= word["prob"] <= 1 and 0 <= word["frame"] < 4 and word["seconds"] > 0
    assert main(["caption", files[0], "--model", str(model), "--beam", "2"]) == 0
    assert capsys.readouterr().out.startswith(f"{files[0]}\t")


def test_score_counts_what_is_missing_strange_or_said_twice(tmp_path, capsys):
    folder = tmp_path / "Colab Notebooks"
    folder.mkdir()
    references, first, second, split, table = (
        str(folder / name) for name in ("refs.tsv", "a.tsv", "b.tsv", "test.txt", "clips.csv")
    )
    rows = "a.gif\tA cat sits.\na.gif\ta cat\nb.gif\tein grüner Stern\nc.gif\ta dog\n"
    (folder / "refs.tsv").write_text(rows, encoding="utf-8")
    (folder / "a.tsv").write_text("a.gif\ta cat sits\na.gif\tno\nz.gif\ta cat\n")
    (folder / "b.tsv").write_text("a.gif\ta dog sits\n")
    (folder / "test.txt").write_text("a.gif\nb.gif\n")
    arguments = ["--split", split, "--against", second, "--per-clip", table]
    assert main(["score", first, references, *arguments, "--json"]) == 0
    printed = capsys.readouterr()
    assert "1 rows predict for a source a second time" in printed.err
    result = json.loads(printed.out)
    assert result["no_meteor"] == "no Java in this test"
    assert result.keys() >= FIGURES | {"clips", "missing", "available_only"}
    assert (result["clips"], result["missing"]) == (2, 1)
    assert result["available_only"].keys() == FIGURES | {"clips"}
    assert result["ROUGE-L"] == 0.5 and result["available_only"]["ROUGE-L"] == 1
    assert result["METEOR"] is None and "no METEOR: no Java in this test" in printed.err
    assert "a.tsv: predictions for clips without references don't count: 1, 'z.gif'" in printed.err
    assert result["without_references"] == 1
    assert result["against"]["ROUGE-L"]["difference"] == pytest.approx(1 / 6)
    assert len((folder / "clips.csv").read_text(encoding="utf-8").splitlines()) == 3
    assert main(["score", second, references, "--unit", "character"]) == 0
    assert "3 clips, 2 of them without a prediction" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["score", "{tmp}/none.tsv", "{tmp}/none.tsv"], "none.tsv"),
        (["pack", "{tmp}/none.tsv", "--out", "{tmp}/s"], "none.tsv"),
        (["train", "{tmp}", "--out", "{tmp}/r"], "run `v2t pack`"),
        (["caption", "x.gif", "--model", "{tmp}/none.keras"], "none.keras"),
        (["evaluate", "{tmp}", "--model", "{model}"], "run `v2t pack`"),
    ],
)
def test_problems_are_one_line_and_exit_one(arguments, message, tmp_path, model, capsys):
    filled = [a.format(tmp=tmp_path, model=model) for a in arguments]
    assert main(filled) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and message in printed.err and "Traceback" not in printed.err


@pytest.mark.usefixtures("eager", "in_this_process")
def test_demo_leaves_what_it_promises(tmp_path, monkeypatch):
    recipe = dataclasses.replace(
        recipes.get("shapes"),
        clip=tiny.CLIP,
        caption=CaptionSpec(length=5),
        encoder_options=tiny.ENCODER,
        decoder=DecoderOptions(**tiny.DECODER),
        training=TrainingOptions(epochs=1),
    )
    monkeypatch.setattr(recipes, "get", lambda name: recipe)
    monkeypatch.setattr(Shapes, "usual_clips", 50)
    scores = demo(tmp_path, seed=1)
    assert scores.keys() >= SCORES and scores["clips"] == 4
    assert json.loads((tmp_path / "scores.json").read_text()) == scores
    for name in ("captioner.keras", "history.csv", "report.html", "predictions.tsv"):
        assert (tmp_path / name).stat().st_size > 0
    assert list((tmp_path / "attention").glob("*.gif"))
    assert "exact match" in (tmp_path / "report.html").read_text()


@pytest.mark.shared
def test_real_clips_give_one_line_each(shared_data, model, capsys):
    clips = sorted(str(path) for path in (shared_data / "clips").iterdir())
    assert main(["caption", *clips, "--model", str(model), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["file"] for row in rows] == clips and all("caption" in row for row in rows)


def test_demo_takes_the_size_it_is_asked_for(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr("v2t_lib.demo.demo", lambda *given: asked.append(given) or {"clips": 0})
    assert main(["demo", "--out", str(tmp_path), "--json", "--full"]) == 0
    assert asked == [(tmp_path, 0, True)] and capsys.readouterr().out == '{"clips": 0}\n'
