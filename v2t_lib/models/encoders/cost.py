"""What encoders make of a clip and what that costs, computed from their layers."""

import dataclasses
from collections.abc import Iterable

from keras import layers

from v2t_lib.errors import ModelError
from v2t_lib.models.encoders import registry
from v2t_lib.specs import ClipSpec


@dataclasses.dataclass(frozen=True)
class Cost:
    """An encoder's output and cost for one clip.

    Attributes:
        grid: `(T', h', w')`, the memory's cells.
        memory_size: `D`, the size of a cell.
        parameters: How many weights the encoder has.
        flop: Multiplications and additions of convolutions and dense layers in the forward pass;
            a training step takes three times as many. None for an encoder without `flop(spec)`.
        feature_bytes: What a clip's features take on disk where the image network is frozen; None
            for an encoder without one.
    """

    grid: tuple[int, int, int]
    memory_size: int
    parameters: int
    flop: int | None
    feature_bytes: int | None = None


def cost(encoder: layers.Layer, spec: ClipSpec) -> Cost:
    """What `encoder` makes of a clip of `spec`, and what that takes; builds the encoder."""
    if not encoder.built:
        encoder.build((None, *spec.shape))
    flop = encoder.flop(spec) if hasattr(encoder, "flop") else None
    kept = getattr(encoder, "feature_bytes", None)
    return Cost(encoder.grid(spec), encoder.memory_size, encoder.count_params(), flop, kept)


def costs(names: Iterable[str], spec: ClipSpec) -> dict[str, Cost | str]:
    """The cost of each encoder by its name; in its place what is missing, where something is."""
    found: dict[str, Cost | str] = {}
    for name in names:
        try:
            found[name] = cost(registry.get(name), spec)
        except ModelError as error:
            found[name] = str(error)
    return found


def table(costs: dict[str, Cost | str], spec: ClipSpec) -> str:
    """The costs by the encoders' names, one a line."""
    lines = [
        f"{'encoder':20s} {'memory':>16s} {'parameters':>11s} {'GFLOP':>7s} {'features kB':>12s}"
    ]
    for name, found in costs.items():
        if isinstance(found, str):
            lines.append(f"{name:20s} {found}")
            continue
        memory = f"{'x'.join(map(str, found.grid))} x {found.memory_size}"
        flop = "-" if found.flop is None else f"{found.flop / 1e9:.1f}"
        kept = "-" if found.feature_bytes is None else f"{found.feature_bytes / 1000:,.0f}"
        lines.append(f"{name:20s} {memory:>16s} {found.parameters:11,d} {flop:>7s} {kept:>12s}")
    lines.append(
        f"for one clip of {spec.frames} frames of {spec.height}x{spec.width}, forward; a training "
        "step takes three times that. features: what a frozen network's take on disk, a clip; with "
        "components=256 a byte for each cell and component"
    )
    return "\n".join(lines)
