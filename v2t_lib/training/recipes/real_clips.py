"""Recipes for clips of the real world."""

import dataclasses

from v2t_lib.specs import CaptionSpec, ClipSpec
from v2t_lib.training.recipe import DecoderOptions, Recipe, TrainingOptions
from v2t_lib.training.recipes.registry import register_recipe


@register_recipe("folder")
def folder() -> Recipe:
    """Clips of your own: a frozen image network, whose features are computed once."""
    return Recipe(
        clip=ClipSpec(frames=8, height=224, width=224),
        caption=CaptionSpec(length=16, min_count=3),
        encoder="efficientnet_lite0",
        encoder_options={"weights": "imagenet", "frozen": True, "components": 256},
        decoder=DecoderOptions(attention_units=128, dropout=0.4),
        training=TrainingOptions(
            epochs=14,
            batch_size=64,
            learning_rate=2e-3,
            label_smoothing=0.1,
            ema=0.99,
            captions_per_clip=3,
            epoch_steps=100,
        ),
    )


@register_recipe("msrvtt")
def msrvtt() -> Recipe:
    """MSR-VTT: 20 captions a clip."""
    return folder()


@register_recipe("msvd")
def msvd() -> Recipe:
    """MSVD: 41 captions a clip, 1,200 training clips."""
    return dataclasses.replace(
        folder(), training=dataclasses.replace(folder().training, captions_per_clip=8)
    )


@register_recipe("tgif")
def tgif() -> Recipe:
    """TGIF: one caption a clip, 80,000 training clips, on one GPU."""
    training = dataclasses.replace(folder().training, epochs=10, ema=0.999, captions_per_clip=0)
    return dataclasses.replace(folder(), training=training)
