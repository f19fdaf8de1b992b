"""What each encoder costs, where nobody wants to wait for Keras; a test holds it to the layers."""

import dataclasses

from v2t_lib.specs import ClipSpec


@dataclasses.dataclass(frozen=True)
class Cost:
    """What an encoder makes of a clip, and what that takes.

    Attributes:
        grid: `(T', h', w')`, the memory's cells.
        memory_size: `D`, the size of a cell.
        parameters: How many numbers the encoder has.
        flop: Multiplications and additions of the forward pass, a clip.
    """

    grid: tuple[int, int, int]
    memory_size: int
    parameters: int
    flop: int


#: The size of clip that `COSTS` speaks of.
SPEC = ClipSpec()
COSTS = {
    "conv3d": Cost((4, 7, 7), 256, 3291968, 2687827968),
    "r2plus1d": Cost((4, 7, 7), 256, 1623456, 2051997696),
    "c3d": Cost((4, 7, 7), 512, 27674432, 79767797760),
    "mobilenet_v3_small": Cost((4, 7, 7), 256, 2724040, 1807780096),
    "mobilenet_v3_large": Cost((4, 7, 7), 256, 5164984, 4233636096),
    "efficientnet_v2_b0": Cost((4, 7, 7), 256, 5753380, 7231770624),
    "convnext_tiny": Cost((4, 7, 7), 256, 15304288, 31432052736),
    "blind": Cost((1, 1, 1), 96, 0, 0),
}


def table() -> str:
    """The encoders with their shapes and costs, one a line."""
    t, h, w, _ = SPEC.shape
    lines = [f"{'encoder':20s} {'memory':>16s} {'parameters':>11s} {'GFLOP':>7s}"]
    for name, cost in COSTS.items():
        cells = "x".join(map(str, cost.grid))
        lines.append(
            f"{name:20s} {cells + ' x ' + str(cost.memory_size):>16s} {cost.parameters:11,d} "
            f"{cost.flop / 1e9:7.1f}"
        )
    lines.append(f"for a clip of {t}x{h}x{w}, forward; a training step takes three times that")
    return "\n".join(lines)
