"""Encoders over vision transformers of keras-hub: patches of a frame as cells."""

from typing import Any, ClassVar

import keras
from keras import layers, ops

from v2t_lib.models.encoders.frame import FrameEncoder
from v2t_lib.models.encoders.registry import register_encoder
from v2t_lib.models.towers.registry import keras_hub, using


class HubEncoder(FrameEncoder):
    """A vision transformer of keras-hub on each frame: its patch tokens, pooled to cells.

    `weights="imagenet"` downloads the published weights, whatever they were trained on; a file is a
    preset's folder. `tower` is the transformer's sizes, keyword arguments of its class.
    """

    #: The class of the vision transformer, and of the whole model that presets hold.
    tower_class = whole_class = ""
    #: The preset of the published weights, and the sizes it has.
    preset = ""
    sizes: ClassVar[dict[str, Any]] = {
        "patch_size": 16,
        "hidden_dim": 768,
        "num_layers": 12,
        "num_heads": 12,
        "intermediate_dim": 3072,
        "image_shape": (224, 224, 3),
    }
    #: How pixels 0 to 255 become what the tower was trained on: their mean and deviation.
    mean = deviation = (127.5, 127.5, 127.5)

    def __init__(self, tower=None, **kwargs):
        super().__init__(**kwargs)
        self._tower = dict(tower or self.sizes)

    def load_tower(self, preset: str) -> keras.Model:
        """The tower of a preset: a name or a folder."""
        return getattr(keras_hub().models, self.whole_class).from_preset(preset).vision_encoder

    def tokens(self, tower: keras.Model):
        """The tower's last tokens `(N, tokens, C)`; those of patches come last, row by row."""
        return tower.output

    def patches(self, tower: keras.Model, frames):
        """The last tokens of frames `(N, H, W, 3)` that have the tower's size."""
        return keras.Model(tower.input, self.tokens(tower), name="tower")({"images": frames})

    @property
    def _pool(self) -> int:
        """Patches a side that make a cell: one for cells of 16 pixels, two for those of 32."""
        return max(1, self.stride // 16)

    def cells(self, size):
        """The same for every size: frames are resized to the tower's."""
        return self._tower["image_shape"][0] // self._tower["patch_size"] // self._pool

    def make_network(self, picture, weights):
        tower = self._make_tower(weights)
        side = tower.image_shape[0] // tower.patch_size
        frames = keras.Input(picture)
        x = layers.Resizing(*tower.image_shape[:2], interpolation="bilinear")(frames)
        variance = tuple(part**2 for part in self.deviation)
        x = layers.Normalization(mean=self.mean, variance=variance)(x)
        x = self.patches(tower, x)[:, -(side**2) :]
        x = layers.Reshape((side, side, x.shape[-1]))(x)
        return keras.Model(frames, layers.AveragePooling2D(self._pool)(x))

    def _make_tower(self, weights: str | None) -> keras.Model:
        if weights in (None, "random"):
            return getattr(keras_hub(self.tower_class).models, self.tower_class)(**self._tower)
        preset = self.preset if weights == "imagenet" else weights
        with using(preset):
            tower = self.load_tower(preset)
        config = tower.get_config()
        self._tower = {name: config[name] for name in self.sizes}
        return tower

    def get_config(self):
        return super().get_config() | {"tower": self._tower}


@register_encoder("clip_vit_b16")
class ClipEncoder(HubEncoder):
    """CLIP's ViT-B/16 on each frame, trained on pictures and sentences (arXiv 2103.00020)."""

    network, preset = "CLIP-B16", "clip_vit_base_patch16"
    tower_class, whole_class = "CLIPVisionEncoder", "CLIPBackbone"
    mean, deviation = (122.771, 116.746, 104.094), (68.501, 66.632, 70.323)


@register_encoder("siglip2_b16")
class SiglipEncoder(HubEncoder):
    """SigLIP 2's ViT-B/16 on each frame, trained on pictures and sentences (arXiv 2502.14786)."""

    network, preset = "SigLIP2-B16", "siglip2_base_patch16_224"
    tower_class, whole_class = "SigLIPVisionEncoder", "SigLIPBackbone"

    def tokens(self, tower):
        return tower.post_layer_norm.output  # its output is pooled to one vector


@register_encoder("dinov2_s14")
class DinoEncoder(HubEncoder):
    """DINOv2's ViT-S/14 with registers on each frame (arXiv 2304.07193, 2309.16588)."""

    network, preset = "DINOv2-S14", "dinov2_with_registers_small"
    tower_class = whole_class = "DINOV2Backbone"
    sizes: ClassVar[dict[str, Any]] = {
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

    def load_tower(self, preset):
        shape = self._tower["image_shape"]
        return getattr(keras_hub().models, self.whole_class).from_preset(preset, image_shape=shape)


@register_encoder("videoprism_b")
class VideoPrismEncoder(HubEncoder):
    """VideoPrism-B on the frames of a clip together, each kept (arXiv 2402.13217)."""

    network, preset = "VideoPrism-B", "videoprism_lvt_public_v1_base"
    tower_class = whole_class = "VideoPrismBackbone"
    sizes: ClassVar[dict[str, Any]] = {
        "num_frames": 16,
        "patch_size": 18,
        "hidden_dim": 768,
        "intermediate_dim": 3072,
        "num_heads": 12,
        "num_spatial_layers": 12,
        "num_temporal_layers": 4,
        "num_auxiliary_layers": 2,  # of what pools a clip, which isn't made here
        "attention_logit_soft_cap": 50.0,
        "image_shape": (288, 288, 3),
    }
    mean, deviation = (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)

    @property
    def together(self):
        return self._tower["num_frames"]

    def load_tower(self, preset):
        return getattr(keras_hub(self.whole_class).models, self.whole_class).from_preset(preset)

    def build(self, input_shape):
        super().build(input_shape)
        if input_shape[1] != self.together:
            raise ValueError(
                f"expected clips of {self.together} frames for {self.network}. Received: "
                f"{input_shape[1]}; ask for --frames {self.together}"
            )

    def patches(self, tower, frames):
        pixels = tower.input["pixel_values"] if isinstance(tower.input, dict) else tower.input
        video = keras.Model(pixels, tower.factorized_decoding.output, name="tower")
        tokens = video(ops.reshape(frames, (-1, *pixels.shape[1:])))  # (B,T,P,C)
        return ops.reshape(tokens, (-1, *tokens.shape[2:]))
