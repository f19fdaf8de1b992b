"""The towers of keras-hub, a class a family of models."""

import string

import keras
import numpy as np
from keras import ops

from v2t_lib.errors import ModelError
from v2t_lib.models.towers.registry import Towers, keras_hub, register_towers, unit


@register_towers("clip_b16")
class ClipTowers(Towers):
    """CLIP's ViT-B/16 (arXiv 2103.00020)."""

    preset, backbone_class = "clip_vit_base_patch16", "CLIPBackbone"

    def prepare(self, preset):
        super().prepare(preset)
        (scale,) = self.backbone.clip_head.get_weights()
        self.logit_scale = float(np.exp(scale))

    def see_pictures(self, pictures):
        model = self.backbone
        tokens = model.vision_encoder({"images": pictures})
        return tokens[:, 1:], model.vision_projection(model.vision_pooler(tokens))

    def local(self, patches):
        return self.backbone.vision_projection(patches)


@register_towers("siglip2_b16")
class SiglipTowers(Towers):
    """SigLIP 2's ViT-B/16 (arXiv 2502.14786)."""

    preset, backbone_class = "siglip2_base_patch16_224", "SigLIPBackbone"

    def prepare(self, preset):
        super().prepare(preset)
        vision = self.backbone.vision_encoder
        scale, self.logit_bias = map(float, self.backbone.siglip_head.get_weights())
        self.logit_scale = float(np.exp(scale))
        self._vision = keras.Model(vision.input, [vision.post_layer_norm.output, vision.output])

    def see_pictures(self, pictures):
        return self._vision({"images": pictures})

    def local(self, patches):
        alone = ops.reshape(patches, (-1, 1, patches.shape[-1]))
        return ops.reshape(self.backbone.vision_encoder.head(alone), ops.shape(patches))


@register_towers("videoprism_lvt_b")
class VideoPrismTowers(Towers):
    """VideoPrism-LvT-B, whose video tower sees a clip's frames together (arXiv 2402.13217)."""

    preset, backbone_class = "videoprism_lvt_public_v1_base", "VideoPrismBackbone"
    #: Tokens that the text tower was trained on.
    length = 64

    def prepare(self, preset):
        if not self.backbone.num_text_layers:
            raise ModelError(f"expected a VideoPrism with a text tower. Received: {preset}")
        self.count = self.backbone.num_frames
        self.tokenizer = keras_hub().tokenizers.VideoPrismTokenizer.from_preset(preset)

    def tokens(self, sentences):
        # As it was trained: no capitals, and no punctuation but a full stop.
        spaces = str.maketrans(string.punctuation, " " * len(string.punctuation))
        plain = [" ".join(s.translate(spaces).lower().split()) + "." for s in sentences]
        tokens, real = np.zeros((2, len(sentences), self.length + 1), np.int32)
        for row, ids in enumerate(self.tokenizer(plain)):
            ids = ops.convert_to_numpy(ids)[: self.length + 1]
            tokens[row, : len(ids)], real[row, : len(ids)] = ids, 1
        return tokens[:, :-1], real

    def read_tokens(self, inputs):
        return self.backbone.get_text_embeddings(*inputs)

    def see_pixels(self, pixels):
        model = self.backbone
        video = keras.Model(model.input["pixel_values"], model.factorized_decoding.output)
        patches = video(pixels)
        tokens = model.video_reshape(patches)  # (B,T*P,C)
        if hasattr(model, "auxiliary_encoder"):
            tokens = model.auxiliary_encoder(tokens)
        frames = model.video_pooler(ops.reshape(tokens, (-1, *patches.shape[2:])))
        frames = unit(ops.reshape(frames, (-1, self.count, frames.shape[-1])))
        return patches, frames, model.video_pooler(tokens)[:, 0]
