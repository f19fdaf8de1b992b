"""Recipes: by name, as JSON, and in the models that were made by them."""

import json

import pytest
from helpers import tiny
from helpers.processes import loaded_by
from helpers.registries import forget_afterwards

from v2t_lib.models.encoders import registry as encoders
from v2t_lib.models.saving import load, save
from v2t_lib.specs import CaptionSpec
from v2t_lib.training.recipe import Recipe
from v2t_lib.training.recipes import registry as recipes


@pytest.mark.parametrize("name", list(recipes.RECIPES))
def test_each_says_what_it_is_for_and_comes_back_from_json(name):
    recipe = recipes.get(name)
    assert len(recipes.RECIPES[name].__doc__.split()) > 3
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    encoders.get(recipe.encoder, **recipe.encoder_options)


def test_unknown_names_are_told_with_those_there_are():
    with pytest.raises(ValueError, match=r"a recipe among default, .*tgif\. Received: 'shape'"):
        recipes.get("shape")


def test_a_recipe_from_outside_the_package_is_one_function(monkeypatch):
    forget_afterwards(monkeypatch, recipes.RECIPES)

    @recipes.register_recipe("mine")
    def mine():
        """A recipe of somebody else."""
        return Recipe(caption=CaptionSpec(length=5))

    assert "mine" in recipes.RECIPES and recipes.get("mine").caption.length == 5
    recipes.register_recipe("mine")(mine)  # as a notebook's cell that is run again
    with pytest.raises(ValueError, match=r"not taken yet for a recipe\. Received: 'shapes'"):
        recipes.register_recipe("shapes")(mine)


def test_recipes_load_neither_tensorflow_nor_keras():
    code = "from v2t_lib.training.recipes import registry as r\n[r.get(n) for n in r.RECIPES]"
    assert loaded_by(code) == "heavy: []\n"


def test_a_model_file_remembers_its_recipe(tmp_path):
    recipe = recipes.get("shapes")
    save(tiny.captioner(recipe=recipe.to_dict()), tmp_path / "m.keras")
    save(tiny.captioner(), tmp_path / "old.keras")
    assert Recipe.from_dict(load(tmp_path / "m.keras").recipe) == recipe
    assert load(tmp_path / "old.keras").recipe is None
