"""Fitting a captioner to shards: one `Model.fit`, saved as it goes, that can be resumed."""

import contextlib
import functools
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from v2t_lib.models.captioner import Captioner
from v2t_lib.models.devices import spread
from v2t_lib.models.encoders.blind import BlindEncoder
from v2t_lib.models.hosts import current
from v2t_lib.models.saving import load
from v2t_lib.progress import keras_verbosity
from v2t_lib.shards.damage import naming_damage
from v2t_lib.shards.epochs import Epochs
from v2t_lib.shards.reader import ShardDataset, Shards
from v2t_lib.training.callbacks import EmaWeights, KeepBest, OnFirstHost, SampleCaptions
from v2t_lib.training.checkpoints import Checkpoints, Mirror
from v2t_lib.training.compile import compile_for_training
from v2t_lib.training.feature_cache import cached_features
from v2t_lib.training.memory_limit import naming_memory_options
from v2t_lib.training.recipe import TrainingOptions
from v2t_lib.training.resumable_state import ResumableState
from v2t_lib.training.stop_signal import StopSignal

MODEL_FILE, BLIND_FILE = "captioner.keras", "blind.keras"
#: Validation clips that are captioned after each epoch.
SAMPLE_CLIPS = 32


def fit(
    captioner: Captioner,
    shards: Shards,
    path: Path,
    options: TrainingOptions,
    val: Shards | None = None,
    resume: bool = False,
    mirror: Mirror | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    cache: str | Path | None = None,
) -> pd.DataFrame:
    """Trains `captioner` on `shards`; it ends with its best epoch's weights, as saved at `path`.

    The best epoch is that of the lowest validation loss, without `val` of the lowest training loss.
    Beside `path` are written a history (`.csv`, one row an epoch) and a hidden folder with the
    last checkpoints, which `resume` starts from. On the CPU a run that was killed and resumed ends
    with the same weights and history, bit for bit, as one that was not.

    Of several hosts (`models.hosts`) each trains on its share of every batch. The first one
    writes all files; the others need none of them. Losses are those of one host but for rounding.

    Args:
        captioner: The model; it is compiled here.
        shards: Training shards.
        path: Where the best model is saved.
        options: How to train.
        val: Validation shards.
        resume: Continue from the newest checkpoint, if there is one.
        mirror: Copies what is written.
        callbacks: Further Keras callbacks, called before each checkpoint; at the end of an epoch
            they find the weights that are saved, with `ema` the averages. The learning rate may be
            set by them, which ends its schedule.
        cache: Where features of a frozen image network are kept; see `cached_features`.

    Returns:
        The history.

    Raises:
        TrainingError: Interrupted, out of memory, or the loss is not finite.
    """
    mirror = mirror or Mirror(path.parent)
    batch, words, spec = options.batch_size, captioner.vocabulary, captioner.caption_spec
    sample = None if val is None else ShardDataset.open(val)
    shards = cached_features(captioner.encoder, shards, cache, path.parent)
    val = sample and cached_features(captioner.encoder, sample, cache, path.parent)
    a_pass = shards.steps(batch, options.captions_per_clip)
    passes = -(-options.epoch_steps // a_pass)
    steps = passes * a_pass
    hosts = current()
    with StopSignal() as stop, shared(captioner, options) as model:
        compile_for_training(model, options, steps * options.epochs)
        state = _resumable_state(path, shards, steps, a_pass, options, mirror, stop)
        if resume:
            state.resume(model)
        elif hosts.first:
            state.history.unlink(missing_ok=True)
            state.checkpoints.clear()
        monitor = "loss" if val is None else "val_loss"
        best = min((row[monitor] for row in state.rows), default=float("inf"))
        ours = [*_sample_captions(captioner, sample), KeepBest(path, monitor, best, mirror)]
        if model is not captioner:
            ours = [OnFirstHost(captioner, ours)]
        ours = [*ours, *callbacks]
        if options.ema:
            ours = EmaWeights().around(ours)
        first = keras.callbacks.LambdaCallback(on_epoch_end=state.keep_training)

        def rest_of_epoch():
            done = min(state.step // a_pass, passes - 1)
            left = [
                shards.batches(
                    *(words, spec, batch, options.seed, state.epoch * passes + number),
                    skip=state.step - done * a_pass if number == done else 0,
                    captions_per_clip=options.captions_per_clip,
                    share=(hosts.index, hosts.count),
                )
                for number in range(done, passes)
            ]
            return functools.reduce(lambda first, rest: first.concatenate(rest), left)

        with contextlib.ExitStack() as reading:
            reading.enter_context(naming_memory_options(options, captioner.clip_spec))
            for read in filter(None, (shards, val)):
                reading.enter_context(naming_damage(read.folder, read.info))
            model.fit(
                Epochs(rest_of_epoch, steps),
                validation_data=val and val.batches(words, spec, batch),
                initial_epoch=state.epoch,
                epochs=options.epochs,
                callbacks=[first, *ours, state],  # it saves what the others leave
                shuffle=False,
                verbose=keras_verbosity() if hosts.first else 0,
            )
    _, weights = hosts.from_first(lambda: (None, load(path).get_weights()))
    captioner.set_weights(weights)
    return pd.DataFrame(state.rows)


@contextlib.contextmanager
def shared(captioner: Captioner, options: TrainingOptions) -> Iterator[Captioner]:
    """The model to train: `captioner`, or its equal that lies on the devices of all hosts."""
    if current().count == 1:
        yield captioner
        return
    with spread(None, options.batch_size):
        keras.utils.set_random_seed(options.seed)  # JAX insists that all begin with equal values
        model = Captioner.from_config(captioner.get_config())
        for variable, value in zip(model.variables, captioner.variables, strict=True):
            variable.assign(np.asarray(value))
        yield model


def _resumable_state(
    path: Path,
    shards: ShardDataset,
    steps: int,
    a_pass: int,
    options: TrainingOptions,
    mirror: Mirror,
    stop: StopSignal,
) -> ResumableState:
    folder = path.with_name(f".{path.stem}-checkpoints")

    def name_clips(epoch: int, step: int) -> list[str]:
        number, batch = divmod(epoch * steps + step, a_pass)
        order = (options.batch_size, options.seed, number, batch, options.captions_per_clip)
        return shards.sources_of_batch(*order)

    return ResumableState(
        Checkpoints(folder, options.keep_checkpoints, mirror),
        path.with_name("history.csv" if path.name == MODEL_FILE else f"{path.stem}.csv"),
        steps,
        options.checkpoint_steps,
        order={"seed": options.seed, "batch_size": options.batch_size, "steps": steps},
        name_clips=name_clips,
        stop=stop,
    )


def _sample_captions(
    captioner: Captioner, val: ShardDataset | None
) -> list[keras.callbacks.Callback]:
    """The callback that captions validation clips; none for a blind model, whose are all alike."""
    if val is None or isinstance(captioner.encoder, BlindEncoder):
        return []
    sample = list(itertools.islice(val.examples(), SAMPLE_CLIPS))
    frames = np.stack([example.frames for example in sample])
    return [SampleCaptions(frames, [example.captions[0] for example in sample])]
