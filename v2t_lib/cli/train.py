"""Train a captioner on shards. Writes RUN/captioner.keras, and RUN/blind.keras, the same decoder
trained without seeing clips, whose loss is what the captioner's has to beat. After a stop the same
command with --resume continues."""

import contextlib
import sys
from pathlib import Path

from v2t_lib.cli.flags import WrongUsage, number
from v2t_lib.cli.recipe_flags import add_recipe, recipe_from


def add_arguments(parser):
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
    add_recipe(parser)


def run(args) -> int:
    from v2t_lib.models.distribution import spread
    from v2t_lib.models.encoders import registry as encoders
    from v2t_lib.training.fit import MODEL_FILE
    from v2t_lib.training.scst import SCST_FILE, train_scst
    from v2t_lib.training.train import train

    try:
        recipe = recipe_from(args)
        encoders.get(recipe.encoder, **recipe.encoder_options)
    except ValueError as error:
        raise WrongUsage(error) from None
    options = recipe.training
    names = ("resume", "copy_to", "overwrite", "cache")
    stages = {name: getattr(args, name) for name in names}
    with contextlib.redirect_stdout(sys.stderr), spread(args.devices, options.batch_size):
        train(args.shards, args.out, recipe, val=args.val, start_from=args.start_from, **stages)
        if args.scst:
            train_scst(args.out, args.shards, args.scst, args.val, options, **stages)
    print(args.out / (SCST_FILE if args.scst else MODEL_FILE))
    return 0
