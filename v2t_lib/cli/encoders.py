"""List the encoders and what each costs. Memory and parameters are computed from the layers, which
takes some seconds; nothing is downloaded."""

import json

from v2t_lib.cli.flags import add_clip_size, add_json, clip_spec
from v2t_lib.errors import ModelError


def add_arguments(parser):
    add_clip_size(parser)
    add_json(parser)


def run(args) -> int:
    from v2t_lib.models.encoders import registry as encoders
    from v2t_lib.progress import Progress

    spec, rows = clip_spec(args), {}
    for name in Progress(list(encoders.ENCODERS), unit="encoder", leave=False):
        cls = encoders.ENCODERS[name]
        try:
            row = encoders.cost(encoders.get(name), spec)
        except ModelError as error:
            row = {"missing": str(error)}
        about = {"help": cls.__doc__.split("\n\n")[0]}
        rows[name] = about | row | {"options": encoders.options(cls)}
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
