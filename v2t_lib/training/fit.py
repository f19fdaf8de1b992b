"""Fitting a captioner to shards: one `Model.fit`, saved as it goes, that can be resumed."""

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from v2t_lib.errors import TrainingError, out_of_memory
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.devices import spread
from v2t_lib.models.encoders.blind import BlindEncoder
from v2t_lib.models.hosts import current
from v2t_lib.models.process import seeded
from v2t_lib.models.saving import load
from v2t_lib.progress import keras_verbosity
from v2t_lib.shards.reader import ShardDataset, Shards
from v2t_lib.shards.rows import Epochs, naming_damage
from v2t_lib.specs import ClipSpec
from v2t_lib.training.callbacks import EpochEnd, ResumableState
from v2t_lib.training.checkpoints import stop_asked
from v2t_lib.training.feature_cache import cached_features, frozen_variables, weights_digest
from v2t_lib.training.optimizer import compile_for_training
from v2t_lib.training.recipe import TrainingOptions
from v2t_lib.training.run_folder import Mirror

#: Validation clips that are captioned after each epoch.
SAMPLE_CLIPS = 32


class _Order:
    """The batches of each epoch, whole passes over the captions: at least `epoch_steps` batches."""

    def __init__(self, shards: ShardDataset, captioner: Captioner, options: TrainingOptions):
        self.shards, self.captioner, self.options = shards, captioner, options
        self._a_pass = shards.steps(options.batch_size, options.captions_per_clip)
        self.passes = -(-options.epoch_steps // self._a_pass)
        self.steps = self.passes * self._a_pass

    def about(self) -> dict:
        """What has to be the same for a run to go on."""
        names = ("seed", "batch_size", "captions_per_clip")
        frozen = frozen_variables(self.captioner.encoder)
        about = {name: getattr(self.options, name) for name in names} | {"steps": self.steps}
        return about | ({"frozen weights": weights_digest(frozen)} if frozen else {})

    def batches(self, epoch: int, step: int):
        """What is left of an epoch after `step` batches; this host's share of each."""
        options, hosts, number = self.options, current(), epoch * self.passes
        done = min(step // self._a_pass, self.passes - 1)
        return self.shards.batches(
            self.captioner.vocabulary,
            self.captioner.caption_spec,
            options.batch_size,
            options.seed,
            number + done,
            skip=step - done * self._a_pass,
            captions_per_clip=options.captions_per_clip,
            share=(hosts.index, hosts.count),
            passes=self.passes - done,
        )

    def clips_of(self, epoch: int, step: int) -> list[str]:
        """The clips of one batch."""
        number, batch = divmod(epoch * self.steps + step, self._a_pass)
        options = self.options
        order = (options.batch_size, options.seed, number, batch, options.captions_per_clip)
        return self.shards.sources_of_batch(*order)


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
    last checkpoints. On the CPU a run that was killed and resumed ends with the same weights and
    history, bit for bit, as one that was not. Of several hosts each trains on its share of every
    batch, and the first one writes all files.

    Args:
        path: Where the best model is saved.
        resume: Continue from the newest checkpoint, if there is one.
        mirror: Copies what is written.
        callbacks: Further Keras callbacks, called before each checkpoint; at the end of an epoch
            they find the weights that are saved, with `ema` the averages. The learning rate may be
            set by them, which ends its schedule.
        cache: As for `cached_features`.

    Returns:
        The history.
    """
    clips = None if val is None else ShardDataset.open(val)
    shards = cached_features(captioner.encoder, shards, cache, path.parent)
    val = clips and cached_features(captioner.encoder, clips, cache, path.parent)
    order, hosts = _Order(shards, captioner, options), current()
    with stop_asked() as stop, _trained(captioner, options) as model:
        compile_for_training(model, options, order.steps * options.epochs)
        batches = (order.about(), order.steps, order.clips_of)
        mirror = mirror or Mirror(path.parent)
        state = ResumableState(path, options, *batches, stop, mirror, callbacks)
        state.begin(model, resume)
        samples: list = []
        if clips and not isinstance(captioner.encoder, BlindEncoder):  # whose captions are alike
            samples = list(itertools.islice(clips.examples(), SAMPLE_CLIPS))
        end = EpochEnd(captioner, state, samples)
        with _explaining(options, captioner.clip_spec, [shards, *filter(None, [val])]):
            model.fit(
                Epochs(lambda: order.batches(state.epoch, state.step), order.steps),
                validation_data=val
                and val.batches(captioner.vocabulary, captioner.caption_spec, options.batch_size),
                initial_epoch=state.epoch,
                epochs=options.epochs,
                callbacks=[end, *callbacks, state],  # which saves what the others leave
                shuffle=False,
                verbose=keras_verbosity() if hosts.first else 0,
            )
    captioner.set_weights(hosts.from_first(lambda: load(path).get_weights()))
    return pd.DataFrame(state.rows)


@contextlib.contextmanager
def _trained(captioner: Captioner, options: TrainingOptions) -> Iterator[Captioner]:
    """The model to train: `captioner`, or its equal that lies on the devices of all hosts."""
    if current().count == 1:
        yield captioner
        return
    with spread(None, options.batch_size):
        with seeded(options.seed):  # JAX insists that all begin with equal values
            model = Captioner.from_config(captioner.get_config())
        for variable, value in zip(model.variables, captioner.variables, strict=True):
            variable.assign(np.asarray(value))
        yield model


@contextlib.contextmanager
def _explaining(
    options: TrainingOptions, clip: ClipSpec, read: Sequence[ShardDataset]
) -> Iterator[None]:
    """Names damaged shards, and what to turn down where memory runs out."""
    try:
        with contextlib.ExitStack() as reading:
            for shards in read:
                reading.enter_context(naming_damage(shards.folder, shards.info))
            yield
    except Exception as error:
        if not out_of_memory(error):
            raise
        batch, half, steps = options.batch_size, options.batch_size // 2, options.accumulate * 2
        halves = f"half the memory for the same steps (--batch {half} --accumulate {steps}), "
        raise TrainingError(
            f"expected enough memory for a batch of {batch} clips of {clip.frames} frames, "
            f"{clip.width} x {clip.height} pixels. Received: out of memory; start the run anew "
            f"(--overwrite) with {halves if half else ''}--precision mixed_float16 on a GPU, or "
            "shards with fewer or smaller frames"
        ) from error
