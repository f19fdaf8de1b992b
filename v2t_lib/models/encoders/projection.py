"""Projection of an image network's channels to a few: PCA, kept as whole numbers of 8 bits."""

import keras
import numpy as np
from keras import layers, ops

#: Standard deviations that a component's 8 bits reach to; what lies beyond is cut.
REACH = 5.0


@keras.saving.register_keras_serializable("v2t_lib")
class Projection(layers.Layer):
    """Channels to their first principal components, each scaled to whole numbers -127 to 127.

    `(..., C)` become int8 `(..., components)`, whose values `restore` gives. It learns nothing in
    training: `fit` sets it from a sample. Features that are kept on disk and those of a clip
    captioned later go through the same rounding.
    """

    def __init__(self, components, **kwargs):
        super().__init__(**kwargs)
        self.components = components
        self.trainable = False

    def build(self, input_shape):
        channels = input_shape[-1]

        def weight(name, *shape):
            return self.add_weight(
                shape=shape, initializer="zeros", trainable=False, name=name, dtype="float32"
            )

        self.mean = weight("mean", channels)
        self.axes = weight("axes", channels, self.components)
        self.deviation = weight("deviation", self.components)

    @property
    def fitted(self) -> bool:
        return bool(np.any(np.asarray(self.deviation)))

    def fit(self, sample: np.ndarray) -> float:
        """Sets the components from a sample `(cells, C)`; returns the share of variance kept."""
        sample = sample.astype(np.float32)
        mean = sample.mean(0)
        values, vectors = np.linalg.eigh(np.cov(sample - mean, rowvar=False))  # ascending
        kept = slice(None, -self.components - 1, -1)
        deviation = np.sqrt(np.maximum(values[kept], 1e-12))
        self.set_weights([mean, vectors[:, kept], deviation])
        return float(values[kept].sum() / max(values.sum(), 1e-12))

    def call(self, cells):
        projected = ops.matmul(ops.cast(cells, "float32") - self.mean, self.axes)
        steps = projected / ops.maximum(self.deviation, 1e-12) * (127 / REACH)
        return ops.cast(ops.round(ops.clip(steps, -127, 127)), "int8")

    def restore(self, steps):
        """int8 `(..., K)` to components whose deviations are the square roots of the true ones.

        Halfway between the components as they are, of which the first outweigh all others, and
        all of them alike, which raises the noise of the last. In the mean their variance is 1.
        """
        scale = ops.sqrt(self.deviation / ops.maximum(ops.mean(self.deviation), 1e-12))
        scale = ops.cast(scale * (REACH / 127), self.compute_dtype)
        return ops.cast(steps, self.compute_dtype) * scale

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.components)

    def get_config(self):
        return super().get_config() | {"components": self.components}
