"""`v2t encoders` and `v2t recipes`."""

import argparse
import json
import shlex
import textwrap

from v2t_lib.cli.flags import about, add_clip_size, add_json, clip_spec
from v2t_lib.cli.train import flags_of
from v2t_lib.training.recipes import registry as recipes


def add_encoders(parser: argparse.ArgumentParser) -> None:
    add_clip_size(parser)
    add_json(parser)


def run_encoders(args: argparse.Namespace) -> int:
    """List the encoders and what each costs. Memory and parameters are computed from the layers,
    which takes some seconds; nothing is downloaded."""
    from v2t_lib.models.encoders import registry as encoders
    from v2t_lib.progress import Progress

    spec, rows = clip_spec(args), {}
    count = len(list(encoders.ENCODERS))
    for name, row in Progress(encoders.costs(spec), total=count, unit="encoder", leave=False):
        cls = encoders.ENCODERS[name]
        rows[name] = {"help": about(cls)} | row | {"options": encoders.options(cls)}
    if args.json:
        print(json.dumps(rows))
        return 0
    print(f"{'encoder':20s} {'memory':>16s} {'parameters':>11s} {'features kB':>12s}")
    for name, row in rows.items():
        print(f"{name:20s} {row.get('missing') or _columns(row)}")
    print(
        f"for one clip of {spec.frames} frames of {spec.height}x{spec.width}. features: what a "
        "frozen network's take on disk; with components=256 a byte for each cell and component"
    )
    for name, row in rows.items():
        print(f"{name}: {row['help']} Options: {', '.join(row['options'])}")
    return 0


def _columns(row: dict) -> str:
    memory = f"{'x'.join(map(str, row['grid']))} x {row['memory_size']}"
    kept = "-" if row["feature_bytes"] is None else f"{row['feature_bytes'] / 1000:,.0f}"
    return f"{memory:>16s} {row['parameters']:11,d} {kept:>12s}"


def add_recipes(parser: argparse.ArgumentParser) -> None:
    add_json(parser)


def run_recipes(args: argparse.Namespace) -> int:
    """List the recipes that `v2t train` starts from. Each comes with the clips it is made for and
    the flags that stand for it: those that make it of the default recipe."""
    found = {name: recipes.get(name) for name in recipes.RECIPES}
    helps = {name: about(recipes.RECIPES[name]) for name in found}
    if args.json:
        rows = {name: {"help": helps[name], **recipe.to_dict()} for name, recipe in found.items()}
        print(json.dumps(rows))
        return 0
    for name, recipe in found.items():
        clip = f"{recipe.clip.frames} frames of {recipe.clip.height}x{recipe.clip.width}"
        print(f"{name:12s} {clip:22s} {helps[name]}")
        flags = shlex.join(flags_of(recipe, found["default"]))
        if flags:
            print(textwrap.fill(flags, 96, initial_indent="  ", subsequent_indent="  ",
                                break_long_words=False, break_on_hyphens=False))  # fmt: skip
    return 0
