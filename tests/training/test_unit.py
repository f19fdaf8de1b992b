"""Captions without spaces, cut into characters: from the captions file to the model's sentences."""

import random

import numpy as np
import pytest
import tensorflow as tf
from helpers import tiny
from helpers.clips import write_gif
from helpers.processes import in_this_process

import v2t_lib as v2t
from v2t_lib.captions_file import read_captions
from v2t_lib.evaluation import evaluate
from v2t_lib.shards.pack import pack
from v2t_lib.shards.reader import ShardDataset
from v2t_lib.shards.rows import packer
from v2t_lib.specs import CaptionSpec
from v2t_lib.text.vocabulary import Vocabulary, normalise, sentence, tokenise
from v2t_lib.training.recipe import DecoderOptions, Recipe, TrainingOptions
from v2t_lib.training.train import _with_words, train

CHINESE = ("一只狗在公园里跑。", "一只红色的猫在睡觉", "两只猫在睡觉")
THAI = ("ชายคนหนึ่งกำลังวิ่ง", "แมวสองตัวนอน", "แมวนอน")
SPEC = CaptionSpec(length=12, unit="character")


def test_random_signs_are_packed_alike_in_both_ways_and_normalise_to_themselves():
    rng = random.Random(0)
    signs = "aZ9é狗猫跑ーｶﾞกำที่ာ\u0301\u0951\u3099\u0eb1 '-&;|½\U0001f600𠀀ñ"
    texts = ["".join(rng.choices(signs, k=8)) for _ in range(3000)]
    vocabulary = Vocabulary.from_captions(texts, unit="character")
    in_graph = packer(vocabulary, 9)(tf.constant([normalise(text) for text in texts]))
    for text, tokens in zip(texts, in_graph.numpy(), strict=True):
        np.testing.assert_array_equal(tokens, vocabulary.pack(text, 9), err_msg=ascii(text))
        normalised = normalise(text, "character")
        assert normalise(normalised, "character") == normalised
        assert all(word[0].isalnum() for word in tokenise(text, "character"))


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """Shards of clips with Chinese captions and with Thai ones, and the captions."""
    folder, rows, captions = tmp_path_factory.mktemp("unit"), [], (*CHINESE[1:], *THAI[1:])
    for number, caption in enumerate(captions):
        write_gif(folder / f"{number}.gif", number)
        rows.append(f"{number}.gif\t{caption}\n")
    (folder / "captions.tsv").write_text("".join(rows), encoding="utf-8")
    records = read_captions(folder / "captions.tsv")
    with in_this_process():
        pack(records, folder / "captions.tsv", folder / "shards", tiny.CLIP)
    return folder / "shards", captions


@pytest.mark.usefixtures("eager", "no_java")
def test_a_model_writes_and_scores_characters(packed, tmp_path, capsys):
    shards, captions = packed
    recipe = Recipe(
        caption=SPEC,
        encoder_options=tiny.ENCODER,
        decoder=DecoderOptions(**tiny.DECODER),
        training=TrainingOptions(epochs=1, batch_size=4),
    )
    train(shards, tmp_path, recipe)
    assert "no spaces" not in capsys.readouterr().err
    model = v2t.load(tmp_path / "captioner.keras")
    assert model.caption_spec == SPEC and model.vocabulary.unit == "character"
    assert set(model.vocabulary.words[4:]) == {w for c in captions for w in tokenise(c, SPEC.unit)}
    clips = np.stack([example.frames for example in ShardDataset.open(shards).examples()])
    for caption, explained in zip(captions, model.explain_frames(clips, captions), strict=True):
        assert explained.text == normalise(caption)
        assert explained.words == tuple(tokenise(caption, SPEC.unit))
        assert len(explained.attention) == len(explained.words)
    (written,) = model.caption_frames(clips[:1])
    assert written.words and written.text == sentence(written.words, SPEC.unit)

    def right(frames, beam=1, seconds=None, memory=None):
        return model.explain_frames(frames, captions)

    object.__setattr__(model, "caption_frames", right)
    scores, _ = evaluate(model, shards, beam=1, training=shards)
    assert scores["exact_match"] == scores["seen_in_training"] == 1
    assert scores["mean_length"] == np.mean([len(tokenise(c, SPEC.unit)) for c in captions])
    assert scores["BLEU-4"] == pytest.approx(1)


def test_characters_go_on_as_characters_and_may_follow_words(packed, tmp_path):
    shards = ShardDataset.open(packed[0])
    words, vocabulary = tiny.captioner(), Vocabulary(tiny.VOCABULARY.words, "character")
    characters = v2t.Captioner(
        tiny.CLIP, SPEC, vocabulary, v2t.encoders.get("conv3d", **tiny.ENCODER), tiny.DECODER
    )
    for unit, old, expected in (
        ("word", words, "word"),
        ("character", words, "character"),
        ("word", characters, "character"),
    ):
        recipe = Recipe(caption=CaptionSpec(unit=unit))
        recipe, vocabulary = _with_words(shards, recipe, old)
        assert recipe.caption.unit == vocabulary.unit == expected
        assert vocabulary.words[: len(tiny.VOCABULARY)] == tiny.VOCABULARY.words


def test_other_units_are_refused():
    with pytest.raises(ValueError, match="word, character"):
        CaptionSpec(unit="letter")
    with pytest.raises(ValueError, match=r"unit, 'character'\. Received: one of 'word'"):
        tiny.captioner(caption=SPEC)
