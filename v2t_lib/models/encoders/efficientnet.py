"""EfficientNetV2 over frames."""

from v2t_lib.models.encoders.frame import FrameEncoder
from v2t_lib.models.encoders.registry import register_encoder


@register_encoder("efficientnet_v2_b0")
class EfficientNetV2B0Encoder(FrameEncoder):
    """EfficientNetV2B0 on each frame, ImageNet weights on request (arXiv 2104.00298)."""

    application = "EfficientNetV2B0"
