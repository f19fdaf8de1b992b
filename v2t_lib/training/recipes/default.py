"""What `v2t train` does without `--recipe`."""

from v2t_lib.training.recipe import Recipe
from v2t_lib.training.recipes.registry import register_recipe


@register_recipe("default")
def default() -> Recipe:
    """A fair start on real clips: every option's default."""
    return Recipe()
