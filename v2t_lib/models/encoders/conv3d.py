"""The default encoder: strided 3D convolutions."""

from v2t_lib.models.encoders.conv_unit import ConvUnit
from v2t_lib.models.encoders.grid import GridEncoder
from v2t_lib.models.encoders.registry import register_encoder


@register_encoder("conv3d")
class Conv3DEncoder(GridEncoder):
    """3D convolutions with residual units, trained from random weights (arXiv 1512.03385).

    Each stage is a strided `ConvUnit`, with batch normalisation in all stages but the first;
    stages from `residual_from` on add a residual unit. Call arguments and result are
    `GridEncoder`'s.

    SAME padding of an even size pads the last side only, so that each spatial stride of 2 shifts
    cell centres by half an input pixel, up to half a cell over all stages. The last spatial stride
    pads the first side instead, which cancels all but half a pixel: attention drawn over a frame
    then lies on what the cell saw.

    Args:
        widths: Channels of each stage; the last is the memory's `D`.
        strides: `(time, height, width)` of each stage.
        residual_from: The first stage, counted from 0, that has a residual unit.

    Raises:
        ValueError: As many strides as widths are needed.
    """

    factorised = False

    def __init__(
        self,
        widths=(32, 64, 128, 256),
        strides=((1, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2)),
        residual_from=2,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if len(widths) != len(strides):
            raise ValueError(
                "expected as many strides as widths. "
                f"Received: {len(widths)} widths, {len(strides)} strides"
            )
        self.widths, self.memory_size = tuple(widths), widths[-1]
        self.strides = tuple(tuple(s) for s in strides)
        self.residual_from = residual_from
        self.units, last = [], self._last_stride()
        for stage, (width, stride) in enumerate(zip(self.widths, self.strides, strict=True)):
            # The first stage has by far the most cells: normalising it takes a third of a step.
            options = {"normalised": stage > 0, "pad_before": stage == last}
            self.units.append(self._unit(width, stride, **options))
            if stage >= residual_from:
                self.units.append(self._unit(width, residual=True))

    def _unit(self, width, strides=(1, 1, 1), **options):
        return ConvUnit(
            width, strides, factorised=self.factorised, dtype=self.dtype_policy, **options
        )

    def _last_stride(self):
        """The last stage with a spatial stride; -1 where none has one."""
        return max((n for n, stride in enumerate(self.strides) if stride[1:] != (1, 1)), default=-1)

    def get_config(self):
        return super().get_config() | {
            "widths": self.widths,
            "strides": self.strides,
            "residual_from": self.residual_from,
        }
