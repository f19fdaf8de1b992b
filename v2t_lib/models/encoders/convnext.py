"""ConvNeXt over frames."""

from v2t_lib.models.encoders.application import ApplicationEncoder
from v2t_lib.models.encoders.registry import register_encoder


@register_encoder("convnext_tiny")
class ConvNeXtTinyEncoder(ApplicationEncoder):
    """ConvNeXtTiny on each frame (arXiv 2201.03545)."""

    network = "ConvNeXtTiny"

    def cells(self, size):
        return size // self.stride  # its convolutions of stride 2 and 4 aren't padded
