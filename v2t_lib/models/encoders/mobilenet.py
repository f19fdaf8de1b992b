"""MobileNetV3 over frames."""

from v2t_lib.models.encoders.frame import FrameEncoder
from v2t_lib.models.encoders.registry import register_encoder


@register_encoder("mobilenet_v3_small")
class MobileNetV3SmallEncoder(FrameEncoder):
    """MobileNetV3Small on each frame, ImageNet weights on request (arXiv 1905.02244)."""

    application = "MobileNetV3Small"


@register_encoder("mobilenet_v3_large")
class MobileNetV3LargeEncoder(FrameEncoder):
    """MobileNetV3Large on each frame, ImageNet weights on request (arXiv 1905.02244)."""

    application = "MobileNetV3Large"
