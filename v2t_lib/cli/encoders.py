"""List the encoders and what each costs. Memory, parameters and operations are computed from the
layers, which takes some seconds; nothing is downloaded."""

import dataclasses
import json

from v2t_lib.cli.flags import add_clip_size, add_json, clip_spec


def add_arguments(parser):
    add_clip_size(parser)
    add_json(parser)


def run(args) -> int:
    from v2t_lib.models.encoders import registry as encoders
    from v2t_lib.models.encoders.cost import costs, table
    from v2t_lib.progress import Progress

    spec, names = clip_spec(args), list(encoders.ENCODERS)
    about = {name: encoders.ENCODERS[name].__doc__.split("\n\n")[0] for name in names}
    options = {name: encoders.options(encoders.ENCODERS[name]) for name in names}
    progress = Progress(names, unit="encoder", leave=False)
    found = costs(progress, spec)
    if args.json:
        rows = {}
        for name, cost in found.items():
            row = {"missing": cost} if isinstance(cost, str) else dataclasses.asdict(cost)
            rows[name] = {"help": about[name], **row, "options": options[name]}
        print(json.dumps(rows))
        return 0
    print(table(found, spec))
    for name in names:
        print(f"{name}: {about[name]} Options: {', '.join(options[name])}")
    return 0
