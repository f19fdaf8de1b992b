"""List the encoders and what each costs. Memory and parameters are computed from the layers, which
takes some seconds; nothing is downloaded."""

import dataclasses
import json

from v2t_lib.cli.flags import add_clip_size, add_json, clip_spec


def add_arguments(parser):
    add_clip_size(parser)
    add_json(parser)


def run(args) -> int:
    from v2t_lib.models.encoders import registry as encoders
    from v2t_lib.progress import Progress

    spec, names = clip_spec(args), list(encoders.ENCODERS)
    about = {name: encoders.ENCODERS[name].__doc__.split("\n\n")[0] for name in names}
    options = {name: encoders.options(encoders.ENCODERS[name]) for name in names}
    found = encoders.costs(Progress(names, unit="encoder", leave=False), spec)
    if args.json:
        rows = {}
        for name, cost in found.items():
            row = {"missing": cost} if isinstance(cost, str) else dataclasses.asdict(cost)
            rows[name] = {"help": about[name], **row, "options": options[name]}
        print(json.dumps(rows))
        return 0
    print(f"{'encoder':20s} {'memory':>16s} {'parameters':>11s} {'features kB':>12s}")
    for name, cost in found.items():
        print(f"{name:20s} {cost if isinstance(cost, str) else _columns(cost)}")
    print(
        f"for one clip of {spec.frames} frames of {spec.height}x{spec.width}. features: what a "
        "frozen network's take on disk; with components=256 a byte for each cell and component"
    )
    for name in names:
        print(f"{name}: {about[name]} Options: {', '.join(options[name])}")
    return 0


def _columns(cost) -> str:
    memory = f"{'x'.join(map(str, cost.grid))} x {cost.memory_size}"
    kept = "-" if cost.feature_bytes is None else f"{cost.feature_bytes / 1000:,.0f}"
    return f"{memory:>16s} {cost.parameters:11,d} {kept:>12s}"
