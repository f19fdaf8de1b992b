"""`v2t encoders` and `v2t recipes`, and what listing loads."""

import json

import pytest
from helpers.processes import loaded_by

from v2t_lib.cli.main import COMMANDS, main
from v2t_lib.models.encoders import registry as encoders
from v2t_lib.training.recipes import registry as recipes

#: Grid, memory size, parameters and operations of a clip of 16 x 112 x 112.
COSTS = {
    "conv3d": ([4, 7, 7], 256, 3291968, 2687827968),
    "r2plus1d": ([4, 7, 7], 256, 1623456, 2051997696),
    "c3d": ([4, 7, 7], 512, 27674432, 79767797760),
    "mobilenet_v3_small": ([4, 7, 7], 256, 2724040, 1807780096),
    "mobilenet_v3_large": ([4, 7, 7], 256, 5164984, 4233636096),
    "efficientnet_v2_b0": ([4, 7, 7], 256, 5753380, 7231770624),
    "convnext_tiny": ([4, 7, 7], 256, 15304288, 31432052736),
    "blind": ([1, 1, 1], 96, 0, 0),
}


def test_encoders_are_listed_with_what_their_layers_cost(capsys):
    assert main(["encoders", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    names = ("grid", "memory_size", "parameters", "flop")
    assert {name: tuple(row[n] for n in names) for name, row in rows.items()} == COSTS
    for name, row in rows.items():
        assert row["options"].keys() == encoders.options(encoders.ENCODERS[name]).keys()
        assert row["help"].endswith(".") and "\n" not in row["help"]


def test_the_table_of_encoders_is_for_the_clip_asked_for(monkeypatch, capsys):
    monkeypatch.setattr(encoders.ENCODERS, "_found", {"conv3d": encoders.ENCODERS["conv3d"]})
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


@pytest.mark.parametrize("arguments", [*([name, "--help"] for name in COMMANDS), ["recipes"]])
def test_help_and_recipes_load_neither_tensorflow_nor_keras(arguments):
    code = f"""
import contextlib, io
from v2t_lib.cli.main import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main({arguments!r})
"""
    assert loaded_by(code) == "heavy: []\n"
