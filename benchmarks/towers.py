"""Do two towers that mean something find clips, and tell a sentence with one word swapped?

    python benchmarks/towers.py [--steps 2000] [--full-size] [--out FOLDER]

Trains tiny towers of keras-hub's SigLIP on drawn frames, with the sigmoid loss, a few minutes on
two cores; saves them as a preset, and from there uses them as any other: 200 drawn clips, no two
alike, are written as GIFs and indexed as `v2t search --towers FOLDER` does. Prints how often the
clip that a sentence describes is the first (limit 60%), the area under the ROC curve of true
sentences against ones with one word swapped (limit .95), and the seconds a clip; with
`--full-size` also those of random towers of B/16 at 224 pixels.
"""

import argparse
import io
import tempfile
import time
from pathlib import Path

import keras
import keras_hub
import numpy as np
import sentencepiece
from keras import ops
from PIL import Image
from sklearn.metrics import roc_auc_score

from v2t_lib.datasets.shapes_drawing import COLOURS, SHAPES
from v2t_lib.folder_index import open_index
from v2t_lib.models.towers.registry import load_towers
from v2t_lib.search import TowerSearch

SIDE, LENGTH, BATCH, CLIPS = 32, 12, 128, 200
PLACES = {"left": (-0.5, 0), "right": (0.5, 0), "top": (0, -0.5), "bottom": (0, 0.5)}
#: What each word of "a COLOUR SHAPE at the PLACE on COLOUR" may be.
KINDS = (list(COLOURS), list(SHAPES), list(PLACES), list(COLOURS))
SIZES = {"hidden_dim": 64, "num_layers": 3, "num_heads": 4, "intermediate_dim": 128}


def drawn(rng: np.random.Generator) -> np.ndarray:
    """int `(4,)`: numbers of the words of a sentence; figure and ground differ in colour."""
    while True:
        words = np.array([rng.integers(len(kind)) for kind in KINDS])
        if words[0] != words[3]:
            return words


def swapped(words: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """With another word in one place, which still makes a sentence."""
    while True:
        copy, place = words.copy(), rng.integers(4)
        copy[place] = rng.integers(len(KINDS[place]))
        if copy[place] != words[place] and copy[0] != copy[3]:
            return copy


def sentence(words: np.ndarray) -> str:
    colour, shape, place, ground = (kind[n] for kind, n in zip(KINDS, words, strict=True))
    return f"a {colour} {shape} at the {place} on {ground}"


def picture(words: np.ndarray, rng: np.random.Generator, side: int = SIDE) -> np.ndarray:
    """uint8 `(side, side, 3)`: what the sentence says, of a size and place drawn anew."""
    colour, shape, place, ground = (kind[n] for kind, n in zip(KINDS, words, strict=True))
    x, y = np.array(PLACES[place]) + rng.uniform(-0.12, 0.12, 2)
    v, u = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    size = rng.uniform(0.38, 0.5)
    inside = SHAPES[shape]((u - x) / size, (v - y) / size)
    pixels = np.where(inside[..., None], COLOURS[colour], COLOURS[ground])
    return np.clip(pixels + rng.normal(0, 10, pixels.shape), 0, 255).astype(np.uint8)


def tokenizer():
    """Whole words of the sentences."""
    words = sorted({word for kind in KINDS for word in kind} | {"a", "at", "the", "on"})
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([" ".join(words)] * 2), model_writer=model, model_type="WORD",
        vocab_size=len(words) + 4, pad_id=0, eos_id=1, bos_id=2, unk_id=3, minloglevel=2,
    )  # fmt: skip
    return keras_hub.tokenizers.SigLIPTokenizer(model.getvalue())


def made(side: int, vision: dict, text: dict, patch: int):
    """SigLIP's two towers, and how their frames are resized."""
    models = keras_hub.models
    backbone = models.SigLIPBackbone(
        models.SigLIPVisionEncoder(**vision, patch_size=patch, image_shape=(side, side, 3)),
        models.SigLIPTextEncoder(
            **text, embedding_dim=text["hidden_dim"], vocabulary_size=64, max_sequence_length=LENGTH
        ),
    )
    converter = keras_hub.layers.SigLIPImageConverter(
        (side, side), 1 / 127.5, -1.0, crop_to_aspect_ratio=False, interpolation="bicubic",
        antialias=True,
    )  # fmt: skip
    return backbone, converter


class Contrast(keras.Model):
    """Trains towers: each picture against its batch's sentences, and each with a word swapped."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone
        backbone.siglip_head.logit_scale.assign(np.log(10.0))
        backbone.siglip_head.logit_bias.assign(-8.0)

    def call(self, inputs):
        pictures, tokens = inputs
        tokens = ops.reshape(tokens, (-1, LENGTH))
        return self.backbone({"images": pictures, "token_ids": tokens})["vision_logits"]


def sigmoid_loss(same, logits):
    """SigLIP's: `same` is 1 where the sentence is true of the picture (arXiv 2303.15343)."""
    return ops.mean(ops.sum(ops.softplus(-(2 * same - 1) * logits), axis=-1))


def batches(preprocess, seed: int):
    """Endless batches of pictures, tokens `(B, 2, L)` and `same` `(B, 2 * B)`."""
    rng = np.random.default_rng(seed)
    while True:
        true = [drawn(rng) for _ in range(BATCH)]
        pairs = [words for own in true for words in (own, swapped(own, rng))]
        pixels = np.stack([picture(words, rng) for words in true]) / np.float32(127.5) - 1
        tokens = preprocess({"images": None, "prompts": list(map(sentence, pairs))})["token_ids"]
        codes = np.array(pairs) @ (1, 10, 100, 1000)
        same = codes[::2, None] == codes
        tokens = np.asarray(tokens, np.int32).reshape(BATCH, 2, LENGTH)
        yield (pixels.astype(np.float32), tokens), same.astype(np.float32)


def train(folder: Path, steps: int) -> None:
    """Trains towers and saves them as a preset."""
    keras.utils.set_random_seed(0)
    words = tokenizer()
    backbone, converter = made(SIDE, SIZES, SIZES, 8)
    preprocess = keras_hub.models.SigLIPPreprocessor(words, sequence_length=LENGTH)
    model = Contrast(backbone)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=1e-3, warmup_steps=steps // 10
    )
    model.compile(keras.optimizers.AdamW(rate, weight_decay=1e-4), sigmoid_loss)
    epochs = max(1, steps // 250)
    model.fit(batches(preprocess, 0), steps_per_epoch=steps // epochs, epochs=epochs, verbose=2)
    for part in (backbone, converter, words):
        part.save_to_preset(str(folder))


def write_clips(folder: Path) -> dict[str, np.ndarray]:
    """GIFs of other sizes than the towers', no two of the same sentence; words by file."""
    rng, clips = np.random.default_rng(1), {}
    while len(clips) < CLIPS:
        words = drawn(rng)
        if any((words == other).all() for other in clips.values()):
            continue
        frames = [Image.fromarray(picture(words, rng, 72)) for _ in range(8)]
        name = f"{len(clips):03}.gif"
        frames[0].save(folder / name, save_all=True, append_images=frames[1:], duration=100)
        clips[name] = words
    return clips


def examine(preset: Path, folder: Path) -> None:
    """Prints what the towers find and tell among drawn clips."""
    clips, searcher = write_clips(folder), TowerSearch(load_towers(str(preset)))
    start = time.perf_counter()
    index = open_index(searcher, folder)
    seconds, towers = time.perf_counter() - start, searcher.towers
    hits = [
        searcher.search(index, sentence(words), 1)[0].file == name for name, words in clips.items()
    ]
    rng = np.random.default_rng(2)
    vectors = index.arrays["vectors"][[index.files.index(name) for name in clips]]
    true = towers.text_vectors([sentence(words) for words in clips.values()])
    false = towers.text_vectors([sentence(swapped(words, rng)) for words in clips.values()])
    cosines = np.concatenate([(vectors * true).sum(1), (vectors * false).sum(1)])
    area = roc_auc_score([1] * CLIPS + [0] * CLIPS, cosines)
    print(f"first among {CLIPS}: {np.mean(hits):.1%} (limit 60%; chance {1 / CLIPS:.1%})")
    print(f"one word swapped: area {area:.3f} (limit .95; chance .5)")
    print(f"tiny towers: {seconds / CLIPS:.3f} s a clip, decoding too")


def time_full_size(folder: Path) -> None:
    """Prints the seconds a clip of towers of B/16's size, with random weights."""
    sizes = {"hidden_dim": 768, "num_layers": 12, "num_heads": 12, "intermediate_dim": 3072}
    for part in (*made(224, sizes, sizes, 16), tokenizer()):
        part.save_to_preset(str(folder))
    towers = load_towers(str(folder))
    clips = np.random.default_rng(0).integers(0, 256, (8, 8, 240, 320, 3), np.uint8)
    towers.clip_vectors(clips[:4])
    start = time.perf_counter()
    towers.clip_vectors(clips)
    each = (time.perf_counter() - start) / len(clips)
    print(f"B/16 at 224, random weights: {each:.2f} s a clip of {towers.count} frames")
    towers.text_vectors(["a red star"])
    start = time.perf_counter()
    towers.text_vectors(["a blue star"])
    print(f"and {time.perf_counter() - start:.2f} s a sentence")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--full-size", action="store_true")
    parser.add_argument("--out", type=Path, help="where the preset is kept; it isn't trained anew")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        preset, clips, full = (
            (args.out or Path(temporary) / "preset"),
            *(Path(temporary) / name for name in ("clips", "full")),
        )
        if not (preset / "config.json").exists():
            start = time.perf_counter()
            train(preset, args.steps)
            print(f"trained in {time.perf_counter() - start:.0f} s")
        clips.mkdir()
        examine(preset, clips)
        if args.full_size:
            time_full_size(full)


if __name__ == "__main__":
    main()
