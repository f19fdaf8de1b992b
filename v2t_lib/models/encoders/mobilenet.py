"""MobileNetV3 over frames."""

from v2t_lib.models.encoders.application import ApplicationEncoder
from v2t_lib.models.encoders.registry import register_encoder


@register_encoder("mobilenet_v3_small")
class MobileNetV3SmallEncoder(ApplicationEncoder):
    """MobileNetV3Small on each frame (arXiv 1905.02244)."""

    network = "MobileNetV3Small"


@register_encoder("mobilenet_v3_large")
class MobileNetV3LargeEncoder(ApplicationEncoder):
    """MobileNetV3Large on each frame (arXiv 1905.02244)."""

    network = "MobileNetV3Large"
