"""ConvNeXt over frames."""

from v2t_lib.models.encoders.frame import FrameEncoder
from v2t_lib.models.encoders.registry import register_encoder


@register_encoder("convnext_tiny")
class ConvNeXtTinyEncoder(FrameEncoder):
    """ConvNeXtTiny on each frame, ImageNet weights on request (arXiv 2201.03545)."""

    application = "ConvNeXtTiny"
    floors = True
