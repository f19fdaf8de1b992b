"""R(2+1)D: convolutions in space, then in time."""

from v2t_lib.models.encoders.conv3d import Conv3DEncoder
from v2t_lib.models.encoders.registry import register_encoder


@register_encoder("r2plus1d")
class R2Plus1DEncoder(Conv3DEncoder):
    """`conv3d` with each convolution split into one in space and one in time (arXiv 1711.11248)."""

    factorised = True
