"""Training a captioner, and its blind twin to compare with, from shards to saved models."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from v2t_lib.errors import DataError, ModelError
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.devices import check_even, gpus
from v2t_lib.models.encoders import registry as encoders
from v2t_lib.models.hosts import current
from v2t_lib.models.process import seeded
from v2t_lib.models.saving import load
from v2t_lib.progress import log
from v2t_lib.shards.format import digest_of
from v2t_lib.shards.reader import ShardDataset, Shards
from v2t_lib.shards.slices import warn_of_copies
from v2t_lib.text import checks
from v2t_lib.text.vocabulary import SPECIALS, Vocabulary
from v2t_lib.training.calibrate import calibrated
from v2t_lib.training.feature_cache import cached_features, weights_digest
from v2t_lib.training.fit import fit
from v2t_lib.training.recipe import DecoderOptions, Recipe
from v2t_lib.training.run_folder import BLIND_FILE, MODEL_FILE, TRAINING, digests, locked_run


def train(
    shards: Shards,
    out: str | Path,
    recipe: Recipe | None = None,
    *,
    val: Shards | None = None,
    resume: bool = False,
    copy_to: str | Path | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    start_from: str | Path | None = None,
    cache: str | Path | None = None,
    overwrite: bool = False,
) -> Captioner:
    """Trains a captioner and its blind twin; writes `captioner.keras`, `blind.keras`, histories.

    The twin has the same decoder and an encoder that sees nothing (`BlindEncoder`): its loss is
    what the captioner's has to beat. Within `spread` both train on several devices, within `joined`
    on several hosts, of which the first one writes the files.

    Args:
        shards: Training shards, which set the model's clip size; the vocabulary is made from their
            captions alone.
        out: The run's folder.
        val: Validation shards, to choose the best epoch and to calibrate `Captioner.verify`; when
            left out, the training loss chooses, and sentences can't be verified.
        resume: Continue the run in `out`.
        copy_to: A second folder, on a mounted drive say, that gets a copy of the run as it grows;
            `resume` restores from there what `out` lacks.
        callbacks: Further Keras callbacks for the captioner's training, see `fit`.
        start_from: A model to fine-tune. Encoder and decoder are built as that model's; its words
            are kept and those of the new captions added.
        cache: Where features of a frozen image network are kept; beside the shards by default.
        overwrite: Delete the run that `out` or `copy_to` has.

    Returns:
        The captioner with its best epoch's weights, those in `captioner.keras`.

    Raises:
        DataError: Shards of another clip size, too few captions for a batch, a vocabulary without
            a word, or another process that trains into `out` or `copy_to`.
        TrainingError: A run is in the way, or was begun with other shards; interrupted; out of
            memory; or the loss is not finite.
    """
    shards = ShardDataset.open(shards)
    spec = shards.info.clip_spec
    val = None if val is None else ShardDataset.open(val, spec)
    if val is not None:
        warn_of_copies(shards.folder, val.folder)
    data = {"training shards": shards, "validation shards": val}
    recipe = dataclasses.replace(recipe or Recipe(), clip=spec)
    _check_precision(recipe)
    old = load(start_from) if start_from else None
    recipe, vocabulary = _with_words(shards, recipe, old)
    options, hosts, out = recipe.training, current(), Path(out)
    if hosts.count > 1:
        check_even(options.batch_size)
        start = old and weights_digest(old.get_weights())
        about = {"recipe": recipe.to_dict(), "words": digest_of(vocabulary.words)}
        hosts.agree({**digests(data), **about, "start_from": start, "resume": resume})
    with locked_run(out, copy_to, TRAINING, data, resume, overwrite) as mirror:
        captioner = _started(recipe, vocabulary, old)
        # The twin first: its loss is there to compare with while the captioner trains. It looks at
        # no clip, and features are read more quickly than clips.
        features = cached_features(captioner.encoder, shards, cache, out)
        held_out = val and cached_features(captioner.encoder, val, cache, out)
        size = {"memory_size": captioner.encoder.memory_size}
        blind = dataclasses.replace(recipe, encoder="blind", encoder_options=size)
        fit(_make(blind, vocabulary), features, out / BLIND_FILE, options, held_out, resume, mirror)
        path = out / MODEL_FILE
        fit(captioner, shards, path, options, val, resume, mirror, callbacks, cache)
        if held_out is not None and recipe.encoder != "blind" and hosts.first:
            calibrated(captioner, path, held_out, features, seed=options.seed)
    return captioner


def _started(recipe: Recipe, vocabulary: Vocabulary, old: Captioner | None) -> Captioner:
    captioner = _make(recipe, vocabulary)
    if old is not None:
        warm_start(captioner, old)
    elif recipe.encoder_options.get("frozen") and not recipe.encoder_options.get("weights"):
        log.warning(
            f"{recipe.encoder}: frozen with random weights, whose features say little; "
            "--weights imagenet takes published ones"
        )
    return captioner


def _make(recipe: Recipe, vocabulary: Vocabulary) -> Captioner:
    options = recipe.training
    with seeded(options.seed):
        return Captioner(
            recipe.clip,
            recipe.caption,
            vocabulary,
            encoders.get(recipe.encoder, **recipe.encoder_options, dtype=options.precision),
            dataclasses.asdict(recipe.decoder),
            recipe=recipe.to_dict(),
            dtype=options.precision,
        )


def _with_words(
    shards: ShardDataset, recipe: Recipe, old: Captioner | None
) -> tuple[Recipe, Vocabulary]:
    """The recipe, built as an older model if there is one, and the vocabulary of the captions."""
    if old is not None:
        recipe = _built_as(recipe, old)
    captions, spec = shards.captions(), recipe.caption
    checks.warn(captions, spec.length, spec.unit)
    vocabulary = Vocabulary.from_captions(captions, spec.min_count, spec.unit)
    if old is not None:
        vocabulary = grow(old.vocabulary, vocabulary)
    if len(vocabulary) == len(SPECIALS):
        raise DataError(
            f"{shards.folder}: expected words that occur at least {spec.min_count} times "
            "in its captions. Received: none; lower min_count, or look into the captions"
        )
    return recipe, vocabulary


def _built_as(recipe: Recipe, old: Captioner) -> Recipe:
    """The recipe with encoder and decoder of an older model; dropout and training stay.

    Characters stay characters; they may also follow words.
    """
    name, options = encoders.recipe_of(old.encoder)
    decoder = old.decoder_options | {"dropout": recipe.decoder.dropout}
    unit = "character" if old.caption_spec.unit == "character" else recipe.caption.unit
    return dataclasses.replace(
        recipe,
        encoder=name,
        encoder_options=options,
        decoder=DecoderOptions(**decoder),
        caption=dataclasses.replace(recipe.caption, unit=unit),
    )


def grow(known: Vocabulary, captions: Vocabulary) -> Vocabulary:
    """The words of `known`, with the same tokens, then the further words of `captions`."""
    have = set(known.words)
    fresh = tuple(word for word in captions.words if word not in have)
    return Vocabulary(known.words + fresh, captions.unit)


def warm_start(captioner: Captioner, old: Captioner) -> None:
    """Copies an older captioner's weights into a new one, whose vocabulary `grow` has made; the new
    words keep their initial embedding and output weights."""
    known, decoder = len(old.vocabulary), captioner.decoder
    parts: dict = {id(decoder.embedding.embeddings): np.s_[:known]}
    parts |= {id(weight): np.s_[..., :known] for weight in decoder.vocabulary.weights}
    values = [np.array(weight) for weight in captioner.weights]
    pairs = zip(captioner.weights, values, strict=True)
    known_parts = [value[parts.get(id(weight), np.s_[...])] for weight, value in pairs]
    expected, received = [part.shape for part in known_parts], [w.shape for w in old.weights]
    if expected != [tuple(shape) for shape in received]:
        raise ModelError(
            f"expected a model with {len(expected)} weights to begin with, of the shapes that the "
            f"options make. Received: one with {len(received)}, or of other shapes; ask for its "
            "encoder and sizes"
        )
    for part, learnt in zip(known_parts, old.weights, strict=True):
        part[...] = learnt
    captioner.set_weights(values)


def _check_precision(recipe: Recipe) -> None:
    """Refuses what can give NaN: oneDNN's gradients of narrow 3D convolutions in bfloat16."""
    half = recipe.training.precision == "mixed_bfloat16" and recipe.encoder != "blind"
    if half and keras.backend.backend() in ("tensorflow", "torch") and not gpus():
        raise ValueError(
            "expected precision float32 on a CPU with Keras on TensorFlow or PyTorch. Received: "
            "mixed_bfloat16, in which the gradients of 3D convolutions are NaN there; train with "
            "--precision float32, on a GPU, or with KERAS_BACKEND=jax"
        )
