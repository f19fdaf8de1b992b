"""Encoders that run an image network on each frame, then convolve over time."""

import math

import keras
from keras import ops

from v2t_lib.errors import ModelError
from v2t_lib.models.encoders.conv_unit import ConvUnit
from v2t_lib.models.encoders.grid import GridEncoder
from v2t_lib.specs import ClipSpec

#: Pixels per cell: the image network is cut at this stride, half its last one, which leaves a grid
#: fine enough for attention.
STRIDE = 16


class FrameEncoder(GridEncoder):
    """An image network of `keras.applications` on each frame, then two 3D convolutions that each
    halve time.

    Instead of clips it also takes what `features` made of them: those of a frozen image network
    need to be computed only once. A `.keras` file holds all weights; loading it downloads nothing.

    Args:
        weights: `"imagenet"` downloads the image network's weights, or takes them from Keras's
            cache; None starts from random ones.
        frozen: Keep the image network's weights as they are and train only what follows.
        width: `D`, the size of a memory cell.

    Call arguments:
        clips: uint8 `(batch, T, H, W, 3)`, or floats `(batch, T, h', w', C)` from `features`.
        training: As in `GridEncoder`.

    Raises:
        ModelError: The ImageNet weights can't be downloaded.
    """

    #: The function's name in `keras.applications`; subclasses set it.
    application = ""
    #: Whether halving an odd size rounds down; else it is padded, which rounds up.
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
        """`(T', h', w')`: the cells that a clip of `spec` becomes."""
        steps, _, _ = super().grid(spec)
        return (steps, *(self._cells(size) for size in (spec.height, spec.width)))

    def flop(self, spec: ClipSpec) -> int:
        """As `GridEncoder`'s, with the image network's convolutions and dense layers."""
        per_frame = sum(map(_layer_flop, _leaves(self.backbone)))
        return spec.frames * per_frame + self._units_flop((None, *self.feature_shape))

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
        """The image network up to the last layer whose cells are `STRIDE` pixels wide."""
        make = getattr(keras.applications, self.application)
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(self.dtype_policy)  # `make` takes no policy of its own
        try:
            whole = make(include_top=False, weights=self._weights, input_shape=picture)
        except Exception as error:
            if self._weights is None or isinstance(error, ValueError):
                raise
            raise ModelError(
                f"expected ImageNet's weights for {self.application}. Received: {error}; train on "
                "a machine with network access, or start from random weights: weights=None, "
                "--weights random"
            ) from error
        finally:
            keras.config.set_dtype_policy(before)
        cells = tuple(self._cells(size) for size in picture[:2])
        fits = [layer.output for layer in whole.layers if _plane(layer) == cells]
        return keras.Model(whole.input, fits[-1], name=self.application)

    def compute_output_shape(self, input_shape):
        batch, frames, *picture = input_shape
        return (batch, math.prod(self.grid(ClipSpec(frames, *picture[:2]))), self.memory_size)

    def features(self, clips, training=False):
        """What the image network makes of uint8 clips: `(batch, T, h', w', C)`."""
        frames = ops.cast(ops.reshape(clips, (-1, *clips.shape[2:])), self.compute_dtype)
        cells = self.backbone(frames, training=training and not self.frozen)
        return ops.reshape(cells, (-1, clips.shape[1], *cells.shape[1:]))

    def call(self, clips, training=False):
        if tuple(clips.shape[1:]) != tuple(self.feature_shape):
            clips = self.features(clips, training=training)
        return self._memory(ops.cast(clips, self.compute_dtype), training)

    def get_config(self):
        # `weights` is left out: whoever reads this config has the weights in the same file.
        return super().get_config() | {"frozen": self.frozen, "width": self.memory_size}


def _plane(layer) -> tuple | None:
    """`(height, width)` of a layer's output; None where it has none."""
    shape = getattr(layer.output, "shape", ())
    return tuple(shape[1:3]) if len(shape) == 4 else None


def _leaves(model):
    for layer in model.layers:
        yield from _leaves(layer) if hasattr(layer, "layers") else (layer,)


def _layer_flop(layer) -> int:
    """A kernel's entries are each used once a cell of the output."""
    kernel = getattr(layer, "kernel", None)
    if kernel is None:
        return 0
    return 2 * math.prod(kernel.shape) * math.prod(layer.output.shape[1:-1])
