"""Recipes for clips of the real world."""

from v2t_lib.specs import CaptionSpec
from v2t_lib.training.recipe import Recipe, TrainingOptions
from v2t_lib.training.recipes.registry import register_recipe


@register_recipe("tgif")
def tgif() -> Recipe:
    """TGIF's clips on one GPU."""
    return Recipe(caption=CaptionSpec(min_count=3), training=TrainingOptions(epochs=10))


@register_recipe("folder")
def folder() -> Recipe:
    """Clips of your own, as TGIF's."""
    return tgif()
