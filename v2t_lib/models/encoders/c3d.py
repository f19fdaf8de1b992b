"""C3D: unstrided 3D convolutions, max pooling between stages."""

from keras import layers

from v2t_lib.models.encoders.conv_unit import ConvUnit
from v2t_lib.models.encoders.grid import GridEncoder
from v2t_lib.models.encoders.registry import register_encoder


@register_encoder("c3d")
class C3DEncoder(GridEncoder):
    """C3D: 3x3x3 convolutions, max pooling between stages (arXiv 1412.0767).

    Unlike C3D, convolutions have batch normalisation, and the last stage isn't pooled, so that a
    grid of cells is left. Call arguments and result are `GridEncoder`'s.

    Args:
        widths: Channels of each stage; the last is the memory's `D`.
        depths: Convolutions of each stage.
        strides: `(time, height, width)` of the pooling after each stage but the last.

    Raises:
        ValueError: As many depths as widths are needed, and one stride less.
    """

    def __init__(
        self,
        widths=(64, 128, 256, 512, 512),
        depths=(1, 1, 2, 2, 2),
        strides=((1, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2)),
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not len(widths) == len(depths) == len(strides) + 1:
            raise ValueError(
                "expected as many depths as widths, and one stride less. Received: "
                f"{len(widths)} widths, {len(depths)} depths, {len(strides)} strides"
            )
        self.widths, self.depths = tuple(widths), tuple(depths)
        self.memory_size = self.widths[-1]
        self.strides = tuple(tuple(s) for s in strides)
        self.units = []
        for stage, (width, depth) in enumerate(zip(self.widths, self.depths, strict=True)):
            self.units += [ConvUnit(width, dtype=self.dtype_policy) for _ in range(depth)]
            if stage < len(self.strides):
                pool = self.strides[stage]
                self.units.append(
                    layers.MaxPooling3D(pool, padding="same", dtype=self.dtype_policy)
                )

    def get_config(self):
        return super().get_config() | {
            "widths": self.widths,
            "depths": self.depths,
            "strides": self.strides,
        }
