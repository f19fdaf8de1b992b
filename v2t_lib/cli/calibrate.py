"""Calibrate a model's verification on held-out shards, and write it into the model's file: the
probabilities and verdicts of `v2t verify`, and what tells clips that are unlike the training data.
`v2t train --val` does this at its end; this is for older models, or other clips."""

import json
import sys
from pathlib import Path

from v2t_lib.cli.flags import add_json


def add_arguments(parser):
    add = parser.add_argument
    add("model", type=Path, metavar="M.keras", help="a trained captioner; it is written anew")
    add("shards", type=Path, metavar="SHARDS", help="held-out shards")
    text = (
        "the training shards, to know what is unlike them; without, half of SHARDS stands for them"
    )
    add("--training", type=Path, metavar="SHARDS", help=text)
    text = "where features of a frozen image network are kept (default: beside the shards)"
    add("--cache", type=Path, metavar="DIR", help=text)
    text = "draw how often sentences of each probability are true"
    add("--picture", type=Path, metavar="reliability.png", help=text)
    add_json(parser)


def run(args) -> int:
    from v2t_lib.files import replacing
    from v2t_lib.models.saving import load, save
    from v2t_lib.training.calibrate import calibrate
    from v2t_lib.views.curves import reliability_picture

    captioner = load(args.model)
    calibration = calibrate(
        captioner, args.shards, args.training, cache=args.cache, fallback=args.model.parent
    )
    save(captioner, args.model)
    figures = calibration.figures
    if args.picture:
        with replacing(args.picture) as temporary:
            temporary.write_bytes(reliability_picture(figures["reliability"]))
        print(args.picture, file=sys.stderr)
    print(json.dumps(figures) if args.json else args.model, flush=True)
    return 0
