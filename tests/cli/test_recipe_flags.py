"""`v2t train`'s flags are made from a recipe's fields."""

import argparse
import dataclasses

import pytest
from helpers import tiny
from helpers.registries import forget_afterwards

from v2t_lib.cli.flags import flag
from v2t_lib.cli.main import main
from v2t_lib.cli.train import PARTS, add_recipe, flags_of, recipe_from
from v2t_lib.models.encoders import registry as encoders
from v2t_lib.models.encoders.blind import BlindEncoder
from v2t_lib.models.saving import load
from v2t_lib.training.recipe import Recipe
from v2t_lib.training.recipes import registry as recipes
from v2t_lib.workspace import Workspace

FIELDS = [("", "encoder")] + [
    (part, name) for part in PARTS for name in getattr(Recipe(), part).about()
]


def made(*arguments):
    parser = argparse.ArgumentParser()
    add_recipe(parser)
    return recipe_from(parser.parse_args(arguments))


def owner(recipe, part):
    return getattr(recipe, part) if part else recipe


def another(option):
    """A value that is neither the default nor out of range."""
    if option.choices:
        return option.choices[-1]
    if isinstance(option.default, str):
        return "r2plus1d"
    return option.default + 1 if isinstance(option.default, int) else option.default / 2 + 0.25


@pytest.mark.parametrize(("part", "name"), FIELDS)
def test_every_field_has_a_flag_that_changes_this_field_alone(part, name):
    option = owner(Recipe(), part).about()[name]
    value = another(option)
    recipe = made(flag(name, option), str(value))
    expected = dataclasses.replace(owner(Recipe(), part), **{name: value})
    assert recipe == (dataclasses.replace(Recipe(), **{part: expected}) if part else expected)


def test_help_has_every_flag_with_its_range_and_default(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for part, name in FIELDS:
        option = owner(Recipe(), part).about()[name]
        default = f"{option.default:g}" if isinstance(option.default, float) else option.default
        said = text.split(f" {flag(name, option)} ")[-1]
        assert said.index(f"(default: {default})") < 400, name
        assert option.range in said.replace("- ", "-"), name


def test_a_recipe_by_name_and_flags_over_it():
    assert made() == Recipe() == recipes.get("default")
    assert made("--recipe", "shapes") == Workspace("shapes").recipe
    changed = made("--recipe", "shapes", "--epochs", "2", "--units", "64")
    shapes = recipes.get("shapes")
    assert changed == dataclasses.replace(
        shapes,
        training=dataclasses.replace(shapes.training, epochs=2),
        decoder=dataclasses.replace(shapes.decoder, units=64),
    )


@pytest.mark.parametrize("name", list(recipes.RECIPES))
def test_the_flags_that_are_listed_make_the_recipe(name):
    recipe = recipes.get(name)
    built = made(*flags_of(recipe, Recipe()))
    assert dataclasses.replace(built, clip=recipe.clip) == recipe


def test_encoder_options_are_json_and_belong_to_one_encoder():
    option = ["--encoder-option", "widths=[8,12]", "--encoder-option", "residual_from=0"]
    recipe = made("--encoder", "r2plus1d", *option)
    assert recipe.encoder_options == {"widths": (8, 12), "residual_from": 0}
    over = made("--recipe", "shapes", "--encoder-option", "residual_from=0").encoder_options
    assert over == recipes.get("shapes").encoder_options | {"residual_from": 0}
    assert made("--recipe", "shapes", "--encoder", "convnext_tiny").encoder_options == {}
    frozen = made("--encoder", "convnext_tiny", "--weights", "imagenet", "--frozen")
    assert frozen.encoder_options == {"weights": "imagenet", "frozen": True}
    assert made("--weights", "random").encoder_options == {"weights": "random"}
    images = recipes.get("folder").encoder_options
    assert made("--recipe", "folder", "--encoder", "convnext_tiny").encoder_options == images
    trained = made("--recipe", "folder", "--no-frozen").encoder_options
    assert trained == {"weights": "imagenet", "frozen": False}
    assert made("--recipe", "folder", "--encoder", "conv3d").encoder_options == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--length", "1"], "--length: expected a whole number, at least 2. Received: '1'"),
        (["--learning-rate", "nan"], "expected a number, above 0. Received: 'nan'"),
        (["--recipe", "shape"], "invalid choice: 'shape'"),
        (["--encoder", "vit"], "expected an encoder among blind, clip_vit_b16, conv3d"),
        (["--encoder-option", "width=3"], "among widths, strides, residual_from. Received: width"),
        (["--encoder-option", "widths"], "'widths=[32,64]' say. Received: 'widths'"),
        (["--frozen"], "among widths, strides, residual_from. Received: frozen"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(arguments, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["train", "shards", "--out", str(tmp_path / "run"), *arguments])
    assert stop.value.code == 2 and message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_no_word_that_occurs_often_enough_is_refused(shards, tmp_path, capsys):
    command = ["train", str(shards), "--out", str(tmp_path / "run"), "--min-count", "999"]
    assert main(command) == 1
    assert "words that occur at least 999 times" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("eager")
def test_an_encoder_from_outside_trains_and_the_model_remembers_the_recipe(
    shards, tmp_path, monkeypatch, capsys
):
    forget_afterwards(monkeypatch, encoders.ENCODERS)

    @encoders.register_encoder("mine")
    class MyEncoder(BlindEncoder):
        """Sees nothing, by another name."""

    run = tmp_path / "run"
    flags = ["--encoder", "mine", "--encoder-option", "memory_size=3", "--epochs", "1"]
    flags += ["--batch", "8", "--units", "8", "--length", "5"]
    assert main(["train", str(shards), "--out", str(run), *flags]) == 0
    assert capsys.readouterr().out == f"{run / 'captioner.keras'}\n"
    remembered, blind = (
        Recipe.from_dict(load(run / f"{name}.keras").recipe) for name in ("captioner", "blind")
    )
    assert remembered == dataclasses.replace(made(*flags), clip=tiny.CLIP)
    assert (blind.encoder, blind.encoder_options) == ("blind", {"memory_size": 3})
    assert blind.decoder == remembered.decoder
