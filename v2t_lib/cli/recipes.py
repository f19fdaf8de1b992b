"""List the recipes that `v2t train` starts from. Each comes with the clips it is made for and the
flags that stand for it: those that make it of the default recipe."""

import json
import shlex
import textwrap

from v2t_lib.cli.flags import add_json
from v2t_lib.cli.recipe_flags import flags_of
from v2t_lib.training.recipes import registry as recipes


def add_arguments(parser):
    add_json(parser)


def run(args) -> int:
    found = {name: recipes.get(name) for name in recipes.RECIPES}
    about = {name: recipes.RECIPES[name].__doc__ for name in found}
    if args.json:
        rows = {name: {"help": about[name], **recipe.to_dict()} for name, recipe in found.items()}
        print(json.dumps(rows))
        return 0
    for name, recipe in found.items():
        clip = f"{recipe.clip.frames} frames of {recipe.clip.height}x{recipe.clip.width}"
        print(f"{name:12s} {clip:22s} {about[name]}")
        flags = shlex.join(flags_of(recipe, found["default"]))
        if flags:
            print(textwrap.fill(flags, 96, initial_indent="  ", subsequent_indent="  ",
                                break_long_words=False, break_on_hyphens=False))  # fmt: skip
    return 0
