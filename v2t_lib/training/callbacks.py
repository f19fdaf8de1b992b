"""The callbacks of a run: what the end of an epoch brings, and the state to resume from."""

from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np

from v2t_lib.errors import TrainingError
from v2t_lib.metrics.texts import COLLAPSE_SHARE
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.devices import alone
from v2t_lib.models.hosts import current
from v2t_lib.models.saving import save
from v2t_lib.progress import log
from v2t_lib.shards.example import Example
from v2t_lib.training.checkpoints import Checkpoints, StopSignal, stopped
from v2t_lib.training.feature_cache import frozen_variables
from v2t_lib.training.optimizer import swap_averages
from v2t_lib.training.recipe import TrainingOptions
from v2t_lib.training.run_folder import Mirror, history_of, write_history

#: What Keras's callbacks with patience count, which goes on where a run is resumed.
_COUNTS = ("best", "best_epoch", "wait", "cooldown_counter")


def _state(model: Captioner) -> list:
    """Every variable that training changes: all but those of a frozen image network."""
    frozen = {id(variable) for variable in frozen_variables(model.encoder)}
    changing = [variable for variable in model.variables if id(variable) not in frozen]
    return [*changing, *model.optimizer.variables]


def sample_captions(captioner: Captioner, examples: Sequence[Example], logs: dict) -> None:
    """Captions a few clips, prints three, and warns when all are alike; adds `distinct_captions`,
    the number of different ones per clip, to the logs."""
    frames = np.stack([example.frames for example in examples])
    texts = [caption.text for caption in captioner.caption_frames(frames)]
    distinct = len(set(texts))
    logs["distinct_captions"] = distinct / len(texts)
    for text, example in list(zip(texts, examples, strict=True))[:3]:
        log.info("  %s   | reference: %s", text or "(nothing)", example.captions[0])
    if distinct / len(texts) < COLLAPSE_SHARE:
        log.warning(
            f"  ALARM: {distinct} distinct captions for {len(texts)} clips. The model "
            "writes the same whatever it sees: train longer, or lower the learning rate."
        )


class EpochEnd(keras.callbacks.Callback):
    """At an epoch's end captions `examples`, and saves the model if its loss is the lowest so far.

    The first callback of a run. With `ema` the averages take the weights' place for evaluation, and
    from the end of an epoch until `ResumableState` restores the weights. Of several hosts the first
    one samples and saves, with `captioner`: the model that is trained needs all hosts.
    """

    def __init__(self, captioner: Captioner, state: "ResumableState", examples: Sequence[Example]):
        super().__init__()
        self.captioner, self.state, self.examples = captioner, state, examples

    def _swap(self) -> None:
        if self.state.options.ema:
            swap_averages(self.model)

    def on_test_begin(self, logs=None):
        self.model.loss.label_smoothing = 0.0
        self._swap()

    def on_test_end(self, logs=None):
        self.model.loss.label_smoothing = self.state.options.label_smoothing
        self._swap()

    def on_epoch_end(self, epoch, logs=None):
        self.state.keep_training()
        self._swap()
        if self.model is self.captioner:
            self._sample_and_save(epoch, logs)
        elif current().first:
            weights = self.model.get_weights()
            with alone():
                self.captioner.set_weights(weights)
                self._sample_and_save(epoch, logs)

    def _sample_and_save(self, epoch: int, logs: dict) -> None:
        if self.examples:
            sample_captions(self.captioner, self.examples, logs)
        monitor = "val_loss" if "val_loss" in logs else "loss"
        value = logs[monitor]
        if not np.isfinite(value):
            raise TrainingError(
                f"expected {monitor} to be finite. Received: {value} after epoch {epoch + 1}; "
                "lower the learning rate, or train in float32"
            )
        if all(value < row[monitor] for row in self.state.rows):
            save(self.captioner, self.state.path)


class ResumableState(keras.callbacks.Callback):
    """Saves what a run needs to be resumed at the step where it was stopped; the last callback.

    Of several hosts the first one saves; all of them stop after the same step.

    Args:
        about: What has to be the same to go on: all that decides the order of the data, say.
        steps: Steps an epoch.
        clips_of: Epoch and step to the clips of that batch, for the error message.
        callbacks: The others, whose counts go on too.
    """

    def __init__(
        self,
        path: Path,
        options: TrainingOptions,
        about: dict,
        steps: int,
        clips_of: Callable[[int, int], list[str]],
        stop: StopSignal,
        mirror: Mirror,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ):
        super().__init__()
        self.callbacks = callbacks
        self._counts: list[dict] = []
        self.checkpoints = Checkpoints(path, options.keep_checkpoints, about)
        self.path, self.options, self.steps = path, options, steps
        self.clips_of, self.stop, self.mirror = clips_of, stop, mirror
        self.epoch = self.step = 0
        self.rows: list[dict] = []
        self._means: list[float] | None = None
        self._cut_short = False

    def begin(self, model: Captioner, resume: bool) -> None:
        """Goes on from the newest checkpoint, if any; without `resume` deletes an older run's."""
        if not resume:
            if current().first:
                history_of(self.path).unlink(missing_ok=True)
                self.checkpoints.clear()
            return
        model.optimizer.build(model.trainable_variables)
        about = self.checkpoints.restore(_state(model))
        if about is None:
            return
        self.epoch, self.step, self.rows = about["epoch"], about["step"], about["rows"]
        self._counts = about.get("callbacks", [])  # older checkpoints have none
        if about["means"] is not None:
            _build_metrics(model)
            self._means = about["means"]
        if current().first:
            write_history(self.path, self.rows)
        log.info("  going on at %s", self._position)

    @property
    def _position(self) -> str:
        return f"epoch {self.epoch + 1}, after step {self.step} of {self.steps}"

    def _save(self, stop: bool) -> None:
        """Saves the run, and ends it if it is to `stop`."""
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()  # within an epoch JAX's state is outside the variables
        if current().first:
            if not self.step:
                write_history(self.path, self.rows)
            means = [float(v) for v in self.model.metrics_variables] if self.step else None
            about = {"epoch": self.epoch, "step": self.step, "rows": self.rows, "means": means}
            about["callbacks"] = list(map(_counts, self.callbacks))
            self.checkpoints.save(_state(self.model), self.epoch * self.steps + self.step, about)
            self.mirror.put()
        if stop:
            raise stopped(self._position, self.stop.received)

    def on_train_begin(self, logs=None):
        """The last callback's: the others have begun anew."""
        for callback, counts in zip(self.callbacks, self._counts, strict=False):
            vars(callback).update({n: v for n, v in counts.items() if n in vars(callback)})

    def on_epoch_begin(self, epoch, logs=None):
        if self._means is not None:
            for variable, value in zip(self.model.metrics_variables, self._means, strict=True):
                variable.assign(value)
            self._means = None

    def on_train_batch_end(self, batch, logs=None):
        loss = float((logs or {})["loss"])
        if not np.isfinite(loss):
            clips = ", ".join(self.clips_of(self.epoch, self.step))
            raise TrainingError(
                f"expected a finite loss. Received: {loss} at {self._position}, with the clips "
                f"{clips}. Look at them; if they are sound, lower the learning rate or train in "
                "float32, and --resume goes on from the last checkpoint before"
            )
        self.step += 1
        if self.step == self.steps > batch + 1 and not self.model.stop_training:
            # A resumed epoch has fewer batches than Keras expects. This ends it, no matter that its
            # data would: TensorFlow executes parts of a step that finds no data.
            self.model.stop_training = self._cut_short = True
        asked = current().any(bool(self.stop.received))
        if asked or (self.step % self.options.checkpoint_steps == 0 and self.step < self.steps):
            self._save(asked)

    def keep_training(self) -> None:
        """Goes on after a resumed epoch; called at an epoch's end before all other callbacks."""
        if self._cut_short:
            self.model.stop_training = self._cut_short = False

    def on_epoch_end(self, epoch, logs=None):
        if self.options.ema:
            swap_averages(self.model)  # back to the weights
        self.rows.append({"epoch": epoch} | {name: float(v) for name, v in (logs or {}).items()})
        self.epoch, self.step = epoch + 1, 0
        self._save(current().any(bool(self.stop.received)))


def _counts(callback: keras.callbacks.Callback) -> dict[str, float]:
    values = {name: vars(callback).get(name) for name in _COUNTS}
    return {name: float(value) for name, value in values.items() if value is not None}


def _build_metrics(model: Captioner) -> None:
    """Creates the variables of loss and metrics, which Keras otherwise does at the first batch."""
    targets = np.zeros((1, model.caption_spec.length), "int32")
    logits = np.zeros((*targets.shape, len(model.vocabulary)), "float32")
    model.compute_loss(None, targets, logits)
    model.compute_metrics(None, targets, logits)
