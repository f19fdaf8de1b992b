"""The recipe registry: functions that return a `Recipe`, their docstrings saying what it is for."""

from v2t_lib.options import Registry
from v2t_lib.training.recipe import Recipe

RECIPES = Registry("a recipe", "v2t_lib.training.recipes")
register_recipe = RECIPES.register


def get(name: str) -> Recipe:
    """The recipe called `name`; ValueError if there is none."""
    return RECIPES[name]()


@register_recipe("default")
def default() -> Recipe:
    """A fair start on real clips: every option's default."""
    return Recipe()
