"""Encoders over vision transformers of keras-hub: patches of a frame as cells."""

from typing import ClassVar

import keras
from keras import layers

from v2t_lib.errors import ModelError
from v2t_lib.models.encoders.frame import FrameEncoder
from v2t_lib.models.encoders.registry import register_encoder


def _keras_hub():
    try:
        import keras_hub
    except ImportError as error:
        raise ModelError(
            f"expected keras-hub, which has the vision transformers. Received: {error}; "
            "pip install keras-hub"
        ) from None
    return keras_hub.models


class HubEncoder(FrameEncoder):
    """A vision transformer of keras-hub on each frame: its patch tokens, pooled to cells.

    Class and register tokens are left out. `weights="imagenet"` downloads the published weights,
    whatever they were trained on; a file is a preset's folder.

    Args:
        tower: The transformer's sizes, keyword arguments of its class; the published ones when
            left out. A `.keras` file remembers them.
    """

    #: The preset of the published weights, and the sizes it has.
    preset = ""
    sizes: ClassVar[dict] = {}
    #: How pixels 0 to 255 become what the tower was trained on: their mean and deviation.
    mean = deviation = (127.5, 127.5, 127.5)

    def __init__(self, tower=None, **kwargs):
        super().__init__(**kwargs)
        self._tower = dict(tower or self.sizes)

    def make_tower(self, **sizes) -> keras.Model:
        """The tower with random weights; a subclass's own."""
        raise NotImplementedError

    def load_tower(self, preset: str) -> keras.Model:
        """The tower of a preset: a name or a folder; a subclass's own."""
        raise NotImplementedError

    def tokens(self, tower: keras.Model):
        """The tower's last tokens `(N, tokens, C)`; those of patches come last, row by row."""
        return tower.output

    @property
    def _pool(self) -> int:
        """Patches a side that make a cell: one for cells of 16 pixels, two for those of 32."""
        return max(1, self.stride // 16)

    def cells(self, size):
        """The same for every size: frames are resized to the tower's."""
        return self._tower["image_shape"][0] // self._tower["patch_size"] // self._pool

    def make_network(self, picture, weights):
        if weights in (None, "random"):
            tower = self.make_tower(**self._tower)
        else:
            tower = self._load(self.preset if weights == "imagenet" else weights)
            config = tower.get_config()
            self._tower = {name: config[name] for name in self.sizes}
        tokens = keras.Model(tower.input, self.tokens(tower), name="tower")
        side = tower.image_shape[0] // tower.patch_size
        frames = keras.Input(picture)
        x = layers.Resizing(*tower.image_shape[:2], interpolation="bilinear")(frames)
        variance = tuple(part**2 for part in self.deviation)
        x = layers.Normalization(mean=self.mean, variance=variance)(x)
        x = tokens({"images": x})[:, -(side**2) :]
        x = layers.Reshape((side, side, x.shape[-1]))(x)
        return keras.Model(frames, layers.AveragePooling2D(self._pool)(x))

    def _load(self, preset: str) -> keras.Model:
        try:
            return self.load_tower(preset)
        except ModelError:
            raise
        except Exception as error:
            raise ModelError(
                f"expected {self.network}'s weights from {preset!r}. Received: {error}; published "
                "ones are downloaded once, on a machine with network access"
            ) from error

    def get_config(self):
        return super().get_config() | {"tower": self._tower}


@register_encoder("clip_vit_b16")
class ClipEncoder(HubEncoder):
    """CLIP's ViT-B/16 on each frame, trained on pictures and sentences (arXiv 2103.00020)."""

    network, preset = "CLIP-B16", "clip_vit_base_patch16"
    sizes: ClassVar[dict] = {
        "patch_size": 16,
        "hidden_dim": 768,
        "num_layers": 12,
        "num_heads": 12,
        "intermediate_dim": 3072,
        "image_shape": (224, 224, 3),
    }
    mean = (122.771, 116.746, 104.094)
    deviation = (68.501, 66.632, 70.323)

    def make_tower(self, **sizes):
        return _keras_hub().CLIPVisionEncoder(**sizes)

    def load_tower(self, preset):
        return _keras_hub().CLIPBackbone.from_preset(preset).vision_encoder


@register_encoder("siglip2_b16")
class SiglipEncoder(HubEncoder):
    """SigLIP 2's ViT-B/16 on each frame, trained on pictures and sentences (arXiv 2502.14786)."""

    network, preset = "SigLIP2-B16", "siglip2_base_patch16_224"
    sizes = ClipEncoder.sizes

    def make_tower(self, **sizes):
        return _keras_hub().SigLIPVisionEncoder(**sizes)

    def load_tower(self, preset):
        return _keras_hub().SigLIPBackbone.from_preset(preset).vision_encoder

    def tokens(self, tower):
        return tower.post_layer_norm.output  # its output is pooled to one vector


@register_encoder("dinov2_s14")
class DinoEncoder(HubEncoder):
    """DINOv2's ViT-S/14 with registers on each frame (arXiv 2304.07193, 2309.16588)."""

    network, preset = "DINOv2-S14", "dinov2_with_registers_small"
    sizes: ClassVar[dict] = {
        "patch_size": 14,
        "hidden_dim": 384,
        "num_layers": 12,
        "num_heads": 6,
        "intermediate_dim": 1536,
        "num_register_tokens": 4,
        "image_shape": (196, 196, 3),  # 14 patches a side, which make whole cells
        "position_embedding_shape": (518, 518, 3),
    }
    mean, deviation = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)

    def make_tower(self, **sizes):
        return _keras_hub().DINOV2Backbone(**sizes)

    def load_tower(self, preset):
        shape = self._tower["image_shape"]
        return _keras_hub().DINOV2Backbone.from_preset(preset, image_shape=shape)
