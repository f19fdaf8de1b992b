"""Recipes for the drawn clips of `datasets.shapes`."""

import dataclasses

from v2t_lib.specs import CaptionSpec, ClipSpec
from v2t_lib.training.recipe import DecoderOptions, Recipe, TrainingOptions
from v2t_lib.training.recipes.registry import register_recipe


@register_recipe("shapes")
def shapes() -> Recipe:
    """Drawn clips in minutes on two cores: the model of `v2t demo`."""
    return Recipe(
        clip=ClipSpec(frames=8, height=48, width=48),
        caption=CaptionSpec(length=14),
        encoder_options={
            "widths": (32, 48, 96),
            "strides": ((2, 2, 2), (1, 2, 2), (1, 2, 2)),
            "residual_from": 1,
        },
        decoder=DecoderOptions(units=160, embedding_size=64, attention_units=64),
        training=TrainingOptions(epochs=8, learning_rate=3e-3),
    )


@register_recipe("shapes_full")
def shapes_full() -> Recipe:
    """Drawn clips at their best, in about an hour: the wider model of `v2t demo --full`."""
    return dataclasses.replace(
        shapes(),
        decoder=DecoderOptions(units=256, embedding_size=96, attention_units=96, dropout=0.1),
        training=TrainingOptions(epochs=12, learning_rate=3e-3, ema=0.998),
    )


@register_recipe("smoke")
def smoke() -> Recipe:
    """Only enough to see every line run: small drawn clips, two epochs."""
    return dataclasses.replace(
        shapes(),
        clip=ClipSpec(frames=4, height=24, width=24),
        training=TrainingOptions(epochs=2, batch_size=16, learning_rate=3e-3),
    )
