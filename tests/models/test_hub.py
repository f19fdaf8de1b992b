"""Vision transformers of keras-hub: tiny ones with random weights, saved as presets."""

import shutil
import sys

import keras
import numpy as np
import pytest
from helpers import tiny
from helpers import towers as tiny_towers

from v2t_lib.errors import ModelError
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.encoders import registry as encoders
from v2t_lib.models.saving import load, save
from v2t_lib.specs import ClipSpec

# keras-hub leaves the files of vocabularies open until they are collected.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)

SPEC = ClipSpec(2, 32, 32)
SIZES = {"hidden_dim": 8, "num_layers": 1, "num_heads": 2, "intermediate_dim": 16}
VISION = SIZES | {"patch_size": 8, "image_shape": (32, 32, 3)}
TEXT = SIZES | {"vocabulary_size": 20, "embedding_dim": 8, "max_sequence_length": 5}

DINO = {"num_register_tokens": 2, "position_embedding_shape": (48, 48, 3)}


def two_towers(hub, vision, text, whole):
    towers = {"vision_encoder": vision(**VISION), "text_encoder": text(**TEXT)}
    return whole(**towers, projection_dim=8) if whole is hub.CLIPBackbone else whole(**towers)


def backbone(name):
    import keras_hub

    hub = keras_hub.models
    if name == "clip_vit_b16":
        return two_towers(hub, hub.CLIPVisionEncoder, hub.CLIPTextEncoder, hub.CLIPBackbone)
    if name == "siglip2_b16":
        return two_towers(hub, hub.SigLIPVisionEncoder, hub.SigLIPTextEncoder, hub.SigLIPBackbone)
    return hub.DINOV2Backbone(**VISION, **DINO)


#: How many tokens stand before the patches.
OTHERS = {"clip_vit_b16": 1, "siglip2_b16": 0, "dinov2_s14": 3}


def expected_cells(name, whole, frames):
    """By the papers' own preprocessing: tokens of patches, each two by two averaged."""
    tower = whole if name == "dinov2_s14" else whole.vision_encoder
    scaled = frames / 255
    if name == "siglip2_b16":
        tower = keras.Model(tower.input, tower.post_layer_norm.output)
        scaled = (scaled - 0.5) / 0.5
    elif name == "clip_vit_b16":
        mean, deviation = (0.48145, 0.45783, 0.40821), (0.26863, 0.26130, 0.27578)
        scaled = (scaled - mean) / deviation
    else:
        scaled = (scaled - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    tokens = np.asarray(tower({"images": scaled.astype("float32")}))
    assert tokens.shape[1] == 16 + OTHERS[name]
    patches = tokens[:, OTHERS[name] :].reshape(len(frames), 2, 2, 2, 2, -1)
    return patches.mean((2, 4))


@pytest.mark.parametrize("name", OTHERS)
def test_patches_of_a_preset_are_cells_and_a_model_file_needs_no_preset(name, tmp_path):
    whole = backbone(name)
    whole.save_to_preset(str(tmp_path / "preset"))
    sizes = VISION | (DINO if name == "dinov2_s14" else {})
    options = {"weights": str(tmp_path / "preset"), "frozen": True, "width": 8}
    encoder = encoders.get(name, **options, tower=sizes)
    encoder.build((None, *SPEC.shape))
    frames = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    found = np.asarray(encoder.features(frames))
    assert encoder.grid(SPEC) == (2, 2, 2) and found.shape == (3, 2, 2, 8)
    np.testing.assert_allclose(found, expected_cells(name, whole, frames), rtol=1e-3, atol=1e-3)
    captioner = Captioner(SPEC, tiny.CAPTION, tiny.VOCABULARY, encoder, tiny.DECODER)
    save(captioner, tmp_path / "m.keras")
    shutil.rmtree(tmp_path / "preset")
    again = load(tmp_path / "m.keras").encoder
    np.testing.assert_allclose(np.asarray(again.features(frames)), found, rtol=1e-5, atol=1e-5)


def test_videoprism_sees_the_frames_of_a_clip_together_and_keeps_each(tmp_path):
    whole = tiny_towers.save_preset("videoprism_lvt_b", tmp_path / "preset")
    options = {"weights": str(tmp_path / "preset"), "frozen": True, "width": 8}
    encoder, spec = encoders.get("videoprism_b", **options), ClipSpec(4, 32, 32)
    encoder.build((None, *spec.shape))
    clips = np.random.default_rng(0).integers(0, 256, (3, *spec.shape), dtype=np.uint8)
    captioner = Captioner(spec, tiny.CAPTION, tiny.VOCABULARY, encoder, tiny.DECODER)
    found = captioner.features(clips[[0, 1, 0, 2]])
    video = keras.Model(whole.input["pixel_values"], whole.factorized_decoding.output)
    patches = np.asarray(video(clips / 255)).reshape(3, 4, 2, 2, 2, 2, 8)
    assert encoder.grid(spec) == (4, 2, 2)
    np.testing.assert_allclose(found[[0, 1, 3]], patches.mean((3, 5)), rtol=5e-3, atol=5e-3)
    np.testing.assert_array_equal(found[2], found[0])
    save(captioner, tmp_path / "m.keras")
    shutil.rmtree(tmp_path / "preset")
    again = load(tmp_path / "m.keras")
    np.testing.assert_allclose(again.features(clips), found[[0, 1, 3]], atol=2e-3)
    np.testing.assert_allclose(again.encode(clips), again.encode(found[[0, 1, 3]]), atol=2e-3)
    with pytest.raises(ValueError, match=r"clips of 16 frames.*Received: 2; .*--frames 16"):
        tower = tiny_towers.VIDEO | {"num_frames": 16}
        encoders.get("videoprism_b", tower=tower).build((None, *SPEC.shape))


def test_a_preset_that_is_not_there_and_a_library_that_is_not(tmp_path, monkeypatch):
    encoder = encoders.get("clip_vit_b16", weights=str(tmp_path / "none"), frozen=True)
    with pytest.raises(ModelError, match=r"weights from .*none"):
        encoder.build((None, *SPEC.shape))
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(ModelError, match=r"pip install 'v2t_lib\[hub\]'"):
        encoders.get("dinov2_s14").build((None, *SPEC.shape))
