"""Encoders that run an image network on each frame, with a light head over them."""

import contextlib
import math
from collections.abc import Iterator

import keras
import numpy as np
from keras import layers, ops

from v2t_lib.models.devices import gpus
from v2t_lib.models.encoders.grid import GridEncoder
from v2t_lib.models.encoders.projection import Projection
from v2t_lib.specs import ClipSpec


class FrameEncoder(GridEncoder):
    """An image network on each frame, then one convolution that keeps every frame apart.

    Instead of clips it also takes what `features` made of them, `(batch, T, h', w', C)`: those of a
    frozen image network need to be computed only once. Loading a `.keras` file downloads nothing.

    Args:
        weights: What the image network starts from: `"imagenet"` for its published weights, a
            file of weights, or `"random"`. None is random too, until loading sets them.
        frozen: Keep the image network's weights as they are and train only what follows.
        width: `D`, the size of a memory cell.
        stride: Pixels a cell. 32 takes the whole network; less cuts it at its last layer of this
            stride, which gives finer cells that see less meaning.
        temporal: Frames that the convolution spans, 1 for each frame by itself.
        components: Principal components of a frozen network's channels that are kept, in 8 bits; 0
            keeps all channels as they are.
    """

    #: The image network's name.
    network = ""
    #: Frames that the network sees together: more than one are a whole clip's.
    together = 1

    def __init__(
        self,
        weights=None,
        frozen=False,
        width=256,
        stride=32,
        temporal=1,
        components=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if frozen and weights == "random":
            raise ValueError(
                "expected a frozen network with weights that mean something, 'imagenet' or a file. "
                "Received: weights='random', frozen=True"
            )
        if components and not frozen:
            raise ValueError(
                "expected components=0 for a network that is trained: the components of its "
                f"channels would change. Received: {components}"
            )
        self.frozen, self.memory_size, self.stride = frozen, width, stride
        self.temporal, self._weights = temporal, weights
        self.projection = Projection(components) if components else None
        self.head = layers.Conv3D(
            width,
            (temporal, 1, 1),
            padding="same",
            data_format="channels_last",
            activation="relu",
            dtype=self.dtype_policy,
        )
        self.units = [self.head]

    def make_network(self, picture: tuple[int, int, int], weights: str | None) -> keras.Model:
        """The whole image network for frames `(H, W, 3)` of values 0 to 255; a subclass's own."""
        raise NotImplementedError

    def grid(self, spec: ClipSpec) -> tuple[int, int, int]:
        return spec.frames, self.cells(spec.height), self.cells(spec.width)

    def cells(self, size: int) -> int:
        return -(-size // self.stride)

    def build(self, input_shape):
        batch, frames, *picture = input_shape
        # Half precision for a frozen network on a GPU, which is several times faster in it.
        half = self.frozen and gpus()
        with _settings("mixed_float16" if half else self.dtype_policy):
            whole = self.make_network(tuple(picture), self._weights)
        self.backbone = self._cut(whole, tuple(map(self.cells, picture[:2])))
        self.backbone.trainable = not self.frozen
        shape = (batch, frames, *self.backbone.output.shape[1:])
        if self.projection is not None:
            self.projection.build(shape)
            shape = self.projection.compute_output_shape(shape)
        self.feature_shape = shape[1:]
        super().build(shape)

    def _cut(self, whole: keras.Model, cells: tuple[int, int]) -> keras.Model:
        fits = [layer.output for layer in whole.layers if _plane(layer) == cells]
        if not fits:
            raise ValueError(
                f"expected a stride at which {self.network} has cells. Received: {self.stride}, "
                f"{'x'.join(map(str, cells))} cells"
            )
        return keras.Model(whole.input, fits[-1], name=self.network)

    def compute_output_shape(self, input_shape):
        batch, frames, *picture = input_shape
        return (batch, math.prod(self.grid(ClipSpec(frames, *picture[:2]))), self.memory_size)

    @property
    def feature_bytes(self) -> int:
        return math.prod(self.feature_shape) * np.dtype(self.feature_dtype).itemsize

    @property
    def feature_dtype(self) -> str:
        """Of what `features` returns and what is kept on disk."""
        return "float16" if self.projection is None else "int8"

    def cells_of(self, frames, training=False):
        """What the image network makes of uint8 frames `(N, H, W, 3)`: `(N, h', w', C)`."""
        frames = ops.cast(frames, self.backbone.compute_dtype)
        return self.backbone(frames, training=training and not self.frozen)

    def features(self, frames, training=False):
        """`cells_of` frames, with the components in place of the channels where these are kept."""
        cells = self.cells_of(frames, training)
        return cells if self.projection is None else self.projection(cells)

    def stored(self, frames):
        """`features` in the type in which they are kept."""
        return ops.cast(self.features(frames), self.feature_dtype)

    def call(self, clips, training=False):
        if tuple(clips.shape[1:]) != tuple(self.feature_shape):
            frames = ops.reshape(clips, (-1, *clips.shape[2:]))
            features = self.features(frames, training)
            clips = ops.reshape(features, (-1, *self.feature_shape))
        if self.projection is not None:
            clips = self.projection.restore(clips)
        return self._memory(ops.cast(clips, self.compute_dtype), training)

    def load_own_variables(self, store):
        """As Keras's; a file from before has the measured shift of the cells behind them."""
        super().load_own_variables({str(n): store[str(n)] for n in range(len(self.positions))})

    def get_config(self):
        return super().get_config() | {
            "weights": None,  # whoever reads this config has the weights in the same file
            "frozen": self.frozen,
            "width": self.memory_size,
            "stride": self.stride,
            "temporal": self.temporal,
            "components": 0 if self.projection is None else self.projection.components,
        }


def _plane(layer) -> tuple | None:
    """`(height, width)` of a layer's output; None where it has none."""
    shape = getattr(layer.output, "shape", ())
    return tuple(shape[1:3]) if len(shape) == 4 else None


@contextlib.contextmanager
def _settings(policy) -> Iterator[None]:
    """Within it Keras makes layers of this policy with channels last: networks take no options."""
    before = keras.config.dtype_policy(), keras.config.image_data_format()
    keras.config.set_dtype_policy(policy)
    keras.config.set_image_data_format("channels_last")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before[0])
        keras.config.set_image_data_format(before[1])
