"""Tiny towers of keras-hub with random weights, saved as presets; and ones that see colours."""

import io
from types import SimpleNamespace

import numpy as np
from PIL import Image

from v2t_lib.models.towers.registry import unit
from v2t_lib.specs import NativeClipSpec

SIDE = 32
SIZES = {"hidden_dim": 8, "num_layers": 1, "num_heads": 2, "intermediate_dim": 16}
VISION = SIZES | {"patch_size": 8, "image_shape": (SIDE, SIDE, 3)}
VIDEO = {
    "num_frames": 4, "patch_size": 8, "hidden_dim": 8, "intermediate_dim": 16, "num_heads": 2,
    "num_spatial_layers": 1, "num_temporal_layers": 1, "num_auxiliary_layers": 1,
    "attention_logit_soft_cap": 50.0, "image_shape": (SIDE, SIDE, 3),
}  # fmt: skip
WORDS = ["a", "the", "red", "blue", "star", "circle", "cross", "spins", "grows", "blinks", "runs"]
WORDS += ["on", "of", "and", "dog", "grass"]
#: The registered towers whose family each is.
NAMES = ("clip_b16", "siglip2_b16", "videoprism_lvt_b")


def sentence_piece(**pieces) -> bytes:
    """A tokenizer of whole words, one piece each."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([" ".join(WORDS)] * 2),
        model_writer=model,
        model_type="WORD",
        vocab_size=len(WORDS) + 4,
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        minloglevel=2,
        **pieces,
    )
    return model.getvalue()


def clip_tokenizer(hub):
    """Letters, each also as a word's end, and a single pair."""
    letters = [*map(chr, range(33, 127))]
    ends = [f"{letter}</w>" for letter in letters]
    pieces = [*letters, *ends, "th", "<|startoftext|>", "<|endoftext|>"]
    return hub.tokenizers.CLIPTokenizer({p: n for n, p in enumerate(pieces)}, ["t h"])


def tiny_backbone(name, hub):
    """One family's model, of random weights; sentences have at most 24 tokens."""
    models = hub.models
    if name == "videoprism_lvt_b":
        return models.VideoPrismBackbone(**VIDEO, vocabulary_size=len(WORDS) + 4, num_text_layers=1)
    kind = "CLIP" if name == "clip_b16" else "SigLIP"
    text = SIZES | {"embedding_dim": 8, "max_sequence_length": 24, "vocabulary_size": 200}
    towers = {
        "vision_encoder": getattr(models, f"{kind}VisionEncoder")(**VISION),
        "text_encoder": getattr(models, f"{kind}TextEncoder")(**text),
    }
    sizes = {"projection_dim": 6} if kind == "CLIP" else {}
    return getattr(models, f"{kind}Backbone")(**towers, **sizes)


def save_preset(name, folder):
    """Saves tiny towers of a family as a preset, the way the published ones are; the backbone."""
    import keras_hub as hub

    backbone, layers = tiny_backbone(name, hub), hub.layers
    rng = np.random.default_rng(0)
    for weight in backbone.trainable_weights:  # biases too: zeros would hide what is left out
        weight.assign(weight + 0.2 * rng.standard_normal(weight.shape))
    scale, size = 1 / 127.5, (SIDE, SIDE)
    if name == "clip_b16":
        converter = layers.CLIPImageConverter(
            size, scale, [-0.9, -1.0, -1.1], interpolation="bicubic", antialias=True
        )
        tokenizer = clip_tokenizer(hub)
    elif name == "siglip2_b16":
        converter = layers.SigLIPImageConverter(
            size, scale, -1.0, crop_to_aspect_ratio=False, interpolation="bicubic", antialias=True
        )
        pieces = {"pad_piece": "<pad>", "bos_piece": "<bos>", "eos_piece": "<eos>"}
        tokenizer = hub.tokenizers.GemmaTokenizer(sentence_piece(**pieces))
    else:
        converter = layers.VideoPrismImageConverter(size, [1 / 255], antialias=True)
        tokenizer = hub.tokenizers.VideoPrismTokenizer(sentence_piece())
    for part in (backbone, converter, tokenizer):
        part.save_to_preset(str(folder))
    return backbone


class Colours:
    """In the place of two towers: a clip's vector is its colour, a sentence's the one it names."""

    name, spec = "of/colours", NativeClipSpec(3, 8, 8)

    def __init__(self):
        self.weights = "1"

    def digest(self):
        return self.weights

    def see(self, clips):
        frames = [unit(clip.mean((1, 2)).astype(np.float32) + 1) for clip in clips]
        return [SimpleNamespace(frames=each, vector=unit(each.mean(0))) for each in frames]

    def clip_vectors(self, clips):
        return np.stack([seen.vector for seen in self.see(clips)])

    def text_vectors(self, sentences):
        return np.eye(3, dtype=np.float32)[[("red", "green", "blue").index(s) for s in sentences]]


def write_colours(path, *colours):
    pictures = [Image.new("RGB", (40, 24), colour) for colour in colours]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100)
