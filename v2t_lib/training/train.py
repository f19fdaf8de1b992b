"""Training: compile defaults, what each epoch reports and keeps, and going on after a stop."""

import contextlib
import dataclasses
import functools
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from v2t_lib.errors import DataError
from v2t_lib.models.captioner import JIT_COMPILE, Captioner, load
from v2t_lib.models.encoders import registry as encoders
from v2t_lib.models.encoders.blind import BlindEncoder
from v2t_lib.shards.reader import ShardDataset, Shards
from v2t_lib.text import checks
from v2t_lib.text.vocabulary import SPECIALS, Vocabulary
from v2t_lib.training.callbacks import (
    EmaWeights,
    KeepBest,
    ResumableState,
    SampleCaptions,
    StopSignal,
)
from v2t_lib.training.checkpoints import Checkpoints, Mirror
from v2t_lib.training.feature_cache import cached_features
from v2t_lib.training.losses import sequence_accuracy, sequence_loss
from v2t_lib.training.recipe import DecoderOptions, Recipe, TrainingOptions
from v2t_lib.training.warm_start import grow, warm_start

MODEL_FILE, BLIND_FILE = "captioner.keras", "blind.keras"


class EmaAdamW(keras.optimizers.AdamW):
    """AdamW whose averages stay apart: `fit`, called once an epoch, would overwrite the weights."""

    def finalize_variable_values(self, var_list):
        pass


def compile_for_training(captioner: Captioner, options: TrainingOptions, steps: int) -> None:
    """AdamW, warm-up and cosine decay over `steps`, gradients clipped by norm."""
    warmup = max(1, round(options.warmup_share * steps))
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=max(1, steps - warmup),
        warmup_target=options.learning_rate,
        warmup_steps=warmup,
        alpha=0.01,
    )

    def loss(y_true, y_pred):
        return sequence_loss(y_true, y_pred, options.label_smoothing)

    captioner.scheduled_sampling = (
        (options.scheduled_sampling, steps) if options.scheduled_sampling else None
    )
    seed, _ = np.asarray(captioner.seeds.state)
    captioner.seeds.state.assign([seed, 0])  # it counts the steps, too
    captioner.compile(
        optimizer=EmaAdamW(
            schedule,
            weight_decay=options.weight_decay,
            beta_2=0.98,  # short runs: the second moment must follow within a hundred steps
            global_clipnorm=options.clip_norm,
            use_ema=bool(options.ema),
            ema_momentum=options.ema or 0.99,
            gradient_accumulation_steps=options.accumulate if options.accumulate > 1 else None,
        ),
        loss=loss,
        metrics=[sequence_accuracy],
        jit_compile=JIT_COMPILE,
    )


def _watching(captioner: Captioner, val: ShardDataset) -> list[keras.callbacks.Callback]:
    """Captions of a few held-out clips each epoch; a blind model's would be all alike."""
    if isinstance(captioner.encoder, BlindEncoder):
        return []
    sample = list(itertools.islice(val.examples(), 32))
    frames = np.stack([example.frames for example in sample])
    return [SampleCaptions(frames, [example.captions[0] for example in sample])]


def fit(
    captioner: Captioner,
    shards: Shards,
    path: Path,
    options: TrainingOptions,
    val: Shards | None = None,
    resume: bool = False,
    mirror: Mirror | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> pd.DataFrame:
    """Trains `captioner` on `shards` and keeps its best weights at `path`.

    Beside `path` stand a history (`.csv`, one row an epoch) and a hidden folder with the last
    checkpoints, which `resume` goes on from. On the CPU a run that was killed and went on ends
    with the weights and history it would have had, to the bit.

    Returns:
        The history.

    Raises:
        TrainingError: Interrupted, or the loss is no number any more.
    """
    mirror = mirror or Mirror(path.parent)
    history = path.with_name("history.csv" if path.name == MODEL_FILE else f"{path.stem}.csv")
    checkpoints = Checkpoints(
        path.with_name(f".{path.stem}-checkpoints"), options.keep_checkpoints, mirror
    )
    batch, seed = options.batch_size, options.seed
    sample = val and ShardDataset.open(val)
    shards = cached_features(captioner.encoder, shards)
    val = sample and cached_features(captioner.encoder, sample)
    data = functools.partial(
        shards.batches, captioner.vocabulary, captioner.caption_spec, batch, seed
    )
    steps = shards.steps(batch)
    compile_for_training(captioner, options, steps * options.epochs)
    with StopSignal() as stop:
        state = ResumableState(
            checkpoints,
            history,
            steps,
            options.checkpoint_steps,
            order={"seed": seed, "batch_size": batch, "steps": steps},
            name_clips=functools.partial(shards.sources_of_batch, batch, seed),
            stop=stop,
        )
        if resume:
            state.resume(captioner)
        else:
            history.unlink(missing_ok=True)
            checkpoints.clear()
        watched, val_data, ours = "loss", None, []
        if val is not None:
            watched, ours = "val_loss", _watching(captioner, sample)
            val_data = val.batches(captioner.vocabulary, captioner.caption_spec, batch)
        best = min((row[watched] for row in state.rows), default=float("inf"))
        ours.append(KeepBest(path, watched, best, mirror))
        if options.ema:
            ours = EmaWeights().around(ours)
        # The state comes last: what it saves is what the others leave.
        ours += [*callbacks, state]
        while state.epoch < options.epochs and not state.ended:
            captioner.fit(
                data(epoch=state.epoch, skip=state.step),
                validation_data=val_data,
                initial_epoch=state.epoch,
                epochs=options.epochs,
                callbacks=ours,
                shuffle=False,
                verbose=1 if sys.stderr.isatty() else 2,
            )
    return pd.DataFrame(state.rows)


def _built_as(recipe: Recipe, old: Captioner) -> Recipe:
    """The recipe with encoder and decoder of an older model; dropout and training stay."""
    name, options = encoders.recipe_of(old.encoder)
    decoder = old.decoder_options | {"dropout": recipe.decoder.dropout}
    return dataclasses.replace(
        recipe, encoder=name, encoder_options=options, decoder=DecoderOptions(**decoder)
    )


def _blind(recipe: Recipe, memory_size: int) -> Recipe:
    """The blind twin's recipe: the same decoder; it needs no more than a third of the epochs."""
    epochs, options = -(-recipe.training.epochs // 3), {"memory_size": memory_size}
    training = dataclasses.replace(recipe.training, epochs=epochs, doubly_stochastic=0.0)
    return dataclasses.replace(recipe, encoder="blind", encoder_options=options, training=training)


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
) -> Captioner:
    """Trains a captioner and its blind twin; writes `captioner.keras`, `blind.keras`, histories.

    The twin has the same decoder and an encoder that sees nothing (`BlindEncoder`): its loss is
    what the captioner's has to beat. Within `distribution.spread` both train on several devices.

    Args:
        shards: Training shards, whose clip size the model takes; the vocabulary is made from
            their captions alone.
        out: The run's directory.
        recipe: How the model is built and trained; every option's default when left out.
        val: Shards to choose the best epoch by; by the training loss when left out.
        resume: Continue the run in `out`.
        copy_to: A second directory, on a mounted drive say, that gets a copy of the run as it
            grows; `resume` restores from there what `out` lacks.
        callbacks: Further Keras callbacks for the captioner's training.
        start_from: A model to fine-tune. Encoder and decoder are built as that model's; its words
            are kept and those of the new captions added.

    Raises:
        ValueError: No encoder has the recipe's name or options.
        DataError: Shards of another clip size, too few captions for a batch, or a vocabulary
            without a word.
        TrainingError: Interrupted, or the loss is not finite.
    """
    shards, val = ShardDataset.open(shards), val and ShardDataset.open(val)
    out, spec = Path(out), shards.info.clip_spec
    recipe = dataclasses.replace(recipe or Recipe(), clip=spec)
    if val is not None and val.info.clip_spec != spec:
        raise DataError(f"{val.folder}: expected clips of {spec}. Received: {val.info.clip_spec}")
    captions = shards.captions()
    checks.warn(captions, recipe.caption.length)
    vocabulary = Vocabulary.from_captions(captions, recipe.caption.min_count)
    old = load(start_from) if start_from else None
    if old is not None:
        vocabulary, recipe = grow(old.vocabulary, vocabulary), _built_as(recipe, old)
    if len(vocabulary) == len(SPECIALS):
        raise DataError(
            f"{shards.folder}: expected words that occur at least {recipe.caption.min_count} times "
            "in its captions. Received: none; lower min_count, or look into the captions"
        )

    def make(recipe: Recipe) -> Captioner:
        options = recipe.training
        keras.utils.set_random_seed(options.seed)
        return Captioner(
            spec,
            recipe.caption,
            vocabulary,
            encoders.get(recipe.encoder, **recipe.encoder_options, dtype=options.precision),
            dataclasses.asdict(recipe.decoder),
            doubly_stochastic=options.doubly_stochastic,
            recipe=recipe.to_dict(),
            dtype=options.precision,
        )

    out.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(Mirror(out, Path(copy_to) if copy_to else None)) as mirror:
        if resume:
            mirror.fetch()
        captioner = make(recipe)
        if old is not None:
            warm_start(captioner, old)
        # First, so that its loss is there to compare with while the captioner trains.
        blind = _blind(recipe, captioner.encoder.memory_size)
        fit(make(blind), shards, out / BLIND_FILE, blind.training, val, resume, mirror)
        fit(captioner, shards, out / MODEL_FILE, recipe.training, val, resume, mirror, callbacks)
    return captioner
