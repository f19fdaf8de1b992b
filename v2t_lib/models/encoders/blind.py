"""The encoder that sees nothing, to measure what captions owe to the clip."""

from keras import layers, ops

from v2t_lib.models.encoders.registry import register_encoder
from v2t_lib.specs import ClipSpec


@register_encoder("blind")
class BlindEncoder(layers.Layer):
    """Sees nothing: one cell of zeros for every clip, so the decoder is a language model.

    Its loss, the *blind* loss, is what a captioner has to beat before its captions can be said to
    describe the clip. It returns zeros `(batch, 1, memory_size)`.
    """

    def __init__(self, memory_size=96, **kwargs):
        super().__init__(**kwargs)
        self.memory_size = memory_size

    def grid(self, spec: ClipSpec) -> tuple[int, int, int]:
        return (1, 1, 1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 1, self.memory_size)

    def call(self, clips, training=False):
        return ops.zeros((ops.shape(clips)[0], 1, self.memory_size), self.compute_dtype)

    def get_config(self):
        return super().get_config() | {"memory_size": self.memory_size}
