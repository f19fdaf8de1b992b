"""Two towers: tiny ones with random weights, saved as presets, against keras-hub by itself."""

import sys

import numpy as np
import pytest
from helpers import towers as tiny
from PIL import Image

from v2t_lib.clips.decode import decode_clip
from v2t_lib.errors import ModelError, SentenceError
from v2t_lib.models.encoders import registry as encoders
from v2t_lib.models.towers.registry import TOWERS, load_towers
from v2t_lib.specs import ClipSpec, NativeClipSpec

# keras-hub leaves the files of vocabularies open until they are collected.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)

SENTENCES = ["A red star spins!", "the dog runs on the grass and the blue circle grows"]


@pytest.fixture(scope="module", params=tiny.NAMES)
def towers(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("preset")
    tiny.save_preset(request.param, folder)
    return load_towers(str(folder))


def clips(towers, *sizes):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (towers.count, *size, 3), np.uint8) for size in sizes]


def unit(vectors):
    vectors = np.asarray(vectors, np.float64)
    return vectors / np.sqrt((vectors**2).sum(-1, keepdims=True))


def by_itself(towers, pixels):
    """The vectors `(B, D)` that keras-hub's own model gives clips, resized already."""
    model = towers.backbone
    if towers.backbone_class == "VideoPrismBackbone":
        return unit(model.get_vision_embeddings(pixels))
    frames = [unit(model.get_vision_embeddings(clip)) for clip in pixels]
    return unit(np.stack(frames).mean(axis=1))


def test_clips_of_any_size_get_the_vectors_of_keras_hub(towers):
    import keras_hub

    several = clips(towers, (32, 32), (40, 70), (90, 33), (32, 64), (64, 64))
    found = towers.clip_vectors(several)
    converter = keras_hub.layers.ImageConverter.from_preset(towers.name)
    pixels = np.stack([np.asarray(converter(clip)) for clip in several])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_itself(towers, pixels), atol=1e-5)
    np.testing.assert_allclose((found**2).sum(1), 1, atol=1e-5)
    # A batch that isn't full, and one clip by itself, get the same.
    np.testing.assert_allclose(towers.clip_vectors(several[1:2]), found[1:2], atol=1e-5)


def test_frames_are_resized_by_the_presets_filter_and_crop(towers):
    coarse = np.random.default_rng(0).integers(0, 256, (towers.count, 6, 7, 3), np.uint8)
    pictures = [
        Image.fromarray(frame).resize((60, 48), Image.Resampling.BICUBIC) for frame in coarse
    ]
    clip = np.stack([np.asarray(picture) for picture in pictures])
    bicubic = towers.backbone_class != "VideoPrismBackbone"
    box = None if towers.backbone_class == "SigLIPBackbone" else (6, 0, 54, 48)  # its middle
    kind = Image.Resampling.BICUBIC if bicubic else Image.Resampling.BILINEAR
    picture = np.asarray(pictures[1].resize((tiny.SIDE, tiny.SIDE), kind, box))
    scale = np.asarray(towers.converter.scale)
    expected = picture * scale + (towers.converter.offset or 0)
    assert np.abs(towers._pixels(clip)[1] - expected).max() < 5 * scale.max()


#: The encoder over the same tower; CLIP's normalises with the published mean, not the tiny one's.
ENCODERS = {"SigLIPBackbone": "siglip2_b16", "VideoPrismBackbone": "videoprism_b"}


def test_one_pass_gives_what_two_give(towers):
    one, other = clips(towers, (32, 32), (32, 32))
    seen = towers.see([one, other])[1]
    if towers.backbone_class in ENCODERS:
        options = {"weights": towers.name, "frozen": True, "stride": 8}
        encoder = encoders.get(ENCODERS[towers.backbone_class], **options)
        encoder.build((None, towers.count, 32, 32, 3))
        cells = np.asarray(encoder.features(np.concatenate([one, other])))[towers.count :]
    else:
        tokens = np.asarray(towers.backbone.vision_encoder({"images": towers._pixels(other)}))
        cells = tokens[:, 1:].reshape(-1, 4, 4, 8)
    np.testing.assert_allclose(seen.patches, cells, atol=1e-4)
    np.testing.assert_allclose(seen.vector, towers.clip_vectors([other])[0], atol=1e-5)
    assert seen.frames.shape == (towers.count, len(seen.vector))


def tokens_of(towers, sentence):
    """The tokens of a sentence, by hand, without padding."""
    if towers.backbone_class == "CLIPBackbone":
        pieces = list(towers.preprocessor.tokenizer.get_vocabulary())
        words = sentence.lower().replace("!", " !").split()
        named = ["<|startoftext|>"]
        for word in words:
            named += [*word[:-1], f"{word[-1]}</w>"]
        text = " ".join(named).replace("t h e</w>", "th e</w>")
        ids = [*text.split(), "<|endoftext|>"]
        return [pieces.index(piece) for piece in ids]
    words = [word.strip("!").lower() for word in sentence.split()]
    if towers.backbone_class == "VideoPrismBackbone":
        words[-1] += "."
        pieces = towers.tokenizer.get_vocabulary()
        return [pieces.index(f"▁{w}") if f"▁{w}" in pieces else 3 for w in words]
    pieces = towers.preprocessor.tokenizer.get_vocabulary()
    return [*(pieces.index(f"▁{word}") for word in words), pieces.index("<eos>")]


def test_sentences_get_the_vectors_of_keras_hub_and_padding_changes_none(towers):
    sentence = SENTENCES[0]
    found = towers.text_vectors(["star", sentence, "the dog"])
    ids = np.array([tokens_of(towers, sentence)], np.int32)
    model = towers.backbone
    if towers.backbone_class == "SigLIPBackbone":  # trained with padding that is seen
        ids = np.pad(ids, ((0, 0), (0, 24 - ids.shape[1])))
        expected = model.get_text_embeddings(ids)
    elif towers.backbone_class == "CLIPBackbone":
        expected = model.get_text_embeddings(ids)
    else:
        expected = model.get_text_embeddings(ids, np.ones_like(ids))
    np.testing.assert_allclose(found[1], unit(expected)[0], atol=1e-5)
    np.testing.assert_allclose(towers.text_vectors([sentence])[0], found[1], atol=1e-5)
    assert found.dtype == np.float32 and np.abs(found[1] - found[2]).max() > 0.01


def test_cosines_become_the_logits_of_keras_hub(towers):
    (clip,) = clips(towers, (32, 32))
    seen = towers.see([clip])[0]
    if towers.backbone_class == "VideoPrismBackbone":
        assert (towers.logit_scale, towers.logit_bias) == (100, 0)
        return
    cosines = seen.frames @ towers.text_vectors(SENTENCES[:1])[0]
    ids, _ = towers.tokens(SENTENCES[:1])
    inputs = {"images": towers._pixels(clip), "token_ids": ids}
    logits = np.asarray(towers.backbone(inputs)["vision_logits"])[:, 0]
    np.testing.assert_allclose(towers.logit_scale * cosines + towers.logit_bias, logits, atol=1e-3)


def test_heat_is_each_patchs_own_cosine(towers):
    (seen,) = towers.see(clips(towers, (32, 32)))
    sentence = towers.text_vectors(SENTENCES[:1])[0]
    heat, model = towers.heat(seen, sentence), towers.backbone
    if towers.backbone_class == "VideoPrismBackbone":
        assert heat is None
        return
    patch = seen.patches[2, 1, 3].reshape(1, 1, -1)
    alone = (
        model.vision_projection(patch)[0]
        if towers.backbone_class == "CLIPBackbone"
        else model.vision_encoder.head(patch)
    )
    assert heat.shape == (8, 4, 4)
    assert heat[2, 1, 3] == pytest.approx((unit(alone) @ sentence).item(), abs=1e-5)


def test_half_precision_gives_nearly_the_same_and_infinities_are_named(towers):
    half = load_towers(towers.name, dtype="float16")
    several = clips(towers, (40, 50))
    close = unit(half.clip_vectors(several)) @ towers.clip_vectors(several).T
    assert half.backbone.compute_dtype == "float16" and close.item() > 0.999
    assert half.digest() != towers.digest()  # float16 weights
    for weight in half.backbone.weights:
        if "int" not in weight.dtype:
            weight.assign(np.full(weight.shape, np.inf))
    with pytest.raises(ModelError, match="Received: others, in float16; load it with dtype="):
        half.clip_vectors(several)


def test_other_weights_have_another_digest(towers):
    before = towers.digest()
    weight = towers.backbone.trainable_weights[0]
    weight.assign(weight + 0.01)
    assert towers.digest() != before
    weight.assign(weight - 0.01)


def test_what_cannot_be_read_is_said(towers, monkeypatch):
    with pytest.raises(SentenceError, match=r"a word and at most \d+ tokens. Received: '!\?'"):
        towers.text_vectors(["a star", "!?"])
    with pytest.raises(SentenceError, match="which has more"):
        towers.text_vectors(["star " * 80])
    with pytest.raises(ValueError, match=rf"uint8 clips \({towers.count}, H, W, 3\)"):
        towers.clip_vectors([np.zeros((3, 8, 8, 3), np.uint8)])

    def no_memory(inputs):
        raise MemoryError("OOM when allocating")

    monkeypatch.setattr(towers._see, "run", no_memory)
    with pytest.raises(ModelError, match=r"expected enough memory for .*Received: less; end other"):
        towers.clip_vectors(clips(towers, (32, 32)))


def test_towers_that_cannot_be_had(tmp_path, monkeypatch):
    assert {*tiny.NAMES} <= {*TOWERS}
    with pytest.raises(ModelError, match=r"keras-hub preset 'nothing'. Received: Unknown preset"):
        load_towers("nothing")
    with pytest.raises(ModelError, match=r"has no config\.json"):
        load_towers(str(tmp_path))
    import keras_hub

    sizes = tiny.VISION | {"num_register_tokens": 1, "position_embedding_shape": (32, 32, 3)}
    keras_hub.models.DINOV2Backbone(**sizes).save_to_preset(str(tmp_path / "dino"))
    with pytest.raises(ModelError, match=r"expected clip_b16, .*Received: .*a DINOV2Backbone"):
        load_towers(str(tmp_path / "dino"))
    video = tiny.VIDEO | {"num_text_layers": 0}
    keras_hub.models.VideoPrismBackbone(**video).save_to_preset(str(tmp_path / "mute"))
    keras_hub.layers.VideoPrismImageConverter((32, 32), [1 / 255]).save_to_preset(
        str(tmp_path / "mute")
    )
    with pytest.raises(ModelError, match="expected a VideoPrism with a text tower"):
        load_towers(str(tmp_path / "mute"))
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(ModelError, match=r"pip install 'v2t_lib\[hub\]'"):
        load_towers("clip_b16")


def test_frames_are_decoded_at_their_own_size_and_large_ones_reduced_by_a_whole_factor():
    frames = np.random.default_rng(0).integers(0, 256, (3, 65, 98, 3), np.uint8)
    whole = decode_clip(frames, NativeClipSpec(3, 40, 40))
    np.testing.assert_array_equal(whole.frames, frames)
    smaller = decode_clip(frames, NativeClipSpec(3, 20, 20)).frames
    assert smaller.shape == (3, 22, 33, 3)
    np.testing.assert_allclose(
        smaller[1, 4, 5], frames[1, 12:15, 15:18].mean(axis=(0, 1)), atol=0.6
    )
    assert decode_clip(frames, ClipSpec(3, 20, 20)).frames.shape == (3, 20, 20, 3)
