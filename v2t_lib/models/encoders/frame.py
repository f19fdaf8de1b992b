"""Encoders that look at each frame with a picture network, then convolve in space and time."""

import keras
from keras import ops

from v2t_lib.errors import ModelError
from v2t_lib.models.encoders.conv3d import ConvUnit, GridEncoder
from v2t_lib.specs import ClipSpec

#: The picture network is cut where it has shrunk a frame this much: finer than its end, so that
#: there are cells to look at.
STRIDE = 16


class FrameEncoder(GridEncoder):
    """A picture network of `keras.applications` over frames, and two light convolutions in time.

    Clips may also come as what the picture network makes of them, `features`: of a frozen one
    these need to be computed only once. A model file holds all weights; loading it downloads
    nothing.

    Args:
        weights: `"imagenet"` downloads the picture network's weights (or takes them from Keras's
            cache); None begins at random.
        frozen: Leave the picture network as it is, and train what follows alone.
        width: `D`, the size of a memory cell.

    Call arguments:
        clips: uint8 `(batch, T, H, W, 3)`, or floats `(batch, T, h', w', C)` from `features`.
        training: As for `GridEncoder`.

    Raises:
        ModelError: ImageNet's weights can't be had.
    """

    #: The function in `keras.applications`; subclasses name theirs.
    application = ""
    #: Whether odd sizes lose their last row when halved, instead of being padded.
    floors = False
    strides = ((2, 1, 1), (2, 1, 1))

    def __init__(self, weights=None, frozen=False, width=256, **kwargs):
        super().__init__(**kwargs)
        if weights not in (None, "imagenet"):
            raise ValueError(f"expected weights to be 'imagenet' or None. Received: {weights!r}")
        self.frozen, self.memory_size = frozen, width
        self._weights = weights
        self.units = [ConvUnit(width, s, dtype=self.dtype_policy) for s in self.strides]

    def grid(self, spec: ClipSpec) -> tuple[int, int, int]:
        """`(T', h', w')`: the cells a clip of `spec` turns into."""
        steps = -(-spec.frames // 4)
        return (steps, *(self._cells(size) for size in (spec.height, spec.width)))

    def _cells(self, size: int) -> int:
        return size // STRIDE if self.floors else -(-size // STRIDE)

    def build(self, input_shape):
        batch, frames, *picture = input_shape
        self.backbone = self._cut(tuple(picture))
        self.backbone.trainable = not self.frozen
        shape = (batch, frames, *self.backbone.output.shape[1:])
        self.feature_shape = shape[1:]
        super().build(shape)

    def _cut(self, picture: tuple[int, int, int]) -> keras.Model:
        """The picture network up to the last layer whose cells are `STRIDE` pixels wide."""
        make = getattr(keras.applications, self.application)
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(self.dtype_policy)  # it takes no policy of its own
        try:
            whole = make(include_top=False, weights=self._weights, input_shape=picture)
        except Exception as error:
            if self._weights is None or isinstance(error, ValueError):
                raise
            raise ModelError(
                f"expected ImageNet's weights for {self.application}. Received: {error}; train "
                "where there is a network, or begin at random: weights=None, --weights random"
            ) from error
        finally:
            keras.config.set_dtype_policy(before)
        cells = tuple(self._cells(size) for size in picture[:2])
        fits = [layer.output for layer in whole.layers if _plane(layer) == cells]
        return keras.Model(whole.input, fits[-1], name=self.application)

    def compute_output_shape(self, input_shape):
        batch, frames, *picture = input_shape
        cells = self.grid(ClipSpec(frames, *picture[:2]))
        return (batch, cells[0] * cells[1] * cells[2], self.memory_size)

    def features(self, clips, training=False):
        """What the picture network makes of uint8 clips: `(batch, T, h', w', C)`."""
        frames = ops.cast(ops.reshape(clips, (-1, *clips.shape[2:])), self.compute_dtype)
        cells = self.backbone(frames, training=training and not self.frozen)
        return ops.reshape(cells, (-1, clips.shape[1], *cells.shape[1:]))

    def call(self, clips, training=False):
        if tuple(clips.shape[1:]) != tuple(self.feature_shape):
            clips = self.features(clips, training=training)
        return self._memory(ops.cast(clips, self.compute_dtype), training)

    def get_config(self):
        # Not where the weights came from: whoever reads this has them, in the same file.
        return super().get_config() | {"frozen": self.frozen, "width": self.memory_size}


def _plane(layer) -> tuple | None:
    shape = getattr(layer.output, "shape", ())
    return tuple(shape[1:3]) if len(shape) == 4 else None


@keras.saving.register_keras_serializable("v2t_lib")
class MobileNetV3SmallEncoder(FrameEncoder):
    """`FrameEncoder` with MobileNetV3Small (arXiv 1905.02244)."""

    application = "MobileNetV3Small"


@keras.saving.register_keras_serializable("v2t_lib")
class MobileNetV3LargeEncoder(FrameEncoder):
    """`FrameEncoder` with MobileNetV3Large (arXiv 1905.02244)."""

    application = "MobileNetV3Large"


@keras.saving.register_keras_serializable("v2t_lib")
class EfficientNetV2B0Encoder(FrameEncoder):
    """`FrameEncoder` with EfficientNetV2B0 (arXiv 2104.00298)."""

    application = "EfficientNetV2B0"


@keras.saving.register_keras_serializable("v2t_lib")
class ConvNeXtTinyEncoder(FrameEncoder):
    """`FrameEncoder` with ConvNeXtTiny (arXiv 2201.03545)."""

    application = "ConvNeXtTiny"
    floors = True
