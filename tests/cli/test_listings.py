"""`v2t encoders` and `v2t recipes`, and what listing loads."""

import json
import sys

from helpers.processes import loaded_by

from v2t_lib.cli.main import COMMANDS, main
from v2t_lib.models.encoders import registry as encoders
from v2t_lib.specs import ClipSpec
from v2t_lib.training.recipes import registry as recipes

LISTED = ("blind", "conv3d", "r2plus1d", "efficientnet_lite0", "dinov2_s14")


def test_encoders_are_listed_with_what_their_layers_cost(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    found = {name: encoders.ENCODERS[name] for name in LISTED}
    monkeypatch.setattr(encoders.ENCODERS, "found", found)
    assert main(["encoders", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert list(rows) == list(encoders.ENCODERS)
    missing = rows.pop("dinov2_s14")["missing"]
    assert "pip install 'v2t_lib[hub]'" in missing
    for name, row in rows.items():
        encoder = encoders.get(name)
        assert tuple(row["grid"]) == encoder.grid(ClipSpec())
        assert row["memory_size"] == encoder.memory_size
        assert row["options"].keys() == encoders.options(encoders.ENCODERS[name]).keys()
        assert row["help"].endswith(".") and "\n" not in row["help"]
        seeing = name != "blind"
        assert (row["parameters"] > 1e6) == seeing
        kept = 16 * 4 * 4 * 1280 * 2 if name == "efficientnet_lite0" else None
        assert row["feature_bytes"] == kept
    assert rows["r2plus1d"]["parameters"] < rows["conv3d"]["parameters"]


def test_the_table_of_encoders_is_for_the_clip_asked_for(monkeypatch, capsys):
    monkeypatch.setattr(encoders.ENCODERS, "found", {"conv3d": encoders.ENCODERS["conv3d"]})
    assert main(["encoders", "--frames", "8", "--size", "48"]) == 0
    printed = capsys.readouterr().out
    assert "2x3x3 x 256" in printed and "8 frames of 48x48" in printed
    assert "Options: widths, strides, residual_from" in printed


def test_recipes_are_listed_with_flags_or_as_json(capsys):
    assert main(["recipes"]) == 0
    printed = capsys.readouterr().out
    for name in recipes.RECIPES:
        assert f"{name} " in printed and recipes.RECIPES[name].__doc__ in printed
    assert "8 frames of 48x48" in printed and "--length 14" in printed
    assert main(["recipes", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows["shapes"].pop("help").startswith("Drawn clips")
    assert rows["shapes"] == recipes.get("shapes").to_dict()


def test_help_and_recipes_load_neither_tensorflow_nor_keras():
    commands = [*([name, "--help"] for name in COMMANDS), ["recipes"]]
    code = f"""
import contextlib, io
from v2t_lib.cli.main import main
for arguments in {commands!r}:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        main(arguments)
"""
    assert loaded_by(code) == "heavy: []\n"
