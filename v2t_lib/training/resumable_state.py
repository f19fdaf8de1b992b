"""Saving a run's whole state as it goes, and resuming from it."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from v2t_lib.errors import ModelError, TrainingError
from v2t_lib.files import replacing
from v2t_lib.models.hosts import current
from v2t_lib.progress import log
from v2t_lib.training.checkpoints import Checkpoints
from v2t_lib.training.stop_signal import StopSignal


class ResumableState(keras.callbacks.Callback):
    """Saves everything a run needs to be resumed at the step where it was stopped.

    Weights, optimiser, schedule, random states, the epoch's running means and the history are
    saved every `every` steps and at the end of each epoch: a run that was killed at any moment and
    resumed ends with the weights and history of one that was not. Of several hosts the first one
    saves; all of them stop after the same step.

    Args:
        checkpoints: Where states are saved.
        history: The `.csv` file, one row an epoch.
        steps: Steps an epoch.
        every: Steps between two checkpoints.
        order: What determines the order of the data; a run can be resumed only with the same.
        name_clips: Epoch and step to the clips of that batch, for the error message.
        stop: Whether the user wants the run to stop.

    Attributes:
        epoch: The epoch in progress, counted from 0.
        step: Steps done in it.
        rows: The history so far.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        history: Path,
        steps: int,
        every: int,
        order: dict,
        name_clips: Callable[[int, int], list[str]],
        stop: StopSignal,
    ):
        super().__init__()
        self.checkpoints, self.history, self.steps, self.every = checkpoints, history, steps, every
        self.order, self.name_clips, self.stop = order, name_clips, stop
        self.epoch = self.step = 0
        self.rows: list[dict] = []
        self._means: list[float] | None = None
        self._cut_short = False

    def resume(self, model) -> None:
        """Restores the compiled model and this callback from the newest checkpoint, if any.

        Raises:
            ModelError: The checkpoint is of another run.
        """
        model.optimizer.build(model.trainable_variables)
        about = self.checkpoints.restore(_state(model))
        if about is None:
            return
        if about["order"] != self.order:
            raise ModelError(
                f"{self.checkpoints.folder}: expected a run with {self.order}. Received: one with "
                f"{about['order']}; --resume needs these to stay as they were"
            )
        self.epoch, self.step, self.rows = about["epoch"], about["step"], about["rows"]
        if about["means"] is not None:
            _build_metrics(model)
            self._means = about["means"]
        self._write_history()
        log.info("  going on at %s", self._position())

    def _position(self) -> str:
        return f"epoch {self.epoch + 1}, after step {self.step} of {self.steps}"

    def _save(self) -> None:
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()  # within an epoch JAX's state is outside the variables
        if not current().first:
            return
        about = {
            "epoch": self.epoch,
            "step": self.step,
            "rows": self.rows,
            "means": [float(v) for v in self.model.metrics_variables] if self.step else None,
            "order": self.order,
        }
        done = self.epoch * self.steps + self.step
        self.checkpoints.save(_state(self.model), done, about)

    def _write_history(self) -> None:
        # A run resumed in its first epoch has no row yet: a table without columns is not readable.
        if not self.rows or not current().first:
            return
        with replacing(self.history) as temporary:
            pd.DataFrame(self.rows).to_csv(temporary, index=False)
        self.checkpoints.mirror.put(self.history)

    def _stopped(self) -> TrainingError:
        return TrainingError(
            f"stopped at {self._position()}; everything is saved: the same command with "
            "--resume goes on from there"
        )

    def on_epoch_begin(self, epoch, logs=None):
        if self._means is not None:
            for variable, value in zip(self.model.metrics_variables, self._means, strict=True):
                variable.assign(value)
            self._means = None

    def on_train_batch_end(self, batch, logs=None):
        loss = float((logs or {})["loss"])
        if not np.isfinite(loss):
            clips = ", ".join(self.name_clips(self.epoch, self.step))
            raise TrainingError(
                f"expected a finite loss. Received: {loss} at {self._position()}, with the clips "
                f"{clips}. Look at them; if they are sound, lower the learning rate or train in "
                "float32, and --resume goes on from the last checkpoint before"
            )
        self.step += 1
        if self.step == self.steps > batch + 1 and not self.model.stop_training:
            # A resumed epoch has fewer batches than Keras expects. This ends it, no matter that its
            # data would: TensorFlow executes parts of a step that finds no data.
            self.model.stop_training = self._cut_short = True
        due = self.step % self.every == 0 and self.step < self.steps
        stopping = current().any(self.stop.received)
        if due or stopping:
            self._save()
        if stopping:
            raise self._stopped()

    def keep_training(self, *_) -> None:
        """Goes on after a resumed epoch; called at an epoch's end before all other callbacks."""
        if self._cut_short:
            self.model.stop_training = self._cut_short = False

    def on_epoch_end(self, epoch, logs=None):
        self.rows.append({"epoch": epoch} | {name: float(v) for name, v in (logs or {}).items()})
        self.epoch, self.step = epoch + 1, 0
        self._write_history()
        self._save()
        if current().any(self.stop.received):
            raise self._stopped()


def _build_metrics(model) -> None:
    """Creates the variables of loss and metrics, which Keras otherwise does at the first batch."""
    targets = np.zeros((1, model.caption_spec.length), "int32")
    logits = np.zeros((*targets.shape, len(model.vocabulary)), "float32")
    model.compute_loss(None, targets, logits)
    model.compute_metrics(None, targets, logits)


def _state(model) -> list:
    """Every variable that outlives a step: weights, random states, the optimiser's."""
    return [*model.variables, *model.optimizer.variables]
