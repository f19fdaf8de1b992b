"""What encoders make of a clip and what that costs, computed from their layers."""

import dataclasses

from keras import layers

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
    """

    grid: tuple[int, int, int]
    memory_size: int
    parameters: int
    flop: int | None


def cost(encoder: layers.Layer, spec: ClipSpec) -> Cost:
    """What `encoder` makes of a clip of `spec`, and what that takes; builds the encoder."""
    if not encoder.built:
        encoder.build((None, *spec.shape))
    flop = encoder.flop(spec) if hasattr(encoder, "flop") else None
    return Cost(encoder.grid(spec), encoder.memory_size, encoder.count_params(), flop)


def table(costs: dict[str, Cost], spec: ClipSpec) -> str:
    """The costs by the encoders' names, one a line."""
    lines = [f"{'encoder':20s} {'memory':>16s} {'parameters':>11s} {'GFLOP':>7s}"]
    for name, found in costs.items():
        memory = f"{'x'.join(map(str, found.grid))} x {found.memory_size}"
        flop = "-" if found.flop is None else f"{found.flop / 1e9:.1f}"
        lines.append(f"{name:20s} {memory:>16s} {found.parameters:11,d} {flop:>7s}")
    lines.append(
        f"for one clip of {spec.frames} frames of {spec.height}x{spec.width}, forward; a training "
        "step takes three times that"
    )
    return "\n".join(lines)
